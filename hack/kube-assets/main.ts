/**
 * Prints the folder that holds kube-apiserver, etcd, kube-controller-manager and kubectl, for `KUBEBUILDER_ASSETS`.
 * Looks in the places of `locate.ts`; else downloads the official programs; else builds them from the Go module proxy.
 * What it fetched or built stays in the cache folder. Progress goes to standard error.
 *   node hack/kube-assets/main.ts [--build]     --build: do not try to download
 */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { buildAssets } from "./build.ts";
import { downloadAssets } from "./download.ts";
import { cacheFolder, locateAssets, missingPrograms } from "./locate.ts";

const { values } = parseArgs({ options: { build: { type: "boolean", default: false } } });
const started = Date.now();
const say = (text: string): void =>
  console.error(`[${String(Math.round((Date.now() - started) / 1000)).padStart(3)} s] ${text}`);
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Made beside its place and moved there whole: another run never sees half of it. */
async function obtain(folder: string): Promise<void> {
  const making = `${folder}.${process.pid}`;
  mkdirSync(making, { recursive: true });
  try {
    await downloadOrBuild(making);
    const missing = missingPrograms(making);
    if (missing.length > 0) throw new Error(`${missing.join(", ")}: still missing`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(making, folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

async function downloadOrBuild(folder: string): Promise<void> {
  if (!values.build) {
    try {
      return await downloadAssets(folder, say);
    } catch (error) {
      say(`no download: ${reason(error)}`);
    }
  }
  await buildAssets(folder, say);
}

try {
  let found = locateAssets(process.env);
  if (found === undefined) {
    found = cacheFolder(process.env);
    await obtain(found);
    say(`kept in ${found}`);
  }
  console.log(found);
} catch (error) {
  say(`error: ${reason(error)}`);
  say("remedy: set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd, kube-controller-manager and kubectl");
  process.exitCode = 1;
}
