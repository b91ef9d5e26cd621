import { beforeEach, expect, onTestFinished, test } from "vitest";
import { kamailioSetId } from "../../src/ir/setId.ts";
import { call, request, within, type RequestInput } from "../support/sip/caller.ts";
import { callIdOf, header, headers, uriIn, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, silent, SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, backup: SipPeer, first: SipPeer, second: SipPeer, trunk: SipPeer, phone: SipPeer, phoneTcp: SipPeer;

withKamailio(
  "registration",
  async (bench) => {
    [pbx, backup, first, second, trunk, phone, phoneTcp] = await Promise.all([
      bench.peer(11, 5061),
      bench.peer(12, 5062),
      bench.peer(13),
      bench.peer(14),
      bench.peer(15),
      bench.peer(20, 5070),
      bench.peer(21, 5070, "TCP"),
    ]);
    await bench.start(
      routerPlan({
        structure: {
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [
          { name: "pbx", id: 1, destinations: [pbx, { host: backup.host, port: backup.port, priority: 1 }] },
          { name: "pair", id: 2, destinations: [first, second] },
          { name: "trunk", id: 3, destinations: [trunk] },
        ],
        routes: [
          { name: "pbx", set: "pbx", digits: "1", length: 4 },
          { name: "pair", set: "pair", digits: "2", length: 4 },
          { name: "out", set: "trunk", digits: "0", callers: "Trusted" },
          { name: "external", set: "trunk", digits: "", callers: "Anyone" },
        ],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, backup, first, second, trunk, phone, phoneTcp]) peer.behaviour = answering(200);
    });
    const register = async (
      user: string,
      more: Partial<RequestInput> = {},
      from: SipPeer = phone,
    ): Promise<SipMessage> => {
      const aor = `sip:${user}@${bench.router.host}`;
      const sent = await request(from, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        from: `<${aor}>;tag=1`,
        to: `<${aor}>`,
        ...more,
      });
      return sent.final();
    };
    const registered = async (peer: SipPeer, reply: SipMessage): Promise<SipMessage> =>
      peer.waitFor("REGISTER", (message) => message.method === "REGISTER" && callIdOf(message) === callIdOf(reply));

    test("REGISTER goes to the PBX that owns the extension, with Path and Supported: path", async () => {
      const reply = await register("1001");
      expect(reply.status).toBe(200);
      const arrived = await registered(pbx, reply);
      expect(headers(arrived, "path")).toEqual([
        expect.stringMatching(/^<sip:path@[0-9.]+(:5060)?;lr;received=sip:[0-9.]+:5070/),
      ]);
      expect(header(arrived, "supported")).toBe("path");
      expect(backup.requests("REGISTER")).toEqual([]);
    });

    test("a phone's own Supported is kept", async () => {
      const arrived = await registered(pbx, await register("1001", { fields: [["Supported", "gruu, path"]] }));
      expect(headers(arrived, "supported")).toEqual(["gruu, path"]);
    });

    const capped: readonly [name: string, more: Partial<RequestInput>, expires: string | undefined, contact: RegExp][] =
      [
        ["nothing said", {}, "300", /^[^;]*(;transport=udp)?>$/],
        ["a header beyond the cap", { fields: [["Expires", "3600"]] }, "300", />$/],
        ["a header below the cap", { fields: [["Expires", "60"]] }, "60", />$/],
        ["the cap itself", { fields: [["Expires", "300"]] }, "300", />$/],
        ["one more than the cap", { fields: [["Expires", "301"]] }, "300", />$/],
        ["a removal", { fields: [["Expires", "0"]] }, "0", />$/],
        ["the largest", { fields: [["Expires", "4294967295"]] }, "300", />$/],
        ["with zeros", { fields: [["Expires", "0003600"]] }, "300", />$/],
        ["in the Contact, beyond", { contact: "<sip:1001@192.0.2.1>;expires=7200" }, "300", /;expires=300$/],
        [
          "in the Contact, with zeros, capitals and spaces",
          { contact: "<sip:1001@192.0.2.1>; Expires = 00007200;q=1" },
          "300",
          /= ?300;q=1$/i,
        ],
        ["in the Contact, below", { contact: "<sip:1001@192.0.2.1>;expires=299" }, "300", /;expires=299$/],
        [
          "two Contacts",
          { contact: "<sip:a@192.0.2.1>;expires=9999, <sip:b@192.0.2.1>;expires=10" },
          "300",
          /expires=300/,
        ],
      ];
    test.each(capped)("the lifetime is capped: %s", async (_, more, expires, contact) => {
      const arrived = await registered(pbx, await register("1001", more));
      expect(headers(arrived, "expires")).toEqual(expires === undefined ? [] : [expires]);
      expect(headers(arrived, "contact")[0]).toMatch(contact);
    });

    test.each(["soon", "18446744073709551616"])(
      "a lifetime that is no number of 32 bits is refused: %s",
      async (expires) => {
        expect((await register("1001", { fields: [["Expires", expires]] })).status).toBe(400);
      },
    );

    test("when the PBX fails, its backup gets the REGISTER", async () => {
      pbx.behaviour = silent;
      const reply = await register("1002");
      expect(reply.status).toBe(200);
      await registered(backup, reply);
    });

    test("a phone keeps to one PBX of a tier, also when it answers a challenge", async () => {
      const users = ["2001", "2002", "2003", "2004", "2005", "2006", "2007", "2008"];
      for (const user of users) for (let index = 0; index < 3; index += 1) await register(user);
      const at = (peer: SipPeer) => new Set(peer.requests("REGISTER").map((message) => header(message, "to")));
      expect([...at(first)].filter((user) => at(second).has(user))).toEqual([]);
      expect(at(first).size + at(second).size).toBe(users.length);
      expect(Math.min(at(first).size, at(second).size)).toBeGreaterThan(0);
    });

    const digest = 'Digest username="1001", realm="pbx", nonce="1", uri="sip:pbx", response="00"';
    const challenge = answering(401, { fields: [["WWW-Authenticate", 'Digest realm="pbx", nonce="1"']] });
    const setState = (state: "ip" | "ap"): Promise<unknown> =>
      bench.call("dispatcher.set_state", state, kamailioSetId(1, 0), `sip:${pbx.host}:${pbx.port};transport=udp`);

    test("a challenge of the PBX passes", async () => {
      pbx.behaviour = answering(401, { fields: [["WWW-Authenticate", 'Digest realm="pbx", nonce="1"']] });
      const reply = await register("1001");
      expect([reply.status, header(reply, "www-authenticate")]).toEqual([401, 'Digest realm="pbx", nonce="1"']);
    });

    test("a phone's answer to a challenge reaches the PBX that asked, by a URI without a user", async () => {
      pbx.behaviour = challenge;
      const refused = await register("1001");
      pbx.behaviour = answering(200);
      const reply = await register("1001", { callId: callIdOf(refused), cseq: 2, fields: [["Authorization", digest]] });
      expect(reply.status).toBe(200);
      const arrived = pbx.requests("REGISTER").at(-1);
      expect([arrived?.uri, arrived && header(arrived, "authorization")]).toEqual([
        `sip:${pbx.host}:${pbx.port};transport=udp`,
        digest,
      ]);
    });

    test("the PBX that asked has died since: the answer goes to the backup, which may ask in its turn", async () => {
      pbx.behaviour = challenge;
      const refused = await register("1001");
      const again = { callId: callIdOf(refused), cseq: 2, fields: [["Authorization", digest]] as const };
      const taken = backup.requests("REGISTER").length;
      // not known to be dead
      pbx.behaviour = silent;
      expect((await register("1001", again)).status).toBe(200);
      // known to be dead: it is not even tried
      await setState("ip");
      onTestFinished(() => setState("ap").then(() => undefined));
      const tried = pbx.requests("REGISTER").length;
      backup.behaviour = challenge;
      expect((await register("1001", again)).status).toBe(401);
      backup.behaviour = answering(200);
      const reply = await register("1001", { ...again, cseq: 3 });
      expect(reply.status).toBe(200);
      expect(pbx.requests("REGISTER")).toHaveLength(tried);
      expect(backup.requests("REGISTER")).toHaveLength(taken + 3);
    });

    test("an answer to the challenge of a backup reaches the backup at once, though the first is up again", async () => {
      await setState("ip");
      onTestFinished(() => setState("ap").then(() => undefined));
      backup.behaviour = challenge;
      const refused = await register("1001");
      expect(refused.status).toBe(401);
      await setState("ap");
      backup.behaviour = answering(200);
      const tried = pbx.requests("REGISTER").length;
      const reply = await register("1001", { callId: callIdOf(refused), cseq: 2, fields: [["Authorization", digest]] });
      expect(reply.status).toBe(200);
      await registered(backup, reply);
      expect(pbx.requests("REGISTER")).toHaveLength(tried);
    });

    test("a phone of the backup registers again at its PBX that is back, though it has credentials for the backup", async () => {
      await setState("ip");
      onTestFinished(() => setState("ap").then(() => undefined));
      backup.behaviour = challenge;
      const callId = callIdOf(await register("1001"));
      backup.behaviour = answering(200);
      const fields = [["Authorization", digest]] as const;
      await registered(backup, await register("1001", { callId, cseq: 2, fields }));
      await setState("ap");
      const before = backup.requests("REGISTER").length;
      pbx.behaviour = challenge;
      expect((await register("1001", { callId, cseq: 3, fields })).status).toBe(401);
      pbx.behaviour = answering(200);
      expect((await register("1001", { callId, cseq: 4, fields })).status).toBe(200);
      expect(backup.requests("REGISTER")).toHaveLength(before);
    });

    test("an answer to the challenge of a trunk takes no number of another set there", async () => {
      const uri = (number: string): string => `sip:${number}@${bench.router.host}`;
      trunk.behaviour = answering(407, { fields: [["Proxy-Authenticate", 'Digest realm="trunk", nonce="1"']] });
      const asked = await request(phone, bench.router, { method: "INVITE", uri: uri("555"), cseq: 1 });
      expect((await asked.final()).status).toBe(407);
      trunk.behaviour = answering(200);
      const { callId } = asked;
      const fields = [["Proxy-Authorization", digest]] as const;
      const answer = await request(phone, bench.router, {
        method: "INVITE",
        uri: uri("1777"),
        callId,
        cseq: 2,
        fields,
      });
      expect((await answer.final()).status).toBe(200);
      expect([pbx, trunk].map((peer) => peer.calls.filter((one) => one === callId).length)).toEqual([1, 1]);
    });

    test("nobody registers at a trunk or as nobody's number", async () => {
      expect((await register("555")).status).toBe(403);
      expect((await register("0555")).status).toBe(403);
      expect((await register("alice")).status).toBe(404);
      expect(trunk.requests("REGISTER")).toEqual([]);
    });

    test.each([
      ["UDP", () => phone],
      ["TCP", () => phoneTcp],
    ] as const)("a phone behind NAT that registered over %s is called through the router", async (_, which) => {
      const caller = which();
      const reply = await register("1001", { contact: "<sip:1001@192.168.77.7:5060>" }, caller);
      const arrived = await registered(pbx, reply);
      const path = headers(arrived, "path")[0] ?? "";
      const { sent, reply: answer } = await call(pbx, bench.router, "1001", {
        uri: uriIn(header(arrived, "contact")),
        fields: [["Route", path]],
      });
      expect(answer.status).toBe(200);
      const rang = await caller.waitFor(
        "INVITE",
        (message) => message.method === "INVITE" && callIdOf(message) === sent.callId,
      );
      expect(headers(rang, "route")).toEqual([]);
      expect(headers(rang, "record-route").length).toBeGreaterThan(0);
      expect((await bench.read()).calls).toBeGreaterThan(0);
    });

    test("a PBX that writes the Path into later requests of the call, too, reaches the phone", async () => {
      const arrived = await registered(pbx, await register("1001", { contact: "<sip:1001@192.168.77.7:5060>" }));
      const path = headers(arrived, "path")[0] ?? "";
      const { sent, dialog } = await call(pbx, bench.router, "1001", {
        uri: uriIn(header(arrived, "contact")),
        fields: [["Route", path]],
      });
      const fields = [...dialog.routes, path].map((route): [string, string] => ["Route", route]);
      const bye = await within(pbx, bench.router, dialog, "BYE", sent.input.cseq + 1, { fields });
      expect((await bye.final()).status).toBe(200);
      const ended = phone.requests("BYE").find((message) => callIdOf(message) === sent.callId);
      expect(ended && headers(ended, "route")).toEqual([]);
    });

    test("a PBX's OPTIONS along the Path reaches the phone", async () => {
      const path = headers(await registered(pbx, await register("1001")), "path")[0] ?? "";
      const sent = await request(pbx, bench.router, { method: "OPTIONS", uri: phone.uri, fields: [["Route", path]] });
      expect((await sent.final()).status).toBe(200);
      expect(phone.requests("OPTIONS").map((message) => callIdOf(message))).toContain(sent.callId);
    });

    test("a stranger cannot use the Path to reach anybody: the Route is dropped", async () => {
      const victim = await bench.peer(66);
      const route = `<sip:path@${bench.router.host};lr;received=sip:${victim.host}:5060>`;
      const sent = await request(phone, bench.router, {
        method: "INVITE",
        uri: `sip:1001@${victim.host}`,
        fields: [["Route", route]],
      });
      expect((await sent.final()).status).toBe(200);
      expect(pbx.calls).toContain(sent.callId);
      expect(headers(pbx.requests("INVITE").at(-1) ?? sent.replies[0] ?? (await sent.final()), "route")).toEqual([]);
      expect(victim.received).toEqual([]);
    });

    test("while the router drains its phones are reached, and those with a connection keep it; nothing else is new", async () => {
      const path = headers(await registered(pbx, await register("1001")), "path")[0] ?? "";
      await bench.call("htable.seti", "st", "drain", 1);
      try {
        const fields: [string, string][] = [["Route", path]];
        const { reply, dialog } = await call(pbx, bench.router, "1001", { uri: phone.uri, fields });
        expect(reply.status).toBe(200);
        expect((await (await within(pbx, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
        expect((await register("1002", {}, phoneTcp)).status).toBe(200);
        expect((await register("1002")).status).toBe(503);
        for (const caller of [pbx, phone])
          expect(
            (await (await request(caller, bench.router, { method: "INVITE", uri: "sip:1001@x" })).final()).status,
          ).toBe(503);
        const forged = await request(phone, bench.router, { method: "INVITE", uri: "sip:1001@x", fields });
        expect((await forged.final()).status).toBe(503);
      } finally {
        await bench.call("htable.seti", "st", "drain", 0);
      }
    });

    test("a phone that takes long to ring is waited for", async () => {
      const path = headers(await registered(pbx, await register("1001")), "path")[0] ?? "";
      phone.behaviour = (message, send) => {
        if (
          message.method === "INVITE" &&
          phone.requests("INVITE").filter((one) => callIdOf(one) === callIdOf(message)).length === 3
        )
          send(writeReply(message, 200, { contact: `<${phone.uri}>` }));
      };
      const sent = await request(pbx, bench.router, { method: "INVITE", uri: phone.uri, fields: [["Route", path]] });
      expect((await sent.final()).status).toBe(200);
    });
  },
);

withKamailio(
  "registration refused by the router",
  async (bench) => {
    const only = await bench.peer(11);
    await bench.start(
      routerPlan({
        structure: { registration: { mode: "Reject", maxExpiresSeconds: 300 } },
        sets: [{ name: "pbx", id: 1, destinations: [only] }],
        routes: [{ name: "pbx", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    test("REGISTER gets 403", async () => {
      const caller = await bench.peer(20, 5070);
      const sent = await request(caller, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        to: "<sip:1001@x>",
      });
      expect((await sent.final()).status).toBe(403);
    });
  },
);
