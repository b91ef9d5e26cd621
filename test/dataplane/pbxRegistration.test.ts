/** A PBX that registers with the router: whose contact is kept, and whose is not. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { readContacts } from "../../src/kamailio/registrations.ts";
import { call, callOnce, request } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import { header, headers } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";
import { startReplica } from "./replicas.ts";

const REALM = "example.com";
const PBX_USERS = ["pbx-1", "pbx-2", "pbx~3", ...Array.from({ length: 30 }, (_, index) => `many-${index}`)];
const passwordOf = (user: string): string => `secret-${user}`;
const ha1 = (user: string) => ({ user, ha1: ha1Of(user, REALM, passwordOf(user)) });

interface Registering {
  readonly user?: string;
  /** who authenticates */
  readonly as?: string;
  readonly password?: string;
  readonly expires?: number;
  readonly contact?: string;
  readonly router?: { readonly host: string; readonly port: number };
}

let sequence = 0;

/** REGISTER, its challenge answered; the final status */
async function register(bench: Bench, from: SipPeer, options: Registering = {}): Promise<number> {
  const { user = "pbx-1", as = user, password = passwordOf(as), expires = 60, router = bench.router } = options;
  const cseq = (sequence += 2);
  const input = {
    method: "REGISTER",
    uri: `sip:${router.host}`,
    from: `<sip:${user}@${REALM}>;tag=1`,
    to: `<sip:${user}@${REALM}>`,
    contact: options.contact ?? `<sip:${user}@${from.host}:${from.port}>`,
    callId: `register-${user}-${from.host}`,
    fields: [["Expires", String(expires)]] as [string, string][],
  };
  const refused = await (await request(from, router, { ...input, cseq })).final();
  if (refused.status !== 401) return refused.status ?? 0;
  const answer = credentialsFor(401, challengeIn(refused), { user: as, password }, "REGISTER", input.uri);
  const sent = await request(from, router, { ...input, cseq: cseq + 1, fields: [...input.fields, answer] });
  return (await sent.final()).status ?? 0;
}

const contactsAt = async (bench: Bench, kamailio = bench.kamailio, user = "pbx-1") =>
  ((await readContacts(bench.control, kamailio.control, [user]))?.[user] ?? []).filter(
    ({ expiresSeconds }) => expiresSeconds > 0,
  );
const urisAt = async (bench: Bench, kamailio = bench.kamailio, user = "pbx-1"): Promise<readonly string[]> =>
  (await contactsAt(bench, kamailio, user)).map(({ contact }) => contact);

let pbx: SipPeer, moved: SipPeer, owner: SipPeer, phone: SipPeer;
const peersOf = async (bench: Bench): Promise<void> => {
  [pbx, moved, owner, phone] = await Promise.all([
    bench.peer(11, 5080),
    bench.peer(12, 5080),
    bench.peer(13),
    bench.peer(20, 5070),
  ]);
};
const forgetReceived = (): void => {
  for (const peer of [pbx, moved, owner, phone]) {
    peer.behaviour = answering(200);
    peer.received.length = 0;
  }
};

const planWith = (structure: Partial<RouterPlan["structure"]>, data: Partial<RouterPlan["data"]> = {}): RouterPlan =>
  routerPlan({
    structure: {
      registrants: { realm: REALM },
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
      ...structure,
    },
    sets: [{ name: "pbx", id: 1, destinations: [owner] }],
    routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
    data: {
      registrants: { salt: "1", users: PBX_USERS.map((user) => ({ ...ha1(user), backend: `default/${user}` })) },
      ...data,
    },
  });

withKamailio(
  "registration of a PBX, phones forwarded",
  async (bench) => {
    await peersOf(bench);
    await bench.start(planWith({}));
  },
  (bench) => {
    beforeEach(forgetReceived);

    test("its contact is kept, one for each user, and gone when it unregisters", async () => {
      expect(await register(bench, pbx)).toBe(200);
      expect(await urisAt(bench)).toEqual([`sip:pbx-1@${pbx.host}:5080`]);
      expect(await register(bench, moved)).toBe(200);
      expect(await urisAt(bench)).toEqual([`sip:pbx-1@${moved.host}:5080`]);
      expect(await register(bench, pbx, { user: "pbx~3" })).toBe(200);
      expect(await urisAt(bench, bench.kamailio, "pbx~3")).toEqual([`sip:pbx~3@${pbx.host}:5080`]);
      expect(await register(bench, pbx, { user: "pbx~3", expires: 0 })).toBe(200);
      expect(await register(bench, moved, { expires: 0 })).toBe(200);
      expect(await urisAt(bench)).toEqual([]);
    });

    test("many of them are read like one", async () => {
      for (const user of ["pbx-1", "many-3", "many-29"]) expect(await register(bench, pbx, { user })).toBe(200);
      const found = (await readContacts(bench.control, bench.kamailio.control, PBX_USERS)) ?? {};
      expect(Object.keys(found)).toEqual(PBX_USERS);
      const registered = Object.entries(found).filter(([, contacts]) => contacts.length > 0);
      expect(registered.map(([user, [contact]]) => [user, contact?.contact])).toEqual(
        ["pbx-1", "many-3", "many-29"].map((user) => [user, `sip:${user}@${pbx.host}:5080`]),
      );
      expect(found["pbx-1"]).toMatchObject(await contactsAt(bench));
      // so its router asks from the moment when it has users of several domains, until this one is replaced
      const asked = PBX_USERS.map((user) => `${user}@pbx.invalid`);
      for (const names of [asked, ["pbx-1@pbx.invalid"]]) {
        const byName = (await readContacts(bench.control, bench.kamailio.control, names)) ?? {};
        expect(byName["pbx-1"]).toMatchObject(await contactsAt(bench));
      }
      for (const user of ["pbx-1", "many-3", "many-29"]) await register(bench, pbx, { user, expires: 0 });
    });

    test("its lifetime is capped, and over when it is over", async () => {
      expect(await register(bench, pbx, { expires: 86_400 })).toBe(200);
      const [contact] = await contactsAt(bench);
      expect(contact?.expiresSeconds).toBeGreaterThan(290);
      expect(contact?.expiresSeconds).toBeLessThanOrEqual(300);
      expect(await register(bench, pbx, { expires: 1 })).toBe(200);
      await until("it is over", async () => (await urisAt(bench)).length === 0);
    });

    test("behind NAT it is known where its REGISTER came from", async () => {
      expect(await register(bench, pbx, { contact: "<sip:pbx-1@192.168.77.7:5060>" })).toBe(200);
      expect(await contactsAt(bench)).toMatchObject([
        { contact: "sip:pbx-1@192.168.77.7:5060", received: `sip:${pbx.host}:5080` },
      ]);
      await register(bench, pbx, { contact: "<sip:pbx-1@192.168.77.7:5060>", expires: 0 });
    });

    test("nobody registers a PBX without its own password", async () => {
      const sent = await request(phone, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        from: `<sip:pbx-1@${REALM}>;tag=1`,
        to: `<sip:pbx-1@${REALM}>`,
        contact: `<sip:pbx-1@${phone.host}:5070>`,
      });
      expect((await sent.final()).status).toBe(401);
      expect(await register(bench, phone, { password: "guess" })).toBe(401);
      // another PBX, with its own password; the row that holds the generation of the table
      expect(await register(bench, phone, { as: "pbx-2" })).toBe(403);
      expect(await register(bench, phone, { as: "#generation", password: "" })).toBe(401);
      expect(await urisAt(bench)).toEqual([]);
      // an address that is a destination of this router is not trusted for that
      expect(await register(bench, owner, { password: "guess" })).toBe(401);
      expect(await urisAt(bench)).toEqual([]);
    });

    test("REGISTER of phones goes to the PBX as before, and a PBX's does not", async () => {
      expect(await register(bench, phone, { user: "1001" })).toBe(200);
      expect(owner.requests("REGISTER").map((message) => header(message, "to"))).toEqual([`<sip:1001@${REALM}>`]);
      await register(bench, pbx);
      expect(owner.requests("REGISTER")).toHaveLength(1);
      expect((await callOnce(phone, bench.router, "1001")).status).toBe(200);
      expect(owner.calls).toHaveLength(1);
    });

    test("nobody is called by the name of a PBX", async () => {
      await register(bench, pbx);
      expect((await callOnce(phone, bench.router, "pbx-1")).status).toBe(404);
      expect(pbx.calls).toEqual([]);
    });
  },
);

let other: LocalKamailio | undefined;

withKamailio(
  "registration of a PBX with a registrar of two replicas",
  async (bench) => {
    await peersOf(bench);
    const plan = planWith(
      {
        registration: { mode: "Registrar", maxExpiresSeconds: 300 },
        authentication: { realm: REALM },
        rateLimit: true,
      },
      {
        credentials: { salt: "1", users: ["1001", "1002"].map(ha1) },
        limits: { requestsPerSecond: 6, banSeconds: 60 },
      },
    );
    await bench.start(plan);
    other = await startReplica(bench, plan);
  },
  (bench) => {
    beforeEach(forgetReceived);
    afterAll(() => other?.stop());
    const second = () => other ?? bench.kamailio;
    const at = (last: number) => ({ host: bench.host(last), port: 5060 });

    test("all replicas know it, its move and its end", async () => {
      expect(await register(bench, pbx)).toBe(200);
      await until(
        "the second knows",
        async () => (await urisAt(bench, second())).join() === `sip:pbx-1@${pbx.host}:5080`,
      );
      expect(await register(bench, moved, { router: at(2) })).toBe(200);
      for (const kamailio of [bench.kamailio, second()])
        await until(
          "it has moved",
          async () => (await urisAt(bench, kamailio)).join() === `sip:pbx-1@${moved.host}:5080`,
        );
      expect(await register(bench, moved, { expires: 0 })).toBe(200);
      for (const kamailio of [bench.kamailio, second()])
        await until("it is gone", async () => (await urisAt(bench, kamailio)).length === 0);
    });

    test("a subscriber is no PBX, and calls none by its name", async () => {
      expect(await register(bench, phone, { as: "1001" })).toBe(401);
      expect(await urisAt(bench)).toEqual([]);
      expect(await register(bench, pbx)).toBe(200);
      const from = `<sip:1001@${REALM}>;tag=1`;
      const input = { method: "INVITE", uri: `sip:pbx-1@${bench.host(1)}`, from, callId: "by-name" };
      const refused = await (await request(phone, at(1), input)).final();
      expect(refused.status).toBe(407);
      const login = { user: "1001", password: passwordOf("1001") };
      const fields = [credentialsFor(407, challengeIn(refused), login, "INVITE", input.uri)];
      expect((await (await request(phone, at(1), { ...input, cseq: 2, fields })).final()).status).toBe(404);
      expect(pbx.calls).toEqual([]);
    });

    test("another replica has no rate limit, a stranger has", async () => {
      const connected = await bench.listen({ host: bench.host(23), port: 5070, transport: "TCP" });
      const contact = `<sip:1002@${connected.host}:5070;transport=tcp>`;
      expect(await register(bench, connected, { user: "1002", contact })).toBe(200);
      const dial = async () => (await callOnce(owner, at(2), "1002")).status;
      await until("the second replica knows the phone", async () => (await dial()) === 200);
      const before = connected.calls.length;
      // a burst: each INVITE, ACK and BYE comes to the first replica from the second
      const calls = await Promise.all(Array.from({ length: 10 }, () => dial()));
      expect(calls).toEqual(Array.from({ length: 10 }, () => 200));
      expect(connected.calls.length - before).toBe(10);
      const burst = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const input = { method: "MESSAGE", uri: `sip:1001@${bench.host(1)}`, callId: `burst-${index}` };
          return request(moved, at(1), input);
        }),
      );
      await until("the stranger has had enough", () =>
        burst.some((sent) =>
          sent.finals.some((reply) => reply.status === 503 && headers(reply, "retry-after")[0] === "60"),
        ),
      );
    });
  },
);

withKamailio(
  "a router before its first PBX",
  async (bench) => {
    await peersOf(bench);
    const plan = planWith({ registration: { mode: "Reject", maxExpiresSeconds: 300 } });
    const [set] = plan.data.sets;
    const empty = set === undefined ? [] : [{ ...set, tiers: [], destinations: [] }];
    await bench.start({ ...plan, data: { ...plan.data, sets: empty } });
  },
  (bench) => {
    beforeEach(forgetReceived);
    test("it serves: the PBX registers, phones do not, and calls get 503", async () => {
      expect(await register(bench, pbx)).toBe(200);
      expect(await register(bench, phone, { user: "1001" })).toBe(403);
      const { reply } = await call(phone, bench.router, "1001");
      expect(reply.status).toBe(503);
      expect(headers(reply, "retry-after")).toHaveLength(1);
      expect((await bench.read()).destinations).toEqual([]);
    });
  },
);
