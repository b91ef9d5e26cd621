/** `diagnose`: one archive for a bug report; without `to` only the list of what would be written. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { Evidence } from "../fleet/index.ts";
import { answered, askAll, EXIT, reportUnanswered } from "../print/output.ts";
import { packTar } from "../print/tar.ts";
import { maskText, objectEvidence } from "../views/evidence.ts";
import { chosen, type Context } from "./context.ts";

const groups = ["core", "dialog", "sl", "tmx", "usrloc", "sipr"];
const asked = [
  "core.version",
  "core.uptime",
  "core.shmmem",
  "core.psx",
  "dispatcher.list",
  "dlg.stats_active",
  "mtree.summary",
] as const;

export async function diagnose(
  context: Context,
  name: string | undefined,
  options: { readonly to?: string },
): Promise<number> {
  const { fleet, io } = context;
  const routers = await chosen(context, name);
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
      const ask = (method: string, params: readonly string[] = []): Promise<unknown> =>
        fleet.rpc(pod, method, params).catch((error: unknown) => ({ error: String(error) }));
      for (const method of asked) said[method] = await ask(method);
      for (const group of groups) said[`counters ${group}`] = await ask("cnt.grp_get_all", [group]);
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
