import { expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, callOnce, request, within } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of, type Login } from "../support/sip/digestLogin.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, header, type SipMessage } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio, type Bench } from "./fixture.ts";

let pbx: SipPeer, trunk: SipPeer, phone: SipPeer, stranger: SipPeer;

const peers = async (bench: Bench): Promise<void> => {
  [pbx, trunk, phone, stranger] = await Promise.all([bench.peer(11), bench.peer(12), bench.peer(20), bench.peer(66)]);
};

/** One PBX for 1xxx, a trunk for everything else, for trusted callers. */
const plan = (structure: Partial<RouterPlan["structure"]>, data: Partial<RouterPlan["data"]>): RouterPlan =>
  routerPlan({
    structure,
    data,
    sets: [
      { name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] },
      { name: "trunk", id: 2, destinations: [{ host: trunk.host, port: trunk.port }] },
    ],
    routes: [
      { name: "phones", set: "pbx", digits: "1", length: 4 },
      { name: "external", set: "trunk", digits: "", callers: "Trusted" },
    ],
  });

const metric = (bench: Bench, name: string): Promise<number> => metricOf(bench.router.host, `sipr_${name}`);

const dial = async (bench: Bench, from: SipPeer, number = "1000"): Promise<number> =>
  (await callOnce(from, bench.router, number)).status;

withKamailio(
  "access lists",
  async (bench) => {
    await peers(bench);
    await bench.start(plan({ accessControl: true }, { access: lists(bench) }));
  },
  (bench) => {
    const reload = async (access: RouterPlan["data"]["access"]): Promise<void> => {
      const files = await bench.kamailio.writeData(plan({ accessControl: true }, { access }));
      await bench.call("permissions.addressReload");
      const wanted = files.desired.tables.find(({ name }) => name === "access")?.generation;
      expect((await bench.read()).tables["access"]).toBe(wanted);
    };

    test("only the sources that are allowed, and backends, are served; the others are counted", async () => {
      expect(await dial(bench, phone)).toBe(200);
      expect(await dial(bench, pbx)).toBe(200);
      const before = await metric(bench, "access_refused");
      expect(await dial(bench, stranger)).toBe(403);
      expect((await metric(bench, "access_refused")) - before).toBe(1);
      expect(stranger.received.every(({ status }) => status === 403)).toBe(true);
    });

    test("who is allowed is a trusted caller", async () => {
      expect(await dial(bench, phone, "0301234")).toBe(200);
    });

    test("deny wins over allow, and over being a backend", async () => {
      const denied = await bench.peer(21);
      expect(await dial(bench, denied)).toBe(403);
      await reload({ ...lists(bench), deny: [pbx.host] });
      expect(await dial(bench, pbx)).toBe(403);
      await reload(lists(bench));
      expect(await dial(bench, pbx)).toBe(200);
    });

    test("a forged dialog does not get around the list", async () => {
      const before = pbx.received.length;
      const forged = await request(stranger, bench.router, {
        method: "MESSAGE",
        uri: `sip:1000@${pbx.host}:${pbx.port}`,
        to: "<sip:1000@x>;tag=forged",
        fields: [["Route", `<sip:${bench.router.host};lr>`]],
      });
      expect((await forged.final()).status).toBe(403);
      const registered = await request(stranger, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        to: "<sip:1000@x>;tag=forged",
      });
      expect((await registered.final()).status).toBe(403);
      expect(pbx.received.slice(before).filter(({ method }) => method !== "OPTIONS")).toEqual([]);
    });

    test("a call that runs goes on when its caller is not served any more", async () => {
      const { dialog, sent } = await call(phone, bench.router, "1001");
      await reload({ allow: ["192.0.2.0/24"], deny: [] });
      expect(await dial(bench, phone)).toBe(403);
      const again = await within(phone, bench.router, dialog, "INVITE", sent.input.cseq + 1);
      expect((await again.final()).status).toBe(200);
      await within(phone, bench.router, dialog, "ACK", sent.input.cseq + 1, { contact: null });
      const bye = await within(phone, bench.router, dialog, "BYE", sent.input.cseq + 2);
      expect((await bye.final()).status).toBe(200);
      expect(pbx.requests("BYE").map((one) => callIdOf(one))).toContain(dialog.callId);
      await reload(lists(bench));
    });

    test("without `allow` everyone is served but who is denied, and nobody is trusted by it", async () => {
      await reload({ allow: [], deny: [phone.host] });
      expect(await dial(bench, stranger)).toBe(200);
      expect(await dial(bench, stranger, "0301234")).toBe(403);
      expect(await dial(bench, phone)).toBe(403);
      await reload({ allow: ["0.0.0.0/0"], deny: [] });
      expect(await dial(bench, stranger, "0301234")).toBe(200);
      await reload(lists(bench));
    });

    test("networks are networks and addresses are addresses in the running table", async () => {
      await reload({ allow: ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"], deny: ["0.0.0.0/0"] });
      const subnets = JSON.stringify(await bench.call("permissions.subnetDump"));
      for (const part of [
        '"10.0.0.0","mask":8',
        '"2001:db8::","mask":32',
        '"0.0.0.0","mask":1',
        '"128.0.0.0","mask":1',
      ])
        expect(subnets).toContain(part);
      expect(JSON.stringify(await bench.call("permissions.addressDump"))).toContain('"192.0.2.1"');
      expect(JSON.stringify(await bench.call("permissions.domainDump")).match(/domain_name/g)).toHaveLength(1);
      await reload(lists(bench));
    });

    test("the whole of the longest lists fits", async () => {
      const many = (first: number): string[] =>
        Array.from({ length: 1024 }, (_, index) => `${first}.${index >> 8}.${index & 255}.0/24`);
      await reload({ allow: many(20), deny: many(30) });
      expect(await dial(bench, phone)).toBe(403);
      await reload(lists(bench));
      expect(await dial(bench, phone)).toBe(200);
    });

    test("nothing went wrong", () => {
      expect(bench.faults()).toEqual([]);
    });
  },
);

const lists = (bench: Bench): RouterPlan["data"]["access"] => ({
  allow: [`${bench.host(16)}/28`],
  deny: [bench.host(21)],
});

const REALM = "example.com";
const users = {
  salt: "of the Secret",
  users: [
    { user: "1000", ha1: ha1Of("1000", REALM, "right") },
    { user: "1001", ha1: ha1Of("1001", REALM, "other") },
  ],
};
const right = { user: "1000", password: "right" };

interface Attempt {
  readonly method: string;
  readonly uri: string;
  readonly from?: string;
  readonly to?: string;
  readonly fields?: readonly (readonly [string, string])[];
}

/** The request, and once more with the answer to its challenge; both final replies. */
async function authenticated(
  from: SipPeer,
  router: Bench["router"],
  login: Login,
  input: Attempt,
): Promise<SipMessage[]> {
  const callId = `auth-${Math.random()}`;
  const first = await (await request(from, router, { ...input, callId })).final();
  const fields = [
    ...(input.fields ?? []),
    credentialsFor(first.status ?? 0, challengeIn(first), login, input.method, input.uri),
  ];
  const second = await (await request(from, router, { ...input, callId, cseq: 2, fields })).final();
  return [first, second];
}
const registering = (bench: Bench, user: string): Attempt => ({
  method: "REGISTER",
  uri: `sip:${bench.router.host}`,
  from: `<sip:${user}@${REALM}>;tag=1`,
  to: `<sip:${user}@${REALM}>`,
});

withKamailio(
  "digest authentication",
  async (bench) => {
    await peers(bench);
    await bench.start(plan({ authentication: { realm: REALM } }, { credentials: users }));
  },
  (bench) => {
    const register = (user: string, login: Login): Promise<SipMessage[]> =>
      authenticated(phone, bench.router, login, registering(bench, user));
    const invite = (number: string, login: Login): Promise<SipMessage[]> =>
      authenticated(phone, bench.router, login, {
        method: "INVITE",
        uri: `sip:${number}@${bench.router.host}`,
        from: `<sip:1000@${REALM}>;tag=1`,
      });

    test("a registration is challenged with 401 and forwarded without the credentials", async () => {
      const replies = await register("1000", right);
      expect(replies.map(({ status }) => status)).toEqual([401, 200]);
      const forwarded = pbx.requests("REGISTER").at(-1);
      expect(forwarded && header(forwarded, "authorization")).toBe("");
    });

    test("a call is challenged with 407; who is authenticated is a trusted caller", async () => {
      expect((await invite("1000", right)).map(({ status }) => status)).toEqual([407, 200]);
      expect((await invite("0301234", right)).map(({ status }) => status)).toEqual([407, 200]);
      expect(trunk.calls.length).toBeGreaterThan(0);
      const forwarded = trunk.requests("INVITE").at(-1);
      expect(forwarded && header(forwarded, "proxy-authorization")).toBe("");
    });

    test("backends are not challenged", async () => {
      expect(await dial(bench, pbx)).toBe(200);
    });

    test("OPTIONS needs no password", async () => {
      const options = await request(phone, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` });
      expect((await options.final()).status).toBe(200);
    });

    test("an unknown user and a wrong password get the same answer", async () => {
      const shape = (reply: SipMessage | undefined): unknown =>
        reply && [
          reply.status,
          reply.text.split("\r\n")[0],
          [...reply.fields].map(([name, value]) => [
            name,
            value.replace(/nonce="[^"]*"|tag=\S+|branch=\S+|auth-\S+/g, ""),
          ]),
        ];
      for (const attempt of [register, invite] as const) {
        const wrong = await attempt("1000", { user: "1000", password: "wrong" });
        const unknown = await attempt("1000", { user: "9999", password: "right" });
        expect([wrong[1]?.status, unknown[1]?.status]).toEqual([wrong[0]?.status, wrong[0]?.status]);
        expect(shape(unknown[1])).toEqual(shape(wrong[1]));
      }
    });

    test("nobody is taken for another user by a second answer, in that user's name, made with his own password", async () => {
      const victim = { user: "1001", ha1: ha1Of(right.user, REALM, right.password) };
      for (const method of ["INVITE", "REGISTER"]) {
        const target = { ...registering(bench, victim.user), method };
        const callId = `two-${Math.random()}`;
        const refused = await (await request(phone, bench.router, { ...target, callId })).final();
        const answerAs = (realm: string, login: Login): readonly [string, string] =>
          credentialsFor(refused.status ?? 0, { ...challengeIn(refused), realm }, login, method, target.uri);
        const both = [answerAs("elsewhere.example", right), answerAs(REALM, victim)];
        const sent = await request(phone, bench.router, { ...target, callId, cseq: 2, fields: both });
        expect((await sent.final()).status).toBe(403);
        const turned = await request(phone, bench.router, { ...target, callId, cseq: 3, fields: both.toReversed() });
        expect((await turned.final()).status).toBe(refused.status);
      }
    });

    test("nobody is the generation of the table, nor the hash of no one", async () => {
      const generation = bench.kamailio.files.desired.tables.find(({ name }) => name === "credentials")?.generation;
      for (const ha1 of [generation ?? "", "", "0", "<null>"])
        for (const user of ["#generation", "nobody", ""])
          expect((await register("1000", { user, ha1 }))[1]?.status).toBe(401);
    });

    test("a user registers nobody else", async () => {
      expect((await register("1001", right))[1]?.status).toBe(403);
      const other = authenticated(phone, bench.router, right, {
        ...registering(bench, "1000"),
        from: `<sip:1001@${REALM}>;tag=1`,
      });
      expect((await other)[1]?.status).toBe(403);
    });

    test("a nonce is good for the address that asked only, and on every replica", async () => {
      // before the challenge: a Kamailio refuses, as stale, a nonce that is older than itself
      const other = await LocalKamailio.start(
        bench.program,
        plan({ authentication: { realm: REALM } }, { credentials: users }),
        bench.host(2),
      );
      try {
        const registered = { ...registering(bench, "1000"), callId: "registered" };
        const challenge = challengeIn(await (await request(phone, bench.router, registered)).final());
        const fields = [credentialsFor(401, challenge, right, "REGISTER", `sip:${bench.router.host}`)];
        const stolen = await request(stranger, bench.router, { ...registered, fields });
        expect((await stolen.final()).status).toBe(401);
        const uri = `sip:${other.ip}`;
        const again = [credentialsFor(401, challenge, right, "REGISTER", uri)];
        const sent = await request(
          phone,
          { host: other.ip, port: 5060 },
          { ...registered, uri, cseq: 2, fields: again },
        );
        expect((await sent.final()).status).toBe(200);
      } finally {
        await other.stop();
      }
    });

    test("a forged dialog does not get around the password", async () => {
      const sent = await request(phone, bench.router, {
        method: "MESSAGE",
        uri: `sip:1000@${pbx.host}:${pbx.port}`,
        to: "<sip:1000@x>;tag=forged",
        fields: [["Route", `<sip:${bench.router.host};lr>`]],
      });
      expect((await sent.final()).status).toBe(407);
      expect(pbx.requests("MESSAGE")).toEqual([]);
    });

    test("a new user and a new password count after a reload", async () => {
      const credentials = { ...users, users: [{ user: "1002", ha1: ha1Of("1002", REALM, "new") }] };
      await bench.kamailio.writeData(plan({ authentication: { realm: REALM } }, { credentials }));
      await bench.call("htable.reload", "credentials");
      const wanted = bench.kamailio.files.desired.tables.find(({ name }) => name === "credentials")?.generation;
      expect((await bench.read()).tables["credentials"]).toBe(wanted);
      expect((await register("1002", { user: "1002", password: "new" }))[1]?.status).toBe(200);
      expect((await register("1000", right))[1]?.status).toBe(401);
    });

    test("failures are counted, no hash is logged", async () => {
      expect(await metric(bench, "authentication_failed")).toBeGreaterThan(0);
      expect(bench.faults()).toEqual([]);
      for (const { ha1 } of users.users) expect(bench.kamailio.log).not.toContain(ha1);
    });
  },
);
