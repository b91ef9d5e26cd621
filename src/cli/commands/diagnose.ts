/** `diagnose`: one archive for a bug report; without `to` only the list of what would be written. */
import { access, constants, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { SipRouter } from "../../api/index.ts";
import { OperatorError, type ErrorCode } from "../../errors.ts";
import type { Evidence, Fleet, FleetPod } from "../fleet/index.ts";
import { askAll, reportUnanswered, type CliIO } from "../print/output.ts";
import { packTar } from "../print/tar.ts";
import { maskObject, maskText, objectEvidence } from "../views/evidence.ts";
import { chosen, worst, type Context } from "./context.ts";

const groups = ["core", "dialog", "sl", "tmx", "usrloc", "sipr"];
const questions: readonly (readonly [string, ...string[]])[] = [
  ["core.version"],
  ["core.uptime"],
  ["core.shmmem"],
  ["core.psx"],
  ["dispatcher.list"],
  ["dlg.stats_active"],
  ["mtree.summary"],
  ...groups.map((group) => ["cnt.grp_get_all", group] as const),
];
/** The pod answered, though not what was asked: the next question is worth asking. */
const answeredWith: ReadonlySet<ErrorCode> = new Set(["SIPR_RPC_FAULT", "SIPR_RPC_MALFORMED"]);

export async function diagnose(
  context: Context,
  name: string | undefined,
  options: { readonly to?: string },
): Promise<number> {
  const { fleet, io } = context;
  const target = options.to === undefined ? undefined : resolve(io.cwd, options.to);
  if (target !== undefined) await checkWritable(target);
  const routers = await chosen(context, name);
  const namespaces = new Set(routers.map((one) => one.metadata.namespace));
  const backends = (await fleet.backends()).filter((one) => namespaces.has(one.metadata.namespace));
  const entries: Evidence[] = [...routers, ...backends].map((one) =>
    within(one.metadata.namespace, objectEvidence(one)),
  );
  const codes: number[] = [];
  for (const router of routers) {
    const found = await ofRouter(fleet, router, io);
    entries.push(...found.entries.map((one) => within(router.metadata.namespace, one)));
    codes.push(found.code);
  }
  entries.push(...(await fleet.operatorEvidence()).map((one) => within("operator", masked(one))));
  const sorted = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of sorted) io.stdout(`${String(Buffer.byteLength(entry.content)).padStart(9)}  ${entry.name}`);
  if (target === undefined) {
    io.stderr(
      "Nothing was written. Secrets, tokens and credentials are removed; addresses, numbers and host names are not.",
    );
    io.stderr("Write it with: kubectl sip diagnose --to FILE.tar.gz");
  } else {
    await writeFile(target, gzipSync(packTar(sorted, context.now() / 1000)), { mode: 0o600 });
    io.stderr(`written: ${options.to}`);
  }
  return worst(codes);
}

async function ofRouter(
  fleet: Fleet,
  router: SipRouter,
  io: CliIO,
): Promise<{ readonly entries: readonly Evidence[]; readonly code: number }> {
  const stored = (await fleet.evidence(router)).map(masked);
  const said = new Map<string, Record<string, unknown>>();
  const answers = await askAll(await fleet.pods(router), async (pod) => {
    const own: Record<string, unknown> = {};
    said.set(pod.name, own);
    await askPod(fleet, pod, own);
  });
  const told = [...said].map(([pod, own]): Evidence => ({
    name: `pods/${pod}.json`,
    content: `${JSON.stringify(maskObject(own), null, 2)}\n`,
  }));
  return { entries: [...stored, ...told], code: reportUnanswered(answers, io) };
}

/** Into `said`: what a pod had said before it ceased to answer is kept. Throws OperatorError then, and asks no more. */
async function askPod(fleet: Fleet, pod: FleetPod, said: Record<string, unknown>): Promise<void> {
  for (const [method, ...params] of questions) {
    const question = [method, ...params].join(" ");
    try {
      said[question] = await fleet.rpc(pod, method, params);
    } catch (error) {
      said[question] = { error: error instanceof Error ? error.message : String(error) };
      if (!(error instanceof OperatorError && answeredWith.has(error.code))) throw error;
    }
  }
}

/** Before anything is gathered. Throws OperatorError SIPR_USAGE. */
async function checkWritable(target: string): Promise<void> {
  const refuse = (why: string): never => {
    throw new OperatorError("SIPR_USAGE", `${target} cannot be written: ${why}.`, {
      remedy: "Name a file in a folder that is there and that you may write to: --to FILE.tar.gz.",
    });
  };
  const found = await stat(target).catch(() => undefined);
  if (found?.isDirectory() === true) refuse("it is a folder");
  await access(found === undefined ? dirname(target) : target, constants.W_OK).catch((error: NodeJS.ErrnoException) =>
    refuse(error.code === "ENOENT" ? `there is no folder ${dirname(target)}` : (error.code ?? error.message)),
  );
}

const masked = (entry: Evidence): Evidence => ({ ...entry, content: maskText(entry.content) });

const within = (folder: string, entry: Evidence): Evidence => ({ ...entry, name: `diagnose/${folder}/${entry.name}` });
