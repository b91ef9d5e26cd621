/**
 * How many phones a router keeps (`registration.mode: Registrar`): memory for each, processor time of REGISTER, calls to
 * them afterwards, and how long a second replica takes to learn of all of them.
 *
 *   node hack/bench/registrations.ts          prints a table and writes .cache/bench/registrations.json
 *
 * BENCH_REGISTRATIONS (default 20,000; the goal is 100,000) phones, BENCH_REGISTER_RATE (1,000) REGISTERs a second,
 * BENCH_REGISTERED_CALLS (2,000) calls.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createControl } from "../../src/kamailio/control.ts";
import type { ControlAddress } from "../../src/kamailio/types.ts";
import type { RouterPlan } from "../../src/ir/index.ts";
import { LocalKamailio } from "../../test/support/sip/kamailio.ts";
import { routerPlan } from "../../test/support/sip/plan.ts";
import { kamailio5, kamailio6, type KamailioProgram } from "../../test/support/sip/programs.ts";
import { until } from "../../test/support/until.ts";
import { cpuSeconds, memoryBytes } from "./processCpu.ts";
import { runSipp, startPhones, usersOf, type Placed, type User } from "./registrations/phones.ts";
import { row, say, writeResults } from "./report.ts";

const phones = Number(process.env["BENCH_REGISTRATIONS"] ?? 20_000);
const rate = Number(process.env["BENCH_REGISTER_RATE"] ?? 1000);
const calls = Number(process.env["BENCH_REGISTERED_CALLS"] ?? 2000);

const [ROUTER, REPLICA, PBX, PHONES, PHONE_PORT] = ["127.61.40.1", "127.61.40.2", "127.61.40.9", "127.61.40.20", 5070];
const REALM = "bench.example";
/** kamailio.shmMemoryMiB where a spec does not say it */
const SHM_MIB = 256;

const ha1Of = ({ name, password }: User): string =>
  createHash("md5").update(`${name}:${REALM}:${password}`).digest("hex");

const planOf = (users: readonly User[]): RouterPlan =>
  routerPlan({
    structure: {
      workers: 4,
      shmMemoryMiB: SHM_MIB,
      registration: { mode: "Registrar", maxExpiresSeconds: 3600 },
      authentication: { realm: REALM },
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 },
    },
    sets: [{ name: "pbx", id: 1, destinations: [{ host: PBX, port: 5060 }] }],
    routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
    data: {
      credentials: { salt: "bench", users: users.map((user) => ({ user: user.name, ha1: ha1Of(user) })) },
    },
  });

interface Result {
  readonly kamailio: string;
  readonly phones: number;
  readonly users: number;
  readonly register: Placed;
  /** contacts that Kamailio has afterwards */
  readonly kept: number;
  readonly bytesPerContact: number;
  /** shared memory in use, with the users' passwords, MiB */
  readonly sharedMiB: number;
  /** of all processes together */
  readonly residentMiB: number;
  /** challenge and answer: two requests */
  readonly cpuPer1000: number;
  readonly calls: Placed;
  readonly callCpuPer1000: number;
  /** seconds until a replica that was started afterwards knows all, and how many it knows */
  readonly replica: { readonly seconds: number; readonly kept: number; readonly sharedMiB: number };
}

const MIB = 1024 * 1024;
const control = createControl({ timeoutMs: 30_000 });

async function sharedBytes(address: ControlAddress): Promise<number> {
  const answer = (await control.call(address, "core.shmmem")) as { real_used?: number; used?: number };
  return Number(answer.real_used ?? answer.used);
}

async function contacts(address: ControlAddress): Promise<number> {
  const answer = (await control.call(address, "cnt.grp_get_all", ["usrloc"])) as Record<string, number>;
  return Number(answer["location_contacts"]);
}

/** Until nothing is added for two seconds, or all are there. */
async function untilKept(address: ControlAddress, wanted: number): Promise<number> {
  let last = -1;
  let since = performance.now();
  await until(
    "the contacts are there",
    async () => {
      const now = await contacts(address);
      if (now !== last) since = performance.now();
      last = now;
      return now >= wanted || (now > 0 && performance.now() - since > 10_000);
    },
    300_000,
  );
  return last;
}

async function measure(program: KamailioProgram): Promise<Result> {
  const users = usersOf(phones);
  const plan = planOf(users);
  const router = await LocalKamailio.start(program, plan, ROUTER);
  let replica: LocalKamailio | undefined;
  try {
    const empty = await sharedBytes(router.control);
    const lines = users.flatMap(({ name, password, phones: own }) =>
      Array.from(
        { length: own },
        (_, index) => `${name};[authentication username=${name} password=${password}];${index}`,
      ),
    );
    const target = `${ROUTER}:5060`;
    const idle = cpuSeconds(router.pid);
    const register = await runSipp({
      scenario: "register",
      from: PHONES,
      port: PHONE_PORT,
      target,
      lines,
      perSecond: rate,
    });
    const busy = cpuSeconds(router.pid);
    const kept = await untilKept(router.control, phones);
    const used = await sharedBytes(router.control);

    const answering = await startPhones(PHONES, PHONE_PORT);
    const single = users.filter((user) => user.phones === 1).map(({ name }) => name);
    const called = Array.from({ length: calls }, (_, index) => `${single[index % single.length]};`);
    const beforeCalls = cpuSeconds(router.pid);
    const placed = await runSipp({
      scenario: "callRegistered", from: PBX, port: 5060, target, lines: called, perSecond: 200, holdMs: 200,
    }); // prettier-ignore
    const afterCalls = cpuSeconds(router.pid);
    answering.kill("SIGTERM");
    await once(answering, "exit");

    const started = performance.now();
    replica = await LocalKamailio.start(program, plan, REPLICA, {}, ROUTER);
    const learned = await untilKept(replica.control, kept);
    const seconds = (performance.now() - started) / 1000;
    return {
      kamailio: program.name,
      phones,
      users: users.length,
      register,
      kept,
      bytesPerContact: Math.round((used - empty) / kept),
      sharedMiB: Math.round(used / MIB),
      residentMiB: Math.round(memoryBytes(router.pid) / MIB),
      cpuPer1000: ((busy - idle) / phones) * 1000,
      calls: placed,
      callCpuPer1000: ((afterCalls - beforeCalls) / calls) * 1000,
      replica: { seconds, kept: learned, sharedMiB: Math.round((await sharedBytes(replica.control)) / MIB) },
    };
  } finally {
    await replica?.stop();
    await router.stop();
  }
}

const columns: readonly (readonly [string, (result: Result) => string])[] = [
  ["phones registered", ({ kept, phones: wanted }) => `${kept}/${wanted}`],
  ["REGISTER failed", ({ register }) => `${register.failed}/${register.placed}`],
  ["REGISTER sent again", ({ register }) => String(register.retransmissions)],
  ["REGISTER a second", ({ register }) => (register.placed / register.seconds).toFixed(0)],
  ["CPU s/1000 registrations", ({ cpuPer1000 }) => cpuPer1000.toFixed(3)],
  ["bytes of memory a contact", ({ bytesPerContact }) => String(bytesPerContact)],
  ["shared memory in use, MiB", ({ sharedMiB }) => String(sharedMiB)],
  ["resident, MiB", ({ residentMiB }) => String(residentMiB)],
  ["calls to users failed", ({ calls: placed }) => `${placed.failed}/${placed.placed}`],
  ["CPU s/1000 calls", ({ callCpuPer1000 }) => callCpuPer1000.toFixed(3)],
  ["a new replica knows", ({ replica, kept }) => `${replica.kept}/${kept}`],
  ["after seconds", ({ replica }) => replica.seconds.toFixed(1)],
];

const results: Result[] = [];
for (const program of [kamailio5(), kamailio6()]) results.push(await measure(program));
control.close();
say(row(["Kamailio", ...results.map(({ kamailio }) => kamailio)]));
for (const [name, text] of columns) say(row([name, ...results.map(text)]));
writeResults("registrations", results);
