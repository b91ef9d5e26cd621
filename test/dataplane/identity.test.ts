/** Who a caller is: what it may say of itself, and where its calls may go. */
import { beforeEach, expect, test } from "vitest";
import { call, callOnce, request, within, type RequestInput } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import { header, headers, type SipMessage } from "../support/sip/message.ts";
import { metricOf } from "../support/sip/metrics.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio, type Bench } from "./fixture.ts";

let pbx: SipPeer, trunk: SipPeer, standby: SipPeer, draining: SipPeer, neighbour: SipPeer;

withKamailio(
  "calls of backends",
  async (bench) => {
    [pbx, trunk, standby, draining, neighbour] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13),
      bench.peer(14),
      bench.peer(12, 5070),
    ]);
    await bench.start(
      routerPlan({
        sets: [
          { name: "pbx", id: 1, destinations: [pbx, neighbour] },
          {
            name: "trunk",
            id: 2,
            destinations: [trunk, { ...at(standby), priority: 1 }, { ...at(draining), priority: 99 }],
          },
        ],
        routes: [
          { name: "phones", set: "pbx", digits: "1", length: 4 },
          { name: "external", set: "trunk", digits: "", callers: "Trusted" },
        ],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, trunk, standby, draining, neighbour]) peer.received.length = 0;
    });
    const status = async (from: SipPeer, number: string): Promise<number> =>
      (await callOnce(from, bench.router, number)).status;
    const calls = (): readonly string[] => [trunk, standby, draining].flatMap((peer) => peer.calls);

    test("a trunk's call to a number of nobody does not go back to the telephone network", async () => {
      for (const from of [trunk, standby, draining]) expect(await status(from, "0301234")).toBe(404);
      expect(calls()).toEqual([]);
    });

    test("a trunk calls an extension", async () => {
      expect(await status(trunk, "1000")).toBe(200);
    });

    test("a PBX calls the telephone network, and extensions of its own", async () => {
      expect(await status(pbx, "0301234")).toBe(200);
      expect(calls()).toHaveLength(1);
      expect(await status(pbx, "1000")).toBe(200);
    });

    test("a PBX that shares the address of a trunk calls the telephone network", async () => {
      expect(await status(neighbour, "0301234")).toBe(200);
      expect(calls()).toHaveLength(1);
    });
  },
);

const at = ({ host, port }: SipPeer): { host: string; port: number } => ({ host, port });

const ASSERTIONS = [
  ["P-Asserted-Identity", "<sip:0800@bank.example>"],
  ["Remote-Party-ID", "<sip:0800@bank.example>;screen=yes"],
  ["P-Charging-Vector", "icid-value=1"],
] as const;
const DIVERTED = ["Diversion", "<sip:1@example.com>"] as const;

const asserted = (message: SipMessage | undefined): readonly string[] =>
  ASSERTIONS.map(([name]) => (message === undefined ? "no message" : header(message, name.toLowerCase())));
const all = ASSERTIONS.map(([, value]) => value);
const none = ASSERTIONS.map(() => "");

let phone: SipPeer;

const onePbx = (bench: Bench, input: Partial<Parameters<typeof routerPlan>[0]>): Promise<void> =>
  bench.start(
    routerPlan({
      sets: [
        { name: "pbx", id: 1, destinations: [at(pbx)] },
        { name: "trunk", id: 2, destinations: [at(trunk)] },
      ],
      routes: [
        { name: "phones", set: "pbx", digits: "1", length: 4 },
        { name: "external", set: "trunk", digits: "", callers: "Trusted" },
      ],
      ...input,
    }),
  );

const twoBackends = async (bench: Bench): Promise<void> => {
  [pbx, trunk, phone] = await Promise.all([bench.peer(11), bench.peer(12), bench.peer(20)]);
};

withKamailio(
  "what a caller says of itself",
  async (bench) => {
    await twoBackends(bench);
    await onePbx(bench, {});
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, trunk, phone]) peer.received.length = 0;
    });

    test("a backend's word on who calls is passed on", async () => {
      await callOnce(pbx, bench.router, "0301234", { fields: ASSERTIONS });
      expect(asserted(trunk.requests("INVITE")[0])).toEqual(all);
    });

    test("a phone's is not, nor within its call", async () => {
      const { dialog } = await call(phone, bench.router, "1000", { fields: [...ASSERTIONS, DIVERTED] });
      const again = await within(phone, bench.router, dialog, "INVITE", 3, {
        fields: [...dialog.routes.map((route) => ["Route", route] as const), ...ASSERTIONS, DIVERTED],
      });
      expect((await again.final()).status).toBe(200);
      const invites = pbx.requests("INVITE");
      expect(invites.map(asserted)).toEqual([none, none]);
      for (const invite of invites) {
        expect(headers(invite, "via")).toHaveLength(2);
        expect(headers(invite, "via")[1]?.match(/rport|received/g)).toHaveLength(2);
        expect(header(invite, "diversion")).toBe("<sip:1@example.com>");
      }
    });

    test("a forged dialog does not help", async () => {
      const sent = await request(phone, bench.router, {
        method: "INFO",
        uri: pbx.uri,
        to: "<sip:1000@x>;tag=forged",
        fields: [["Route", `<sip:${bench.router.host};lr>`], ...ASSERTIONS],
      });
      await sent.final();
      expect(pbx.requests("INFO").map(asserted).flat().join("")).toBe("");
    });
  },
);

withKamailio(
  "what a caller of the access list says of itself",
  async (bench) => {
    await twoBackends(bench);
    await onePbx(bench, {
      structure: { accessControl: true },
      data: { access: { allow: [phone.host], deny: [] } },
    });
  },
  (bench) => {
    test("is passed on", async () => {
      await callOnce(phone, bench.router, "1000", { fields: ASSERTIONS });
      expect(asserted(pbx.requests("INVITE")[0])).toEqual(all);
    });
  },
);

const REALM = "example.com";

const failures = (bench: Bench): Promise<number> => metricOf(bench.router.host, "sipr_authentication_failed");

withKamailio(
  "the name of who has a password",
  async (bench) => {
    await twoBackends(bench);
    const users = ["1000", "1001"].map((user) => ({ user, ha1: ha1Of(user, REALM, `secret-${user}`) }));
    await onePbx(bench, {
      structure: { authentication: { realm: REALM } },
      data: { credentials: { salt: "1", users } },
    });
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, trunk, phone]) peer.received.length = 0;
    });
    const starting = (method: string, number: string, from: string): RequestInput => ({
      method,
      uri: `sip:${number}@${bench.router.host}`,
      from: `${from};tag=1`,
    });
    /** the request that the user 1000 sends again, with his answer to the challenge */
    const answered = async (input: RequestInput): Promise<RequestInput> => {
      const sent = await request(phone, bench.router, input);
      const reply = await sent.final();
      const login = { user: "1000", password: "secret-1000" };
      const answer = credentialsFor(reply.status ?? 0, challengeIn(reply), login, input.method, input.uri);
      return { ...input, callId: sent.callId, cseq: 2, fields: [...(input.fields ?? []), answer] };
    };
    const status = async (input: RequestInput): Promise<number | undefined> =>
      (await (await request(phone, bench.router, input)).final()).status;

    test("is no other user's", async () => {
      for (const from of ["<sip:1001@example.com>", '"1000" <sip:0800@bank.example>', "<sip:example.com>"])
        for (const method of ["INVITE", "MESSAGE", "SUBSCRIBE"])
          expect(await status(await answered(starting(method, "1001", from)))).toBe(403);
      expect(await status(await answered(starting("INVITE", "0301", "<sip:1001@example.com>")))).toBe(403);
      expect([...trunk.received, ...pbx.received].filter(({ method }) => method !== "OPTIONS")).toEqual([]);
    });

    test("is his own, whatever is displayed, or anonymous", async () => {
      for (const from of [
        "<sip:1000@example.com>",
        '"Front desk" <sip:1000@other.example;transport=tcp>',
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
      ])
        expect(await status(await answered(starting("INVITE", "0302", from)))).toBe(200);
      expect(trunk.calls).toHaveLength(3);
    });

    test("is not asked for within his call, where From is what the call began with", async () => {
      const { dialog } = await call(
        phone,
        bench.router,
        "1000",
        await answered(starting("INVITE", "1000", "<sip:1000@example.com>")),
      );
      const renamed = { ...dialog, local: dialog.local.replace("1000@", "renamed@") };
      expect((await (await within(phone, bench.router, renamed, "INVITE", 3)).final()).status).toBe(200);
      expect((await (await within(phone, bench.router, dialog, "BYE", 4)).final()).status).toBe(200);
    });

    test("is proved for one call and one number: the answer is good for no other", async () => {
      const first = await answered(starting("INVITE", "1000", "<sip:1000@example.com>"));
      expect(await status(first)).toBe(200);
      const failed = await failures(bench);
      const reached = pbx.calls.length;
      // as overheard
      const again = await (await request(phone, bench.router, { ...first, callId: "another", cseq: 3 })).final();
      expect([again.status, header(again, "proxy-authenticate").includes("stale=true")]).toEqual([407, true]);
      expect(await status({ ...first, uri: `sip:0900@${bench.router.host}`, cseq: 4 })).toBe(407);
      expect([pbx.calls.length, trunk.calls.length]).toEqual([reached, 0]);
      // phones do so with every call: it is no guess of a password
      expect(await failures(bench)).toBe(failed);
    });

    test("is proved for all registrations of a phone", async () => {
      const own = "<sip:1000@example.com>";
      const uri = `sip:${bench.router.host}`;
      const first = await answered({ method: "REGISTER", uri, from: `${own};tag=1`, to: own });
      expect(await status(first)).toBe(200);
      expect(await status({ ...first, cseq: 3 })).toBe(200);
      expect(await status({ ...first, callId: "another-phone", cseq: 4 })).toBe(401);
    });
  },
);
