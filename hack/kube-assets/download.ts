/** The official programs: Kubernetes from dl.k8s.io, etcd from its release, each checked against its published hash. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { ETCD_VERSION, KUBERNETES_VERSION } from "./locate.ts";

/** An address that cannot be reached must not hold up the build from source for long. */
const ANSWER_MS = 10_000;
const TRANSFER_MS = 600_000;

type Say = (text: string) => void;

export async function downloadAssets(folder: string, say: Say): Promise<void> {
  const platform = platformName();
  const kubernetes = `https://dl.k8s.io/v${KUBERNETES_VERSION}/bin/${platform.replace("-", "/")}`;
  for (const program of ["kube-apiserver", "kube-controller-manager", "kubectl"]) {
    const wanted = (await text(`${kubernetes}/${program}.sha256`)).trim();
    say(`downloading ${program} ${KUBERNETES_VERSION}`);
    const content = await verified(`${kubernetes}/${program}`, wanted);
    writeFileSync(path.join(folder, program), content, { mode: 0o755 });
  }
  await downloadEtcd(folder, platform, say);
}

async function downloadEtcd(folder: string, platform: string, say: Say): Promise<void> {
  const release = `https://github.com/etcd-io/etcd/releases/download/v${ETCD_VERSION}`;
  const name = `etcd-v${ETCD_VERSION}-${platform}`;
  const sums = await text(`${release}/SHA256SUMS`);
  const wanted = sums
    .split("\n")
    .map((line) => line.split(/\s+/))
    .find(([, file]) => file === `${name}.tar.gz`)?.[0];
  if (wanted === undefined) throw new Error(`${release}/SHA256SUMS does not name ${name}.tar.gz`);
  say(`downloading etcd ${ETCD_VERSION}`);
  const archive = path.join(folder, "etcd.tar.gz");
  writeFileSync(archive, await verified(`${release}/${name}.tar.gz`, wanted));
  await promisify(execFile)("tar", ["-xzf", archive, "-C", folder, "--strip-components=1", `${name}/etcd`]);
}

function platformName(): string {
  const arch = { x64: "amd64", arm64: "arm64" }[process.arch as string];
  if (process.platform !== "linux" || arch === undefined)
    throw new Error(`there is no official kube-apiserver for ${process.platform} ${process.arch}`);
  return `linux-${arch}`;
}

async function get(url: string, timeoutMs: number): Promise<Response> {
  const answer = new AbortController();
  const timer = setTimeout(() => answer.abort(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([answer.signal, AbortSignal.timeout(timeoutMs)]) });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return response;
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(`${url}: ${cause instanceof Error ? cause.message : message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

const text = async (url: string): Promise<string> => (await get(url, ANSWER_MS)).text();

async function verified(url: string, sha256: string): Promise<Buffer> {
  const content = Buffer.from(await (await get(url, TRANSFER_MS)).arrayBuffer());
  const found = createHash("sha256").update(content).digest("hex");
  if (found !== sha256) throw new Error(`${url}: SHA-256 is ${found}, should be ${sha256}`);
  return content;
}
