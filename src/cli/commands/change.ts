/** Commands that change something, or write a file. */
import { gzipSync } from "node:zlib";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { keyOf, type AdminState, type PbxBackend, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { callsOfBackend } from "./calls.ts";
import type { Context } from "./context.ts";
import { maskText, objectEvidence } from "../views/evidence.ts";
import type { Evidence } from "../fleet/index.ts";
import {
  answered,
  askAll,
  chooseRouters,
  EXIT,
  outputOf,
  print,
  reportUnanswered,
  styleOf,
  type OutputOptions,
} from "../print/output.ts";
import { packTar } from "../print/tar.ts";
import { allInSync, desiredOf, reloadJson, renderReload, verifyPod, type ReloadData } from "./verify.ts";
import { awaitNext } from "../print/watch.ts";

// reload ------------------------------------------------------------------------------------------------------------------

export interface ReloadOptions extends OutputOptions {
  /** seconds */
  readonly timeout: number;
}

/** Asks the operator, then reads every pod back until all run what they must, or the time is over. */
export async function reload(context: Context, name: string | undefined, options: ReloadOptions): Promise<number> {
  const { fleet, io } = context;
  const routers = chooseRouters(await fleet.routers(), name, fleet.source);
  const now = new Date(context.now()).toISOString().replace(/\.\d+Z$/, "Z");
  for (const router of routers) await fleet.requestReload(router, now);
  const deadline = context.now() + options.timeout * 1000;
  const results: ReloadData[] = [];
  for (const router of routers) results.push(await verifyRouter(context, router, deadline));
  const style = styleOf(options, io);
  print(outputOf(options), io, {
    data: results.length === 1 && results[0] ? reloadJson(results[0]) : results.map((one) => reloadJson(one)),
    lines: () => results.flatMap((one, index) => [...(index === 0 ? [] : [""]), ...renderReload(one, style)]),
    objects: routers,
  });
  const codes = results.map(({ answers }) => reportUnanswered(answers, io));
  if (results.every(allInSync)) return EXIT.ok;
  return codes.includes(EXIT.partial) ? EXIT.partial : EXIT.failed;
}

async function verifyRouter(context: Context, router: SipRouter, deadline: number): Promise<ReloadData> {
  const { fleet, io } = context;
  let told = -1;
  for (;;) {
    const desired = await desiredOf(fleet, router);
    if (desired === undefined)
      throw new OperatorError("SIPR_USAGE", `SipRouter ${keyOf(router)} has no data yet: nothing of it runs.`, {
        remedy: `Look at what is wrong: kubectl sip status ${router.metadata.name}`,
      });
    const pods = (await fleet.pods(router)).filter((pod) => !pod.terminating);
    const answers = await askAll(pods, (pod) => verifyPod(fleet, pod, desired));
    const data = { router, revision: desired.revision, answers };
    const good = answered(answers).filter(({ value }) => value.inSync).length;
    if (io.columns !== undefined && good !== told)
      io.stderr(`${keyOf(router)}: ${good} of ${pods.length} pods run revision ${desired.revision}`);
    told = good;
    if (allInSync(data) || context.now() >= deadline) return data;
    if (!(await awaitNext(0.5, io.signal))) return data;
  }
}

// drain -------------------------------------------------------------------------------------------------------------------

export interface DrainOptions {
  readonly wait: boolean;
  /** seconds */
  readonly timeout: number;
}

async function findBackend({ fleet }: Context, name: string): Promise<PbxBackend> {
  const backends = await fleet.backends();
  const found = backends.filter((one) => one.metadata.name === name || keyOf(one) === name);
  const [first] = found;
  if (first === undefined) {
    const known = backends
      .map((one) => keyOf(one))
      .slice(0, 8)
      .join(", ");
    throw new OperatorError("SIPR_USAGE", `There is no PbxBackend ${name} in ${fleet.source}.`, {
      remedy: known === "" ? "Name another namespace with -n." : `Use one of: ${known}.`,
    });
  }
  if (found.length > 1)
    throw new OperatorError(
      "SIPR_USAGE",
      `There are ${found.length} PbxBackends ${name}: ${found.map((one) => keyOf(one)).join(", ")}.`,
      {
        remedy: "Name one of them with its namespace.",
      },
    );
  return first;
}

async function setState(context: Context, name: string, state: AdminState): Promise<PbxBackend> {
  const backend = await findBackend(context, name);
  if ((backend.spec.adminState ?? "Enabled") === state) {
    context.io.stdout(`PbxBackend ${keyOf(backend)} is ${state} already`);
    return backend;
  }
  await context.fleet.setAdminState(backend, state);
  context.io.stdout(`PbxBackend ${keyOf(backend)}: spec.adminState is ${state} now`);
  return backend;
}

export async function drain(context: Context, name: string, options: DrainOptions): Promise<number> {
  const { io } = context;
  const backend = await setState(context, name, "Draining");
  const deadline = context.now() + options.timeout * 1000;
  let told: number | undefined;
  for (;;) {
    const { calls, answers, more } = await callsOfBackend(context, backend);
    if (calls !== told)
      io.stdout(`${more ? "at least " : ""}${calls} call${calls === 1 ? "" : "s"} left at ${backend.metadata.name}`);
    told = calls;
    const code = reportUnanswered(answers, io);
    if (!options.wait || (calls === 0 && !more && code === EXIT.ok)) return code;
    if (context.now() >= deadline) {
      io.stderr(
        `after ${options.timeout} s there are calls left: they go on; look again with: kubectl sip drain ${name}`,
      );
      return EXIT.failed;
    }
    if (!(await awaitNext(1, io.signal))) return EXIT.failed;
  }
}

export async function undrain(context: Context, name: string): Promise<number> {
  await setState(context, name, "Enabled");
  return EXIT.ok;
}

// diagnose ----------------------------------------------------------------------------------------------------------------

const asked = [
  "core.version",
  "core.uptime",
  "core.shmmem",
  "core.psx",
  "dispatcher.list",
  "dlg.stats_active",
  "mtree.summary",
  "stats.fetch",
] as const;

/** Without `to` only the list of what would be written. */
export async function diagnose(
  context: Context,
  name: string | undefined,
  options: { readonly to?: string },
): Promise<number> {
  const { fleet, io } = context;
  const routers = chooseRouters(await fleet.routers(), name, fleet.source);
  const namespaces = new Set(routers.map((one) => one.metadata.namespace));
  const backends = (await fleet.backends()).filter((one) => namespaces.has(one.metadata.namespace));
  const entries: Evidence[] = [...routers, ...backends].map((one) =>
    inNamespace(one.metadata.namespace, objectEvidence(one)),
  );
  const codes: number[] = [];
  for (const router of routers) {
    const { namespace } = router.metadata;
    entries.push(
      ...(await fleet.evidence(router)).map((one) =>
        inNamespace(namespace, { ...one, content: maskText(one.content) }),
      ),
    );
    const answers = await askAll(await fleet.pods(router), async (pod) => {
      const said: Record<string, unknown> = {};
      for (const method of asked)
        said[method] = await fleet
          .rpc(pod, method, method === "stats.fetch" ? ["all"] : [])
          .catch((error: unknown) => ({ error: String(error) }));
      return said;
    });
    codes.push(reportUnanswered(answers, io));
    for (const { pod, value } of answered(answers))
      entries.push(
        inNamespace(namespace, {
          name: `pods/${pod.name}.json`,
          content: `${maskText(JSON.stringify(value, null, 2))}\n`,
        }),
      );
  }
  const sorted = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of sorted) io.stdout(`${String(Buffer.byteLength(entry.content)).padStart(9)}  ${entry.name}`);
  if (options.to === undefined) {
    io.stderr(
      "Nothing was written. Secrets, tokens and credentials are removed; addresses, numbers and host names are not.",
    );
    io.stderr("Write it with: kubectl sip diagnose --to FILE.tar.gz");
  } else {
    await writeFile(resolve(io.cwd, options.to), gzipSync(packTar(sorted, context.now() / 1000)), { mode: 0o600 });
    io.stderr(`written: ${options.to}`);
  }
  return Math.max(EXIT.ok, ...codes);
}

const inNamespace = (namespace: string, entry: Evidence): Evidence => ({
  ...entry,
  name: `diagnose/${namespace}/${entry.name}`,
});
