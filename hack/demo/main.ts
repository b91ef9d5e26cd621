/**
 * `make demo`: the samples on this machine's loopback addresses, real Kamailios, real calls by SIPp. Exit code 0 only if
 * every row of the table is right. KEEP=1 leaves the router and the PBXes running.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { CONTROL_PORT } from "../../src/api/ports.ts";
import { Answering, bound, isBound } from "./endpoints.ts";
import { leaveAll, processesOf, stopAll } from "./processes.ts";
import { Router } from "./router.ts";
import { prepareSamples, type Samples } from "./samples.ts";
import { addedWhileCalling, type Demo, everyRoute, failover, phone, strangersToTrunk, targetsOf } from "./steps.ts";
import { renderTable, type Row } from "./table.ts";

const started = performance.now();
const say = (line: string): void =>
  console.log(`[${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s] ${line}`);

const interrupt = new AbortController();
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      reject(new Error("interrupted"));
      interrupt.abort(new Error("interrupted"));
    });
});

/** Everything that will be bound: SIP over UDP and TCP, the routers' control port, the PBXes. */
function takenPort({ replicas, backends }: Samples): string | undefined {
  const udp = [...replicas, ...backends.values()].filter((at) => isBound(at));
  const tcp = replicas.flatMap((at) => [at, { ...at, port: CONTROL_PORT }]).filter((at) => isBound(at, "TCP"));
  const named = [...udp.map((at) => ({ ...at, protocol: "UDP" })), ...tcp.map((at) => ({ ...at, protocol: "TCP" }))];
  return named.map(({ protocol, ip, port }) => `${protocol} ${ip}:${port}`)[0];
}

async function run(demo: Demo): Promise<Row[]> {
  const taken = takenPort(demo.samples);
  if (taken) throw new Error(`${taken} is in use, perhaps by a demo with KEEP=1: stop that one and try again`);
  say(`PBXes: ${[...demo.pbx.keys()].join(", ")}`);
  for (const pbx of demo.pbx.values()) pbx.start();
  for (const pbx of demo.pbx.values()) await bound(pbx.at, demo.signal);
  say("starting the router");
  await demo.router.start();
  for (const name of demo.pbx.keys()) await demo.router.awaitBackend(name, "Active");
  say(`the router is ready, ${demo.router.status()?.active ?? "?"} destinations active`);

  const targets = targetsOf(demo.samples.router);
  const paired = targets.find(({ first, backup }) => first.length > 0 && backup.length > 0);
  const single = targets.find(
    ({ first, backup, callers }) => first.length === 1 && backup.length === 0 && callers === "Anyone",
  );
  const trunk = targets.find(({ name }) => name === "external");
  if (!paired || !single || !trunk)
    throw new Error("the samples need a route with a backup, one without, and external");
  const rows = [
    await everyRoute(demo, targets, paired.first[0] ?? ""),
    await strangersToTrunk(demo, trunk),
    await phone(demo, paired),
    await addedWhileCalling(demo, single),
    await failover(demo, paired),
  ];
  return rows.flat();
}

function explainKeep(samples: Samples, router: Router, work: string): void {
  const edge = samples.replicas[0];
  const others = processesOf(work)
    .filter(({ command }) => command.startsWith("sipp "))
    .map(({ pid }) => pid);
  console.log(`
The router is still running. Point a soft phone on this machine at it:
  proxy / registrar: ${edge?.ip}:${edge?.port}, UDP, any user name of a route (e.g. 1001), no password
  (the PBXes behind it are SIPp: they answer every call and every REGISTER, without sound)
Resources: ${samples.folder} (edit them: changes count at once)
Status:    ${join(work, "state/status")}
Stop:      ${process.env.DEMO_STOP ?? `kill ${router.pid}; tail --pid=${router.pid} -f /dev/null; kill -9 ${others.join(" ")}; rm -r ${work}`}`);
}

/** Ends everything. Calls that were interrupted never end by themselves: then whatever is left is ended by force. */
async function cleanUp(router: Router, work: string, byForce: boolean): Promise<Row> {
  await router.stop(byForce ? 500 : 10_000);
  await stopAll();
  const left = processesOf(work);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  const programs = new Set(left.map(({ command }) => basename(command.split(" ")[0] ?? "")));
  const result = left.length === 0 ? "none left" : `${left.length} of ${[...programs].join(", ")}`;
  return { sent: "processes after the end", expected: "none left", result, right: left.length === 0 };
}

const work = mkdtempSync(join(tmpdir(), "sip-router-demo-"));
const samples = prepareSamples(join(import.meta.dirname, "../../config/samples"), join(work, "resources"));
console.log(`The samples of config/samples on this machine, with two changes:\n  ${samples.changed.join("\n  ")}`);
const pbx = new Map([...samples.backends].map(([name, at]) => [name, new Answering(name, at, work)]));
const router = new Router(samples, work, interrupt.signal);
const rows: Row[] = [];
let failure: unknown;
try {
  const demo: Demo = { samples, router, pbx, folder: work, signal: interrupt.signal, say };
  rows.push(...(await Promise.race([run(demo), interrupted])));
} catch (error) {
  failure = error;
}
const keep = (process.env.KEEP ?? "") !== "" && failure === undefined;
if (keep) leaveAll();
else {
  say("ending everything");
  const end = await cleanUp(router, work, interrupt.signal.aborted);
  if (rows.length > 0) rows.push(end);
}

if (rows.length > 0) console.log(`\n${renderTable(rows)}\n`);
const right = failure === undefined && rows.every((row) => row.right);
if (failure !== undefined) console.error(`error: ${failure instanceof Error ? failure.message : String(failure)}`);
if (keep) explainKeep(samples, router, work);
else if (right || interrupt.signal.aborted) rmSync(work, { recursive: true });
else console.error(`logs and state: ${work}`);
if (right) console.log(`every row is right (${Math.round((performance.now() - started) / 1000)} s)`);
// not by exitCode: a step that was interrupted may still wait for something
process.exit(interrupt.signal.aborted ? 130 : right ? 0 : 1);
