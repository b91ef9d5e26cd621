import { expect, test } from "vitest";
import { decidePod } from "../../src/reload/decide.ts";
import { INACTIVE_FLAGS, TRYING_FLAGS } from "../../src/render/layout.ts";
import { call, callOnce, request, within } from "../support/sip/caller.ts";
import { callIdOf, header } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan, type PlanInput } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let first: SipPeer, second: SipPeer, backup: SipPeer, phone: SipPeer;

const input = (more: Partial<PlanInput> = {}): PlanInput => ({
  sets: [{ name: "pbx", id: 1, destinations: [at(first), { ...at(backup), priority: 1 }] }],
  routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
  drainTimeoutSeconds: 60,
  // a dead destination is found by the timeout of the health check, not by that of calls
  structure: { failover: { timeoutSeconds: 20, replies: ["408", "5xx"], maxAttempts: 4 } },
  ...more,
});

withKamailio(
  "data that changes, probing and drain",
  async (bench) => {
    [first, second, backup, phone] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13),
      bench.peer(20, 5070),
    ]);
    await bench.start(routerPlan(input()));
  },
  (bench) => {
    test("a Kamailio that was just started runs exactly what is desired", async () => {
      const { desired } = bench.kamailio.files;
      const reading = await bench.read();
      expect(reading.destinations.length).toBe(desired.dispatcher.length);
      expect(decidePod(desired, reading)).toEqual({ inSync: true, actions: [] });
      expect(reading.tables).toEqual(
        Object.fromEntries(desired.tables.map(({ name, generation }) => [name, generation])),
      );
      expect([reading.draining, reading.calls, reading.version]).toEqual([false, 0, bench.program.name]);
    });

    test("OPTIONS find a dead destination, calls go round it at once, and it comes back", async () => {
      await bench.untilState(first, "Active");
      first.alive = false;
      await bench.untilState(first, "Inactive");
      const { status, callId } = await callOnce(phone, bench.router, "1000");
      expect(status).toBe(200);
      expect(backup.calls).toContain(callId);
      expect(first.calls).not.toContain(callId);
      first.alive = true;
      await bench.untilState(first, "Active");
      const again = await callOnce(phone, bench.router, "1000");
      expect(first.calls).toContain(again.callId);
      const reading = await bench.read();
      expect(reading.destinations.find(({ uri }) => uri === first.uri)?.latencyMs).toBeDefined();
    });

    test("a destination added by RPC takes calls, one removed takes none, and the others keep their state", async () => {
      backup.alive = false;
      await bench.untilState(backup, "Inactive");
      await bench.call("dispatcher.add", 100, second.uri, 0, 0);
      const before = second.calls.length;
      for (let index = 0; index < 4; index += 1) expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      expect(second.calls.length - before).toBe(2);
      await bench.call("dispatcher.remove", 100, second.uri);
      for (let index = 0; index < 4; index += 1) expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      expect(second.calls.length - before).toBe(2);
      expect(await bench.stateOf(backup)).toBe("Inactive");
      backup.alive = true;
      await bench.untilState(backup, "Active");
    });

    test("a destination is added with its state: one known not to answer takes no call and is asked", async () => {
      const flagsOf = async (uri: string): Promise<string | undefined> =>
        (await bench.read()).destinations.find((one) => one.uri === uri)?.flags;
      const [inactive, trying] = [13, 14].map((host) => `sip:${bench.host(host + 50)}:5060;transport=udp`);
      await bench.call("dispatcher.add", 100, inactive ?? "", INACTIVE_FLAGS, 0);
      expect(await flagsOf(inactive ?? "")).toBe("IP");
      for (let index = 0; index < 3; index += 1) expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      await bench.call("dispatcher.add", 100, trying ?? "", TRYING_FLAGS, 0);
      expect(await flagsOf(trying ?? "")).toMatch(/^[TI]P$/);
      for (const uri of [inactive, trying]) await bench.call("dispatcher.remove", 100, uri ?? "");
    });

    test("a state reaches one entry of its set alone, in whichever spelling: so what stands in goes first", async () => {
      const spelled = first.uri.replace("udp", "UDP");
      await bench.call("dispatcher.add", 100, spelled, 0, 0);
      await bench.call("dispatcher.set_state", "d", 100, first.uri);
      const { destinations } = await bench.read();
      const both = destinations.filter(({ uri }) => uri.toLowerCase() === first.uri.toLowerCase());
      expect(both.map(({ state }) => state).toSorted()).toEqual(["Active", "Disabled"]);
      await bench.call("dispatcher.remove", 100, spelled);
      await bench.call("dispatcher.set_state", "ap", 100, first.uri);
      expect(await bench.stateOf(first)).toBe("Active");
    });

    test("states set by RPC: disabled is not called and stays so", async () => {
      await bench.call("dispatcher.set_state", "d", 100, first.uri);
      const { callId } = await callOnce(phone, bench.router, "1000");
      expect(backup.calls).toContain(callId);
      expect(await bench.stateOf(first)).toBe("Disabled");
      await bench.call("dispatcher.set_state", "ap", 100, first.uri);
      expect(await bench.stateOf(first)).toBe("Active");
    });

    test("new tables are read when their file is later by a whole second, and their generation proves it", async () => {
      for (const digits of ["2", "3", "4"]) {
        const { desired } = await bench.kamailio.writeData(
          routerPlan(
            input({
              routes: [{ name: "pbx", set: "pbx", digits, length: 4 }],
              domains: [{ domain: `d${digits}.example.com`, tenant: 1 }],
            }),
          ),
        );
        await bench.call("mtree.reload", "ext");
        await bench.call("htable.reload", "domains");
        expect((await bench.read()).tables).toEqual(
          Object.fromEntries(desired.tables.map(({ name, generation }) => [name, generation])),
        );
        expect((await callOnce(phone, bench.router, `${digits}000`)).status).toBe(200);
        expect((await callOnce(phone, bench.router, "1000")).status).toBe(404);
      }
      await bench.kamailio.writeData(routerPlan(input()));
      await bench.call("mtree.reload", "ext");
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
    });

    test("draining: no new calls, calls that run go on, the script ends when they are over", async () => {
      const { dialog, sent } = await call(phone, bench.router, "1000");
      const drained = bench.kamailio.drain();
      await until("draining", async () => (await bench.read()).draining);
      expect((await fetch(`http://${bench.kamailio.ip}:9060/readyz`)).status).toBe(503);
      expect((await fetch(`http://${bench.kamailio.ip}:9060/healthz`)).status).toBe(200);

      const refused = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      const reply = await refused.final();
      expect([reply.status, header(reply, "retry-after")]).toEqual([503, expect.stringMatching(/^[0-9]+$/)]);

      const again = await within(phone, bench.router, dialog, "INVITE", 2);
      expect((await again.final()).status).toBe(200);
      await within(phone, bench.router, dialog, "ACK", 2, { contact: null });
      expect((await bench.read()).calls).toBe(1);
      expect((await (await within(phone, bench.router, dialog, "BYE", 3)).final()).status).toBe(200);
      expect(first.requests("BYE").map((message) => callIdOf(message))).toContain(sent.callId);
      expect(await drained).toBe(0);
      await bench.call("htable.seti", "st", "drain", 0);
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
    });

    test("draining ends at its timeout with calls that do not end", async () => {
      await bench.kamailio.writeData(routerPlan(input({ drainTimeoutSeconds: 1 })));
      const { dialog } = await call(phone, bench.router, "1000");
      expect(await bench.kamailio.drain()).toBe(0);
      expect((await bench.read()).calls).toBe(1);
      await (await within(phone, bench.router, dialog, "BYE", 2)).final();
      await bench.call("htable.seti", "st", "drain", 0);
    });

    test("a destination that answers a probe with an error is alive, one that answers 503 is not", async () => {
      first.alive = true;
      const { behaviour } = first;
      first.probe = answering(404);
      await bench.call("dispatcher.set_state", "ip", 100, first.uri);
      await bench.untilState(first, "Active");
      first.probe = answering(503);
      await bench.untilState(first, "Inactive");
      first.probe = undefined;
      await bench.untilState(first, "Active");
      expect(first.behaviour).toBe(behaviour);
    });
  },
);

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});
