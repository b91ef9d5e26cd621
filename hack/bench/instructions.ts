/**
 * What each feature of a router costs, in instructions a call, beside the minimal proxy with both memory managers.
 *
 *   node hack/bench/instructions.ts                       all, on both Kamailio versions; writes .cache/bench/instructions.json
 *   node hack/bench/instructions.ts "minimal (fm)" router  these only
 *
 * BENCH_CALLS (200); BENCH_TOP=30 also prints where they are spent; BENCH_KAMAILIO=6 takes one version only.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { kamailio5, kamailio6, type KamailioProgram } from "../../test/support/sip/programs.ts";
import { hostAt } from "./addresses.ts";
import { callgrind, type Counts } from "./callgrind.ts";
import { CALLER, ended, PBX, startMinimal, startRouter, type RouterOptions, type Target } from "./calls.ts";
import { placeCalls, startPbx, type LoadOptions } from "./load.ts";

const calls = Number(process.env["BENCH_CALLS"] ?? 200);
const top = Number(process.env["BENCH_TOP"] ?? 0);
const ADDRESS = hostAt(6);
/** until transactions and dialogs that are over have left the memory, milliseconds */
const SETTLE = 8000;
const IDLE = 3000;

interface Variant {
  readonly name: string;
  readonly scenario?: LoadOptions["scenario"];
  start(program: KamailioProgram): Promise<Target>;
}

/** Not while the calls are counted. */
const healthCheck = { intervalSeconds: 600, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 };

const router = (name: string, options: RouterOptions = {}, scenario?: LoadOptions["scenario"]): Variant => ({
  name,
  ...(scenario === undefined ? {} : { scenario }),
  start: (program) =>
    startRouter(program, ADDRESS, name, { ...options, structure: { healthCheck, ...options.structure } }),
});

const realm = "bench.example";
const users = [{ user: "bench", ha1: createHash("md5").update(`bench:${realm}:bench`).digest("hex") }];
const caps = PBX.map((host, index) => ({
  uri: `sip:${host}:5060;transport=udp`,
  backend: `pbx-${index + 1}`,
  limit: 10_000,
}));

const variants: readonly Variant[] = [
  ...["qm", "fm"].map((manager) => ({
    name: `minimal (${manager})`,
    start: (program: KamailioProgram) => startMinimal(program, ADDRESS, manager),
  })),
  router("router"),
  router("+ 200 destinations", { more: 200 }),
  router("+ access lists", {
    structure: { accessControl: true },
    data: { access: { allow: [CALLER], deny: ["192.0.2.0/24"] } },
  }),
  router("+ rate limit", {
    structure: { rateLimit: true },
    data: { limits: { requestsPerSecond: 100_000, banSeconds: 60 } },
  }),
  router("+ maxCalls", { structure: { maxCalls: true }, data: { caps } }),
  router("+ CallLoad", { structure: { callLoad: true }, algorithm: "CallLoad" }),
  router(
    "+ digest",
    { structure: { authentication: { realm } }, data: { credentials: { salt: "bench", users } } },
    "callDigest",
  ),
  router("+ topology hiding", { structure: { topologyHiding: true } }),
];

interface Row {
  readonly variant: string;
  /** a call */
  readonly instructions: number;
  /** of these in timers */
  readonly timers: number;
  readonly failed: number;
  readonly retransmissions: number;
}

const measure = async (program: KamailioProgram, variant: Variant): Promise<readonly [Row, Counts]> => {
  const counter = await callgrind(program);
  const target = await variant.start(counter.program);
  const place = (count: number) =>
    placeCalls({
      from: CALLER, target: `${target.address}:5060`, number: "1001", calls: count, callsPerSecond: 20, holdMs: 200,
      ...(variant.scenario === undefined ? {} : { scenario: variant.scenario }),
    }); // prettier-ignore
  try {
    await counter.begin(target.pid);
    await place(40);
    await wait(SETTLE);
    await counter.zero(target.pid);
    await wait(IDLE);
    const idle = await counter.read(target.pid);
    await counter.zero(target.pid);
    const begun = performance.now();
    const load = await place(calls);
    await wait(SETTLE);
    const counts = await counter.read(target.pid);
    const timers = Math.max(0, counts.others - (idle.others * (performance.now() - begun)) / IDLE);
    const row = {
      variant: variant.name,
      instructions: Math.round((counts.receivers + timers) / calls),
      timers: Math.round(timers / calls),
      failed: load.failed,
      retransmissions: load.retransmissions,
    };
    return [row, counts];
  } finally {
    await target.stop();
    counter.remove();
  }
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const line = (cells: readonly (string | number)[]): string =>
  cells.map((cell, index) => (index === 0 ? String(cell).padEnd(20) : String(cell).padStart(14))).join("");
const thousands = (value: number): string => (value / 1000).toFixed(1);

const sayTop = ({ functions }: Counts): void => {
  for (const by of ["inclusive", "self"] as const) {
    say(line([`  by ${by}`, "1,000 a call", "calls a call"]));
    for (const one of functions.toSorted((a, b) => b[by] - a[by]).slice(0, top))
      say(line([`  ${one.name}`.padEnd(44), thousands(one[by] / calls), (one.calls / calls).toFixed(1)]));
  }
};

const names = process.argv.slice(2);
const chosen = names.length === 0 ? variants : variants.filter(({ name }) => names.includes(name));
const only = process.env["BENCH_KAMAILIO"] ?? "";
const results = [];
for (const program of [kamailio5(), kamailio6()].filter(({ name }) => name.startsWith(only))) {
  say(`\nKamailio ${program.name}: thousands of instructions a call, ${calls} calls each`);
  say(line(["", "instructions", "/ minimal (fm)", "of it timers", "failed", "sent again"]));
  const pbxes = PBX.map((address) => startPbx(address));
  const rows: Row[] = [];
  for (const variant of chosen) {
    const [row, counts] = await measure(program, variant);
    rows.push(row);
    const base = rows.find((one) => one.variant === "minimal (fm)")?.instructions ?? Number.NaN;
    say(
      line([
        row.variant, thousands(row.instructions), (row.instructions / base).toFixed(3), thousands(row.timers), row.failed, row.retransmissions,
      ]), // prettier-ignore
    );
    if (top > 0) sayTop(counts);
  }
  await Promise.all(pbxes.map(ended));
  results.push({ kamailio: program.name, calls, rows });
}
const folder = join(import.meta.dirname, "../../.cache/bench");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "instructions.json"), `${JSON.stringify(results, null, 2)}\n`);
say(`\nwritten: ${join(folder, "instructions.json")}`);
