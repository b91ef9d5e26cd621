/** What the demo does, step by step; each step gives rows of the result. */
import type { Callers, SipRouter } from "../../src/api/index.ts";
import { Answering, type Answers, bound, register, startCalls } from "./endpoints.ts";
import { addedByRouter } from "./latency.ts";
import { until } from "./processes.ts";
import type { Router } from "./router.ts";
import { backendAt, membersOf, NETWORK, type Samples, writeObject } from "./samples.ts";
import type { Row } from "./table.ts";

export interface Demo {
  readonly samples: Samples;
  readonly router: Router;
  readonly pbx: ReadonlyMap<string, Answering>;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

interface Target {
  readonly name: string;
  readonly number: string;
  readonly first: readonly string[];
  readonly backup: readonly string[];
  readonly callers: Callers;
}

const stranger = { ip: `${NETWORK}.201`, port: 5070 };
const phoneAt = { ip: `${NETWORK}.202`, port: 5072 };
const PSTN_NUMBER = "0012125550100";

/** One number for each route of the samples, and one that no route claims. */
export function targetsOf(router: SipRouter): Target[] {
  const routes = router.spec.routes ?? [];
  const targets = routes.map(({ name, match, set, callers }) => {
    const first = match.extensions?.[0]?.split("-")[0] ?? `${match.prefixes?.[0] ?? ""}12345`;
    const number = first.replace(/0$/, "5");
    return { name, number, ...membersOf(router, set), callers: callers ?? "Anyone" };
  });
  const { external } = router.spec;
  if (!external) return targets;
  const callers = external.callers ?? "Trusted";
  return [...targets, { name: "external", number: PSTN_NUMBER, ...membersOf(router, external.set), callers }];
}

const tally = (answers: Answers): string => {
  const counts = new Map<string, number>();
  for (const answer of answers.toSorted()) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return [...counts].map(([answer, count]) => (answers.length === 1 ? answer : `${count}x ${answer}`)).join(", ");
};
const row = (sent: string, expected: string, answers: Answers): Row => {
  const result = tally(answers);
  return { sent, expected, result, right: result === expected };
};

const edge = (demo: Demo, replica = 0) => demo.samples.replicas[replica % demo.samples.replicas.length] ?? stranger;
const addressOf = (demo: Demo, backend: string) => demo.samples.backends.get(backend) ?? stranger;
const pbxOf = (demo: Demo, name: string): Answering => {
  const pbx = demo.pbx.get(name);
  if (!pbx) throw new Error(`the samples have no backend ${name}`);
  return pbx;
};
/** A PBX that places a call does so from its own address. */
const callingPbx = (demo: Demo, backend: string) => ({ ip: addressOf(demo, backend).ip, port: 5098 });
const callerOf = (demo: Demo, target: Target, insider: string) =>
  target.callers === "Trusted" ? callingPbx(demo, insider) : stranger;

const call = (demo: Demo, number: string, from = stranger, replica = 0): Promise<Answers> =>
  startCalls({ number, from, to: edge(demo, replica) }, demo.folder).done;

export async function everyRoute(demo: Demo, targets: readonly Target[], insider: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const target of targets) {
    demo.say(`calling ${target.number} (${target.name}) at every replica, straight to the PBX for comparison`);
    const from = callerOf(demo, target, insider);
    const calls = demo.samples.replicas.length * target.first.length * 2;
    const answers: string[] = [];
    for (let index = 0; index < demo.samples.replicas.length; index++) {
      const each = { number: target.number, from, to: edge(demo, index), calls: calls / demo.samples.replicas.length };
      answers.push(...(await startCalls(each, demo.folder).done));
    }
    const share = calls / target.first.length;
    const expected = target.first
      .toSorted()
      .map((name) => `${share}x 200 ${name}`)
      .join(", ");
    const pbx = addressOf(demo, target.first[0] ?? "");
    const probe = { ip: from.ip, port: 5099 };
    const added = await addedByRouter({ number: target.number, from: probe, router: edge(demo), pbx, calls: 60 });
    const sent = `${calls} calls to ${target.number}${target.callers === "Trusted" ? ` from ${insider}` : ""}`;
    const reached = row(sent, expected, answers);
    rows.push({ ...reached, right: reached.right && added !== undefined, addedMs: added ?? "failed" });
  }
  return rows;
}

export async function failover(demo: Demo, target: Target): Promise<Row[]> {
  const [main = "", backup = ""] = [target.first[0], target.backup[0]];
  const rows: Row[] = [];
  demo.say(`${main} is stopped: the call waits for it (timeoutSeconds) and goes to ${backup}`);
  await pbxOf(demo, main).stop();
  rows.push(row(`${target.number}, ${main} just stopped`, `200 ${backup}`, await call(demo, target.number)));
  await demo.router.awaitBackend(main, "Inactive");
  demo.say(`status says ${main} is Inactive: calls go to ${backup} at once`);
  rows.push(row(`${target.number}, ${main} Inactive`, `200 ${backup}`, await call(demo, target.number)));
  demo.say(`${backup} is stopped too`);
  await pbxOf(demo, backup).stop();
  rows.push(row(`${target.number}, both stopped`, "503 router", await call(demo, target.number)));
  demo.say("both come back");
  for (const name of [main, backup]) pbxOf(demo, name).start();
  for (const name of [main, backup]) await demo.router.awaitBackend(name, "Active");
  rows.push(row(`${target.number}, both back`, `200 ${main}`, await call(demo, target.number)));
  return rows;
}

export async function phone(demo: Demo, target: Target): Promise<Row[]> {
  const [name = ""] = target.first;
  demo.say(`a phone registers as ${target.number} through the router, and ${name} calls it`);
  const answer = await register(target.number, phoneAt, edge(demo), demo.folder);
  const registered = pbxOf(demo, name).registrations().at(-1);
  const throughRouter = registered?.path.includes(edge(demo).ip) === true;
  const expected = `200 ${name}, with Path`;
  const result = `${answer}, ${throughRouter ? "with Path" : "without the router's Path"}`;
  const rows = [{ sent: `REGISTER of phone ${target.number}`, expected, result, right: result === expected }];
  const ringing = new Answering("phone", phoneAt, demo.folder);
  ringing.start();
  await bound(phoneAt, demo.signal);
  const { number } = target;
  const calls = { number, from: callingPbx(demo, name), to: edge(demo), ...(registered ? { phone: registered } : {}) };
  rows.push(row(`${name} calls phone ${number}`, "200 phone", await startCalls(calls, demo.folder).done));
  await ringing.stop();
  return rows;
}

/** A backend joins a set while calls run: none is lost, and it takes its share. */
export async function addedWhileCalling(demo: Demo, target: Target): Promise<Row[]> {
  const name = `${target.first[0]}-new`;
  const at = { ip: `${NETWORK}.199`, port: addressOf(demo, target.first[0] ?? "").port };
  demo.say(`120 calls to ${target.number}, 20 per second; meanwhile the files of the router get a backend ${name}`);
  const added = new Answering(name, at, demo.folder);
  added.start();
  await bound(at, demo.signal);
  const to = edge(demo);
  const running = startCalls({ number: target.number, from: stranger, to, calls: 120, talkMs: 500 }, demo.folder);
  await until("no call is answered", () => running.answers().length >= 20, { seconds: 10, signal: demo.signal });
  const seen = demo.router.events().length;
  const { router, folder } = demo.samples;
  writeObject(folder, backendAt(name, at));
  const set = router.spec.routes?.find((route) => route.name === target.name)?.set;
  const dispatcherSets = router.spec.dispatcherSets.map((each) =>
    each.name === set ? { ...each, backends: [...(each.backends ?? []), { name }] } : each,
  );
  writeObject(folder, { ...router, spec: { ...router.spec, dispatcherSets } });
  await demo.router.awaitChange(seen);
  const before = running.answers().length;
  demo.say(`the change runs on every replica after ${before} of 120 calls`);
  const answers = await running.done;
  const lost = answers.filter((answer) => !answer.startsWith("200 ")).length;
  const share = answers.filter((answer) => answer === `200 ${name}`).length;
  const result = `${lost} lost, ${tally(answers)}`;
  const expected = `0 lost, some at ${name}`;
  return [{ sent: `120 calls to ${target.number}, backend added`, expected, result, right: lost === 0 && share > 0 }];
}

export async function strangersToTrunk(demo: Demo, target: Target): Promise<Row[]> {
  demo.say(`a stranger calls ${target.number}, which no route claims`);
  return [row(`${target.number} from a stranger`, "403 router", await call(demo, target.number))];
}
