/** The standalone command as a user runs it: real Kamailios, the samples, real calls. */
import { createSocket } from "node:dgram";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callOnce } from "../../support/sip/caller.ts";
import { answering, SipPeer } from "../../support/sip/peer.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.40.5.1", "127.40.5.2"];
const samples = resolve(import.meta.dirname, "../../../config/samples");
let folders: StandaloneFolders;
let peers: SipPeer[];
let phone: SipPeer;
let started: Standalone[];

const start = (options: ConstructorParameters<typeof Standalone>[1] = { addresses }): Standalone => {
  const standalone = new Standalone(folders, options);
  started.push(standalone);
  return standalone;
};
const peer = async (host: string, port: number): Promise<SipPeer> => {
  const made = await SipPeer.listen({ host, port, transport: "UDP" }, answering(200));
  peers.push(made);
  return made;
};
const call = async (number: string, router = addresses[0] ?? "") =>
  callOnce(phone, { host: router, port: 5060 }, number);
const reached = async (pbx: SipPeer, number: string, address?: string): Promise<void> => {
  const { callId } = await call(number, address);
  expect(pbx.calls).toContain(callId);
};
/** The samples with loopback addresses, and an end that does not wait for calls. */
const backends = (change: (text: string) => string = (text) => text): void => {
  const text = readFileSync(join(samples, "backends.yaml"), "utf8");
  folders.write(
    "backends.yaml",
    change(text.replaceAll("192.168.1.", "127.40.6.").replaceAll("192.168.2.", "127.40.7.")),
  );
};
const router = (change: (text: string) => string = (text) => text): void => {
  const text = readFileSync(join(samples, "router.yaml"), "utf8");
  folders.write("router.yaml", change(`${text}\n  drain: {timeoutSeconds: 0}\n`));
};
const programmed = (standalone: Standalone, from: number) =>
  standalone.event("changed", ({ event }) => event === "changed", from);
const get = async (ip: string, path: string): Promise<number> => (await fetch(`http://${ip}:9060${path}`)).status;

beforeEach(async () => {
  folders = new StandaloneFolders();
  peers = [];
  started = [];
  phone = await peer("127.40.5.20", 5070);
  backends();
  router();
});
afterEach(async () => {
  for (const standalone of started) await standalone.end("SIGKILL");
  for (const one of peers) await one.close();
  folders.remove();
});

test("the samples become ready, calls reach their PBX on every address, and the status files say what is true", async () => {
  const freepbx = await peer("127.40.6.101", 5061);
  const standalone = start();
  await standalone.ready();
  expect(standalone.events.map(({ event }) => event)).toEqual(["changed", "ready"]);
  for (const address of addresses) {
    const { status, callId } = await call("1000", address);
    expect(status).toBe(200);
    expect(freepbx.calls).toContain(callId);
  }
  const { metadata, status } = folders.status("SipRouter", "edge");
  expect(metadata).toMatchObject({ name: "edge", namespace: "default", generation: 1 });
  expect(status).toMatchObject({ observedGeneration: 1, revision: standalone.events[0]?.revision, addresses });
  await until("the router is ready", () => folders.condition("SipRouter", "edge", "Ready").status === "True");
  expect(folders.status("SipRouter", "edge").status["pods"]).toHaveLength(2);
  expect(folders.condition("PbxBackend", "freepbx-1", "Accepted").status).toBe("True");
  expect(statSync(join(folders.state, "objects/default/Secret/edge-control.json")).mode & 0o777).toBe(0o600);
});

test("an edit takes effect without a restart; a bad one is refused and what served goes on", async () => {
  const [special, trunk, moved] = [
    await peer("127.40.6.105", 5065),
    await peer("127.40.7.1", 5060),
    await peer("127.40.6.200", 5065),
  ];
  const standalone = start();
  await standalone.ready();
  const pids = folders.pids();
  await reached(special, "3000");

  let from = standalone.events.length;
  backends((text) => text.replace("127.40.6.105", "127.40.6.200"));
  await programmed(standalone, from);
  for (const address of addresses) await reached(moved, "3000", address);

  from = standalone.events.length;
  router((text) => text.replace('"3000-3999"', '"3000-3499"'));
  await programmed(standalone, from);
  expect((await call("3500")).status).toBe(403);
  expect(trunk.calls).toEqual([]);

  from = standalone.events.length;
  router((text) => text.replace('"3000-3999"', '"1500-25"'));
  const refused = await standalone.event("rejected", ({ event }) => event === "rejected", from);
  expect(refused).toMatchObject({ object: "SipRouter default/edge", path: "spec.routes[2].match.extensions[0]" });
  await until("the status says so", () => folders.condition("SipRouter", "edge", "Accepted").status === "False");
  await reached(moved, "3000");

  from = standalone.events.length;
  router((text) => `${text}\n routes: [`);
  const broken = await standalone.event("rejected", ({ event }) => event === "rejected", from);
  expect(broken.path).toMatch(/^router\.yaml:\d+$/);
  await reached(moved, "3000");
  expect(folders.pids()).toEqual(pids);
});

test("a Kamailio that is killed comes back with the data of now", async () => {
  const moved = await peer("127.40.6.200", 5065);
  const standalone = start();
  await standalone.ready();
  const pids = folders.pids();
  const from = standalone.events.length;
  backends((text) => text.replace("127.40.6.105", "127.40.6.200"));
  await programmed(standalone, from);
  const [pod = "", pid = 0] = Object.entries(pids)[0] ?? [];
  process.kill(pid, "SIGKILL");
  await until("another process runs", () => folders.pids()[pod] !== pid && folders.pids()[pod]);
  await until("it is ready", async () => (await get(addresses[0] ?? "", "/readyz")) === 200);
  await reached(moved, "3000");
  await until("the router is ready", () => folders.condition("SipRouter", "edge", "Ready").status === "True");
});

test("killed, it leaves Kamailio serving; the next start takes over the same processes and their data", async () => {
  const [special, moved] = [await peer("127.40.6.105", 5065), await peer("127.40.6.200", 5065)];
  const first = start();
  await first.ready();
  await until("the router is ready", () => folders.condition("SipRouter", "edge", "Ready").status === "True");
  const [pids, before] = [folders.pids(), folders.status("SipRouter", "edge")];
  await first.end("SIGKILL");
  await reached(special, "3000");

  // edited while nobody looked
  backends((text) => text.replace("127.40.6.105", "127.40.6.200"));
  const second = start();
  await second.ready();
  await reached(moved, "3000");
  expect(folders.pids()).toEqual(pids);
  const after = folders.status("SipRouter", "edge");
  expect(after.metadata).toMatchObject({
    uid: before.metadata["uid"],
    generation: 1,
    creationTimestamp: before.metadata["creationTimestamp"],
  });
});

test("a second instance on the same state folder is refused and harms nothing", async () => {
  const first = start();
  await first.ready();
  const pids = folders.pids();
  const second = start();
  expect(await second.exited).toMatchObject({ code: 1 });
  expect(second.errors).toContain("SIPR_STATE_LOCKED");
  expect(second.errors).toContain(`pid ${first.pid}`);
  expect(folders.pids()).toEqual(pids);
  expect((await call("9999")).status).toBe(403);
});

test("a port in use is named with who holds it, in the status, and taken once it is free", async () => {
  const holder = createSocket("udp4");
  await new Promise<void>((done) => holder.bind(5060, addresses[0], done));
  const standalone = start();
  const failure = await until("the condition names it", () => {
    const { status, message } = folders.condition("SipRouter", "edge", "Ready");
    return status === "False" && message.includes("SIPR_PORT_IN_USE") && message;
  });
  expect(failure).toContain(`UDP ${addresses[0]}:5060`);
  expect(failure).toContain(`pid ${process.pid}`);
  await new Promise<void>((done) => holder.close(done));
  await standalone.ready();
});

test("SIGTERM ends every process; the next start serves again", async () => {
  const standalone = start();
  await standalone.ready();
  expect(folders.processes().length).toBeGreaterThan(2);
  expect(await standalone.end()).toMatchObject({ code: 0 });
  expect(folders.processes()).toEqual([]);
  const next = start();
  await next.ready();
  expect((await call("9999")).status).toBe(403);
});

test("a router that is removed takes its processes with it; one that is structurally changed rolls", async () => {
  const standalone = start({ addresses: [...addresses, "127.40.5.3"] });
  await standalone.ready();
  const pids = folders.pids();
  router((text) => text.replace("    - name: tcp\n      transport: TCP\n      port: 5060\n", ""));
  await until("all pods are new", () => {
    const names = Object.keys(folders.pids());
    return names.length === 2 && names.every((name) => pids[name] === undefined);
  });
  await until("it is rolled out", () => folders.condition("SipRouter", "edge", "Ready").status === "True");
  folders.write("router.yaml", "");
  await until("nothing runs", () => folders.processes().length === 0);
  expect(() => folders.status("SipRouter", "edge")).toThrow("ENOENT");
});

test("more replicas than addresses: fewer run, and the log and the condition say so", async () => {
  const standalone = start({ addresses: addresses.slice(0, 1) });
  await standalone.ready();
  expect(Object.keys(folders.pids())).toHaveLength(1);
  expect(standalone.errors).toContain("1 of 2 replicas run");
  const ready = await until("ready", () => {
    const condition = folders.condition("SipRouter", "edge", "Ready");
    return condition.status === "True" && condition;
  });
  expect(ready.message).toContain("1 of 2 replicas run");
});

test("without Kamailio it says what to install", async () => {
  const standalone = start({ addresses, kamailio: "/nowhere/kamailio" });
  expect(await standalone.exited).toMatchObject({ code: 1 });
  expect(standalone.errors).toContain("SIPR_KAMAILIO_MISSING");
  expect(standalone.errors).toContain("apt-get install kamailio");
});
