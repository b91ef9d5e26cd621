/** Callers and PBXes, all of them SIPp, with the scenarios of the demo. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ended, start, stop } from "../../../hack/demo/processes.ts";
import { until } from "../../support/until.ts";

export interface Address {
  readonly ip: string;
  readonly port: number;
}
export interface Calls {
  readonly from: Address;
  readonly to: Address;
  readonly number: string;
  readonly calls?: number;
  readonly perSecond?: number;
  readonly talkMs?: number;
}
/** `answers`: one per call that ended so far, "200 freepbx-1" or "503 router"; `done` adds "none" for each without. */
export interface Running {
  answers(): readonly string[];
  readonly done: Promise<readonly string[]>;
}

const scenario = (name: string): string =>
  fileURLToPath(new URL(`../../../hack/demo/scenarios/${name}.xml`, import.meta.url));
const linesOf = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];
let count = 0;

const startSipp = (name: string, log: string, own: Address, folder: string, args: readonly (string | number)[]) =>
  start(
    "sipp",
    // a 180 that UDP brings after the 200 is not the end of the call
    [
      `-sf ${scenario(name)} -i ${own.ip} -p ${own.port} -log_file ${log} -trace_logs -nostdin -default_behaviors all,-abortunexp`.split(
        " ",
      ),
      args,
    ]
      .flat()
      .map(String),
    { cwd: folder, output: `${log}.out` },
  );

/** Calls as described; a call whose BYE is not answered counts as "unfinished". */
export const startCalls = (
  { from, to, number, calls = 1, perSecond = 20, talkMs = 50 }: Calls,
  folder: string,
): Running => {
  const log = join(folder, `call-${(count += 1)}.log`);
  const args = [
    "-s",
    number,
    "-m",
    calls,
    "-r",
    perSecond,
    "-d",
    talkMs,
    "-recv_timeout",
    12_000,
    "-key",
    "from",
    "caller",
  ];
  const child = startSipp("call", log, from, folder, [...args, `${to.ip}:${to.port}`]);
  const answers = (): readonly string[] => linesOf(log);
  const done = ended(child).then((code) => {
    const all = [...answers(), ...Array<string>(Math.max(0, calls - answers().length)).fill("none")];
    return code !== 0 && all.every((answer) => answer.startsWith("200")) ? [...all, `unfinished, see ${log}.out`] : all;
  });
  return { answers, done };
};

/** A PBX that rings and answers every call, and says its name in what it answers. */
export const startPbx = async (name: string, at: Address, folder: string): Promise<{ stop(): Promise<void> }> => {
  const child = startSipp("pbx", join(folder, `${name}.log`), at, folder, ["-key", "who", name]);
  const octets = at.ip
    .split(".")
    .toReversed()
    .map((part) => Number(part).toString(16).padStart(2, "0"));
  const entry = ` ${octets.join("")}:${at.port.toString(16).padStart(4, "0")} `.toUpperCase();
  await until(`${name} listens`, () => readFileSync("/proc/net/udp", "utf8").includes(entry));
  // SIPp takes SIGTERM as "finish the calls first"
  return { stop: () => stop(child, 300) };
};
