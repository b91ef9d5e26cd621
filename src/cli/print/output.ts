/**
 * cli/print: how commands write, whatever it is that they write. Here: `-o`, colours, exit codes and the end of every
 * command: what was answered, and by whom it was not.
 */
import { dump } from "js-yaml";
import type { CommandIO } from "../../commands/io.ts";
import { OperatorError } from "../../errors.ts";
import { podNameOf, type FleetPod } from "../fleet/index.ts";
import { plain, type Style } from "./table.ts";
import { keyOf, type RawObject } from "../../api/index.ts";

export interface CliIO extends CommandIO {
  /** columns of the terminal that standard output is; undefined: it is none */
  readonly columns: number | undefined;
  /** of that terminal */
  readonly rows?: number | undefined;
  /** standard input and standard error are a person's terminal */
  readonly interactive?: boolean;
  /** to standard output, without a newline */
  write(text: string): void;
}

export const outputs = ["json", "yaml", "wide", "name"] as const;
export type Output = (typeof outputs)[number];

/** Everything was answered; something could not be done; the command line is wrong; only a part was answered; as a shell has it. */
export const EXIT = { ok: 0, failed: 1, usage: 2, partial: 3, interrupted: 130, terminated: 143 } as const;

export interface OutputOptions {
  readonly output?: string;
  readonly color?: boolean;
}

export function outputOf(options: OutputOptions): Output | undefined {
  if (options.output === undefined) return undefined;
  const found = outputs.find((one) => one === options.output);
  if (found === undefined)
    throw new OperatorError("SIPR_USAGE", `--output ${options.output} is unknown.`, {
      remedy: `Use one of ${outputs.join(", ")}.`,
    });
  return found;
}

/** https://no-color.org: set and not empty means no colour. */
export function styleOf(options: OutputOptions, io: CliIO): Style {
  const colour =
    options.color !== false && io.columns !== undefined && !io.env["NO_COLOR"] && io.env["TERM"] !== "dumb";
  return { width: io.columns, colour, wide: options.output === "wide" };
}

/** A pod's answer, or why there is none. */
export type Answer<Value> =
  | { readonly pod: FleetPod; readonly value: Value }
  | { readonly pod: FleetPod; readonly error: string; readonly remedy: string };

export const answered = <Value>(answers: readonly Answer<Value>[]): readonly { pod: FleetPod; value: Value }[] =>
  answers.filter((answer): answer is { pod: FleetPod; value: Value } => "value" in answer);

/** Asks all pods at once; one that does not answer never hides the others. */
export function askAll<Value>(
  pods: readonly FleetPod[],
  ask: (pod: FleetPod) => Promise<Value>,
): Promise<Answer<Value>[]> {
  return Promise.all(
    pods.map(async (pod): Promise<Answer<Value>> => {
      if (!pod.running)
        return { pod, error: pod.message || "it does not run", remedy: "Look at the pod's events and log." };
      try {
        return { pod, value: await ask(pod) };
      } catch (error) {
        if (error instanceof OperatorError) return { pod, error: error.message, remedy: error.remedy };
        throw error;
      }
    }),
  );
}

/**
 * To standard error: the pods that did not answer, and those that do not run. Returns the exit code: a pod that was never
 * started has nothing to say.
 */
export function reportUnanswered(answers: readonly Answer<unknown>[], io: CliIO): number {
  const missing = answers.flatMap((answer) => ("error" in answer ? [answer] : []));
  for (const { pod, error, remedy } of missing)
    io.stderr(
      plain(
        pod.running
          ? `no answer from pod ${podNameOf(pod)}: ${error} ${remedy}`
          : `pod ${podNameOf(pod)} does not run: ${error} ${remedy}`,
      ),
    );
  const silent = missing.filter(({ pod }) => pod.pending !== true);
  if (silent.length > 0) io.stderr(`incomplete: ${silent.length} of ${answers.length} pods did not answer.`);
  return silent.length > 0 ? EXIT.partial : EXIT.ok;
}

/** The same for all pods of a router, which has to have some. */
export function reportRouter(router: RawObject, answers: readonly Answer<unknown>[], io: CliIO): number {
  const code = reportUnanswered(answers, io);
  if (answers.some(({ pod }) => pod.pending !== true)) return code;
  io.stderr(`incomplete: no pod of SipRouter ${keyOf(router)} runs. See: kubectl sip status`);
  return EXIT.partial;
}

/** In the first line of what is shown of a router. */
export const podCount = (answers: readonly Answer<unknown>[]): string =>
  `pods ${answered(answers).length}/${answers.length}`;

export const notAnswering = (answers: readonly Answer<unknown>[]): { pod: string; error: string }[] =>
  answers.flatMap((answer) => ("error" in answer ? [{ pod: podNameOf(answer.pod), error: answer.error }] : []));

/** Prints `data` as asked, or `lines` where no format or `wide` is asked for. */
export function print(
  output: Output | undefined,
  io: CliIO,
  views: { readonly data: unknown; readonly lines: () => readonly string[]; readonly objects: readonly RawObject[] },
): void {
  if (output === "json") io.stdout(JSON.stringify(views.data, null, 2));
  else if (output === "yaml") io.stdout(dump(views.data, { lineWidth: -1, noRefs: true, skipInvalid: true }).trimEnd());
  else if (output === "name") for (const object of views.objects) io.stdout(objectName(object));
  else for (const line of views.lines()) io.stdout(line);
}

/** as `kubectl -o name` prints it */
const objectName = (object: RawObject): string =>
  `${object.kind.toLowerCase()}.${object.apiVersion.split("/")[0]}/${object.metadata.name}`;

/** The one router that is meant: named, or the only one. */
export function chooseRouters<Router extends RawObject>(
  routers: readonly Router[],
  name: string | undefined,
  source: string,
): readonly Router[] {
  const found =
    name === undefined ? routers : routers.filter((router) => router.metadata.name === name || keyOf(router) === name);
  if (found.length > 0) return found;
  if (name === undefined)
    throw new OperatorError("SIPR_USAGE", `There is no SipRouter in ${source}.`, {
      remedy: "Name another namespace with -n, all of them with -A, or other labels with -l.",
    });
  const known = routers
    .map((router) => keyOf(router))
    .slice(0, 8)
    .join(", ");
  throw new OperatorError("SIPR_USAGE", `There is no SipRouter ${name} in ${source}.`, {
    remedy: known === "" ? "Name another namespace with -n, or all of them with -A." : `Use one of: ${known}.`,
  });
}
