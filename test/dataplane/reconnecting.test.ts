/** Phones of a registrar that connect anew: the contact of the new connection takes the place of the former one. */
import { afterAll, afterEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { readRegistrations } from "../../src/kamailio/registrations.ts";
import { call, request } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../support/sip/digestLogin.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import type { SipMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";
import { REALM, registrarPlan } from "./registrarPlan.ts";

const users = ["1001", "1002"];
const FIRST_PORT = 5070;

let pbx: SipPeer;
let other: LocalKamailio | undefined;

const plan = (): RouterPlan => registrarPlan(pbx, users);

/** What a phone keeps over its connections. */
interface Phone {
  readonly user: string;
  readonly callId: string;
  cseq: number;
  readonly parameters: string;
}

withKamailio(
  "reconnecting phones",
  async (bench) => {
    pbx = await bench.peer(11);
    await bench.start(plan());
    other = await LocalKamailio.start(bench.program, plan(), bench.host(2), {}, bench.host(1));
  },
  (bench) => {
    let port = FIRST_PORT;
    const connections: SipPeer[] = [];
    const connect = async (last = 20, transport: "TCP" | "UDP" = "TCP"): Promise<SipPeer> => {
      port += 1;
      const peer = await bench.peer(last, port, transport, answering(200));
      connections.push(peer);
      return peer;
    };
    const phone = (user = "1001", parameters = ""): Phone => ({
      user,
      callId: `phone-${Math.random()}`,
      cseq: 0,
      parameters,
    });
    const at = (last: number) => ({ host: bench.host(last), port: 5060 });
    const contactOf = ({ user }: Pick<Phone, "user">, { host, port: own, transport }: SipPeer): string =>
      `<sip:${user}@${host}:${own};transport=${transport.toLowerCase()}>`;

    async function register(
      one: Phone,
      from: SipPeer,
      {
        last = 1,
        expires = 60,
        contact = contactOf(one, from) + one.parameters,
        password = `secret-${one.user}`,
      }: { last?: number; expires?: number; contact?: string; password?: string } = {},
    ): Promise<number> {
      const uri = `sip:${bench.host(last)}`;
      const own = `<sip:${one.user}@${REALM}>`;
      const send = async (...more: (readonly [string, string])[]): Promise<SipMessage> => {
        one.cseq += 1;
        const { callId, cseq } = one;
        const fields = [["Expires", String(expires)] as const, ...more];
        const input = { method: "REGISTER", uri, from: `${own};tag=${callId}`, to: own, callId, cseq, contact, fields };
        return (await request(from, at(last), input)).final();
      };
      const refused = await send();
      expect(refused.status).toBe(401);
      const answer = credentialsFor(401, challengeIn(refused), { user: one.user, password }, "REGISTER", uri);
      return (await send(answer)).status ?? 0;
    }

    const contacts = async (last: number, user: string): Promise<readonly string[]> => {
      const address = last === 1 ? bench.kamailio.control : other?.control;
      if (address === undefined) throw new Error("the other replica does not run");
      return (await readRegistrations(bench.control, address, user)).map(({ contact }) => `<${contact}>`).toSorted();
    };
    const untilKnown = async (user: string, wanted: readonly string[]): Promise<void> => {
      for (const last of [1, 2])
        await until(`replica ${last} knows ${wanted.join()}`, async () => {
          const known = await contacts(last, user);
          if (known.join() !== [...wanted].toSorted().join()) throw new Error(`it knows ${known.join()}`);
          return true;
        });
    };
    const dial = async (user: string, last: number): Promise<number> =>
      (await call(pbx, at(last), user)).reply.status ?? 0;

    afterEach(async () => {
      for (const user of users) {
        const from = await connect();
        await register(phone(user), from, { contact: "*", expires: 0 });
        await untilKnown(user, []);
      }
      for (const peer of connections.splice(0)) await peer.close();
    });
    afterAll(() => other?.stop());

    test.each([
      ["Call-ID", ""],
      ["+sip.instance", ';+sip.instance="<urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128>"'],
      ["+sip.instance and reg-id", ';reg-id=1;+sip.instance="<urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128>"'],
    ])("a phone that connects again and again has one contact, known by its %s", async (_, parameters) => {
      const one = phone("1001", parameters);
      let from = await connect();
      for (const last of [1, 1, 1, 2, 2, 1, 2]) {
        from = await connect();
        expect(await register(one, from, { last })).toBe(200);
        await untilKnown("1001", [contactOf(one, from)]);
      }
      for (const last of [1, 2]) {
        from.received.length = 0;
        expect(await dial("1001", last)).toBe(200);
        expect(from.calls).toHaveLength(1);
      }
      // registered anew over the same connection
      expect(await register(one, from, { last: 2 })).toBe(200);
      await untilKnown("1001", [contactOf(one, from)]);
    });

    test("the phones of one user stay, and one more than the limit is refused", async () => {
      const [first, second] = [phone(), phone()];
      let [a, b] = [await connect(), await connect()];
      for (let times = 0; times < 3; times += 1) {
        [a, b] = [await connect(), await connect()];
        expect(await register(first, a)).toBe(200);
        expect(await register(second, b)).toBe(200);
      }
      await untilKnown("1001", [contactOf(first, a), contactOf(second, b)]);
      expect(await register(phone(), await connect())).toBe(503);
      await untilKnown("1001", [contactOf(first, a), contactOf(second, b)]);
    });

    test("contacts of one REGISTER stay beside each other", async () => {
      const [one, a, b] = [phone(), await connect(), await connect(21)];
      const both = [contactOf(one, a), contactOf(one, b)];
      for (let times = 0; times < 2; times += 1) {
        expect(await register(one, a, { contact: both.join(", ") })).toBe(200);
        await untilKnown("1001", both);
      }
    });

    test("contacts that come one by one over one connection stay beside each other: lines of a gateway", async () => {
      const [one, from] = [phone(), await connect()];
      const lines = ["line1", "line2"].map((user) => contactOf({ user }, from));
      for (let times = 0; times < 2; times += 1)
        for (const contact of lines) expect(await register(one, from, { contact })).toBe(200);
      await untilKnown("1001", lines);
    });

    test("a former contact that the phone takes back itself leaves the new one", async () => {
      const [one, former, now] = [phone(), await connect(), await connect()];
      expect(await register(one, former)).toBe(200);
      expect(await register(one, now)).toBe(200);
      expect(await register(one, now, { contact: contactOf(one, former), expires: 0 })).toBe(200);
      expect(await register(one, now, { contact: `${contactOf(one, former)};expires=0` })).toBe(200);
      await untilKnown("1001", [contactOf(one, now)]);
      const next = await connect();
      expect(await register(one, next, { contact: `${contactOf(one, now)};expires=0, ${contactOf(one, next)}` })).toBe(
        200,
      );
      await untilKnown("1001", [contactOf(one, next)]);
      expect(await register(one, next, { expires: 0 })).toBe(200);
      await untilKnown("1001", []);
    });

    test("nobody else takes the place of a contact, whatever Call-ID he has", async () => {
      const [one, from] = [phone(), await connect()];
      expect(await register(one, from)).toBe(200);
      const thief = { ...one };
      expect(await register(thief, await connect(66), { password: "guessed" })).toBe(401);
      const neighbour = { ...one, user: "1002" };
      const theirs = await connect(21);
      expect(await register(neighbour, theirs)).toBe(200);
      await untilKnown("1002", [contactOf(neighbour, theirs)]);
      await untilKnown("1001", [contactOf(one, from)]);
    });

    test("a REGISTER that is older than the one of the contact moves nothing", async () => {
      const [one, from] = [phone(), await connect()];
      one.cseq = 10;
      expect(await register(one, from)).toBe(200);
      expect(await register({ ...one, cseq: 4 }, await connect())).toBe(200);
      expect(await contacts(1, "1001")).toContain(contactOf(one, from));
    });
  },
);
