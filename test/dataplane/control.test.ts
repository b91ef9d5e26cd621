import { connect } from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import { canonicalBody } from "../../src/kamailio/control.ts";
import { callOnce, request } from "../support/sip/caller.ts";
import { writeMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";
import { until } from "../support/until.ts";

let pbx: SipPeer, phone: SipPeer;

withKamailio(
  "control port",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 5070)]);
    await bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    const base = (): string => `http://${bench.kamailio.ip}:9060`;
    const rpc = (body: string, token = bench.kamailio.control.token, init: RequestInit = {}): Promise<Response> =>
      fetch(`${base()}/rpc`, {
        method: "POST",
        body,
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        ...init,
      });
    const version = canonicalBody("core.version", [], 7);

    test("a canonical request with the token is served", async () => {
      const answer = await rpc(version);
      expect([answer.status, await answer.json()]).toEqual([
        200,
        { jsonrpc: "2.0", result: expect.stringContaining("kamailio"), id: 7 },
      ]);
    });

    test.each(["", "wrong", "0123456789abcdefghijklmnopqrstuvwxy"])("the token %j is refused", async (token) => {
      const answer = await rpc(version, token);
      expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    });

    test("no Authorization header is refused, and does not say what the token is", async () => {
      const answer = await fetch(`${base()}/rpc`, { method: "POST", body: version });
      expect(answer.status).toBe(401);
      expect(await answer.text()).not.toContain(bench.kamailio.control.token);
    });

    test.each(["core.kill", "secfilter.print", "cfg.seti", "db_text.query", "dispatcher.hash", "Core.Kill"])(
      "the method %s is not served",
      async (method) => {
        const answer = await rpc(version.replace("core.version", method));
        expect(answer.status).toBe(403);
        expect((await rpc(version)).status).toBe(200);
      },
    );

    test.each([
      ["a second method", version.replace('"params"', '"method":"core.kill","params"')],
      ["a second method in other case", version.replace('"params"', '"METHOD":"core.kill","params"')],
      ["a method first in other case", version.replace('{"jsonrpc"', '{"Method":"core.kill","jsonrpc"')],
      ["an escape in the method", version.replace("core.version", "core\\u002ekill")],
      ["an escape in a parameter", version.replace("[]", '["a\\"],\\"method\\":\\"core.kill\\",\\"x\\":[\\"b"]')],
      ["an object as parameter", version.replace("[]", '[{"method":"core.kill"}]')],
      ["a batch", `[${version}]`],
      ["two requests", `${version}${version}`],
      ["a line before", `\n${version}`],
      ["spaces", version.replaceAll(":", ": ")],
      ["no JSON", "method=core.kill"],
      ["nothing", ""],
    ])("a body that is not canonical is refused: %s", async (_, body) => {
      expect((await rpc(body)).status).toBe(400);
      expect((await rpc(version)).status).toBe(200);
    });

    test("a long body, another verb and another path are refused", async () => {
      expect((await rpc(version.replace("[]", `["${"a".repeat(5000)}"]`))).status).toBe(413);
      const get = await fetch(`${base()}/rpc`, {
        headers: { Authorization: `Bearer ${bench.kamailio.control.token}` },
      });
      expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
      expect((await fetch(`${base()}/healthz`, { method: "POST", body: "x" })).status).toBe(405);
      const headers = { Authorization: `Bearer ${bench.kamailio.control.token}` };
      for (const path of ["/", "/RPC", "/rpc/", "/rpc?x=1", "/%72pc", "//rpc"]) {
        expect((await fetch(`${base()}${path}`, { method: "POST", body: version, headers })).status, path).toBe(404);
        expect((await fetch(`${base()}${path}`, { headers })).status, path).toBe(404);
      }
    });

    test("health, readiness and metrics", async () => {
      expect((await fetch(`${base()}/healthz`)).status).toBe(200);
      expect((await fetch(`${base()}/readyz`)).status).toBe(200);
      await bench.call("htable.delete", "st", "seeded");
      const fresh = await fetch(`${base()}/readyz`);
      expect([fresh.status, await fresh.text()]).toEqual([503, "not read back yet\n"]);
      expect((await bench.read()).fresh).toBe(true);
      await until("it serves without an operator", async () => (await fetch(`${base()}/readyz`)).status === 200);
      await bench.call("htable.seti", "st", "seeded", 1);
      expect((await bench.read()).fresh).toBeUndefined();
      // asked by nobody for longer than three probes: it was cut off
      await bench.call("htable.seti", "st", "asked", Math.floor(Date.now() / 1000) - 7);
      expect((await fetch(`${base()}/readyz`)).status).toBe(503);
      expect((await bench.read()).fresh).toBe(true);
      await until("it serves without an operator", async () => (await fetch(`${base()}/readyz`)).status === 200);
      await bench.call("htable.seti", "st", "seeded", 1);
      const metrics = await fetch(`${base()}/metrics`);
      expect(metrics.status).toBe(200);
      expect(await metrics.text()).toMatch(/^kamailio_dialog_active_dialogs 0/m);
    });

    test("messages and memory are counted: what the metrics tell is what was sent, and what Kamailio tells by RPC", async () => {
      const metrics = async (): Promise<Map<string, number>> =>
        new Map(
          (await (await fetch(`${base()}/metrics`)).text())
            .split("\n")
            .map((line) => /^kamailio_([a-z0-9_]+)(?:\{[^}]*\})? ([0-9.e+]+)/.exec(line))
            .flatMap((found) => (found === null ? [] : [[found[1] ?? "", Number(found[2])] as const])),
        );
      const before = await metrics();
      const got = async (name: string): Promise<number> =>
        ((await metrics()).get(name) ?? NaN) - (before.get(name) ?? NaN);
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      for (const [status, kind] of [
        [302, "3xx"],
        [486, "4xx"],
        [501, "5xx"],
        [603, "6xx"],
      ] as const) {
        pbx.behaviour = answering(status);
        await callOnce(phone, bench.router, "1000");
        expect([kind, await got(`core_rcv_replies_${kind}_invite`)]).toEqual([kind, 1]);
      }
      pbx.behaviour = answering(200);
      expect(await got("core_rcv_replies_2xx_invite")).toBe(1);
      expect(await got("core_rcv_requests_invite")).toBe(5);
      expect(await bench.call("cnt.grp_get_all", "core")).toMatchObject({
        rcv_requests_invite: (await metrics()).get("core_rcv_requests_invite"),
      });
      const { total, max_used } = (await bench.call("core.shmmem")) as { total: number; max_used: number };
      expect((await metrics()).get("shmem_total_size")).toBe(total);
      const used = (await metrics()).get("shmem_real_used_size") ?? 0;
      expect(used).toBeGreaterThan(1_000_000);
      expect(used).toBeLessThanOrEqual(max_used);
    });

    /** What comes back for raw bytes, until the other side is silent after a request that is answered. */
    async function answerTo(port: number, text: string): Promise<string> {
      const socket = connect({ host: bench.kamailio.ip, port });
      await once(socket, "connect");
      let got = "";
      socket.on("data", (data) => (got += data.toString()));
      socket.on("error", () => undefined);
      socket.end(text);
      // all that was sent has been handled once the router answers a later call
      await callOnce(phone, bench.router, "1000");
      await bench.call("core.version");
      socket.destroy();
      return got;
    }

    test("SIP is not answered on the control port, nor control on a SIP port", async () => {
      const options = writeMessage({
        first: `OPTIONS sip:${bench.kamailio.ip} SIP/2.0`,
        fields: [
          ["Via", `SIP/2.0/TCP ${phone.host}:5070;branch=z9hG4bK1`],
          ["Max-Forwards", "70"],
          ["From", "<sip:a@x>;tag=1"],
          ["To", "<sip:b@x>"],
          ["Call-ID", "control-port"],
          ["CSeq", "1 OPTIONS"],
        ],
      });
      expect(await answerTo(9060, options)).toBe("");
      const http = `POST /rpc HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${bench.kamailio.control.token}\r\nContent-Length: ${version.length}\r\n\r\n${version}`;
      expect(await answerTo(5060, http)).not.toContain("kamailio");
      expect(await answerTo(9060, http)).toContain("kamailio");
    });

    test("the token is in no argument and in no ConfigMap", () => {
      const files = Object.values({ ...bench.kamailio.files.structure, ...bench.kamailio.files.data }).join("");
      expect(files).not.toContain(bench.kamailio.control.token);
      expect(bench.kamailio.log).not.toContain(bench.kamailio.control.token);
    });

    test("a client error names the pod and the remedy", async () => {
      const wrong = { ...bench.kamailio.control, token: "x".repeat(32) };
      await expect(bench.control.call(wrong, "core.version")).rejects.toMatchObject({
        code: "SIPR_RPC_FAULT",
        message: expect.stringContaining("401"),
      });
      const nobody = { ...bench.kamailio.control, port: 9061 };
      await expect(bench.control.call(nobody, "core.version")).rejects.toMatchObject({
        code: "SIPR_RPC_UNREACHABLE",
        message: expect.stringContaining(bench.kamailio.ip),
      });
      await expect(bench.call("dispatcher.set_state", "ip", 999, "sip:x")).rejects.toMatchObject({
        code: "SIPR_RPC_FAULT",
        message: expect.stringContaining("State Update Failed"),
      });
      await expect(bench.call("core.kill")).rejects.toMatchObject({ code: "SIPR_RPC_MALFORMED" });
    });

    test("hundreds of requests at once are answered each with its own answer", async () => {
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, index) =>
          index % 2 === 0 ? bench.call("mtree.match", "ext", "*", 0) : bench.call("core.version"),
        ),
      );
      expect(new Set(answers.map((answer) => typeof answer))).toEqual(new Set(["object", "string"]));
      expect(answers.every((answer, index) => typeof answer === (index % 2 === 0 ? "object" : "string"))).toBe(true);
    });

    test("what a SIP caller may not see", async () => {
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:9@x" });
      const reply = await sent.final();
      expect(reply.text).not.toMatch(/kamailio/i);
    });
  },
);
