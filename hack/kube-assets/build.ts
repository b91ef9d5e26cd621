/** The programs built from the Go module proxy, by the pinned modules under `go/`: one link for all of Kubernetes. */
import { execFile, spawn } from "node:child_process";
import { symlinkSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { KUBERNETES_VERSION } from "./locate.ts";

type Say = (text: string) => void;

const PROGRESS_MS = 15_000;

export async function buildAssets(folder: string, say: Say): Promise<void> {
  const folderOfGo = await goFolder();
  say("building etcd and Kubernetes with Go: about 10 minutes on 2 cores, once");
  await go(folderOfGo, "etcd", path.join(folder, "etcd"), "-s -w", say);
  await go(folderOfGo, "kube", path.join(folder, "kube"), `-s -w ${kubernetesVersion()}`, say);
  for (const program of ["kube-apiserver", "kube-controller-manager", "kubectl"])
    symlinkSync("kube", path.join(folder, program));
}

/** Where a Go is that is new enough; one is fetched when there is none. */
async function goFolder(): Promise<string> {
  const install = path.join(import.meta.dirname, "../go/install");
  return promisify(execFile)(install).then(
    ({ stdout }) => stdout.trim(),
    (error: unknown) => {
      throw new Error((error as { stderr: string }).stderr.trim(), { cause: error });
    },
  );
}

/** What a release build stamps in: without it the API server does not know its own version. */
function kubernetesVersion(): string {
  const [major, minor] = KUBERNETES_VERSION.split(".");
  const values = { gitVersion: `v${KUBERNETES_VERSION}`, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  return Object.entries(values)
    .flatMap(([name, value]) =>
      ["component-base/version", "client-go/pkg/version"].map((at) => `-X k8s.io/${at}.${name}=${value}`),
    )
    .join(" ");
}

/** At the lowest priority: a build of minutes must not starve what else runs. */
async function go(folderOfGo: string, module: string, output: string, ldflags: string, say: Say): Promise<void> {
  const child = spawn(
    "nice",
    [
      "-n",
      "19",
      path.join(folderOfGo, "go"),
      "build",
      "-v",
      "-trimpath",
      "-buildvcs=false",
      "-ldflags",
      ldflags,
      "-o",
      output,
      ".",
    ],
    {
      cwd: path.join(import.meta.dirname, "go", module),
      env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off" },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const lines: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => lines.push(...chunk.split("\n").filter(Boolean)));
  const progress = setInterval(
    () => say(`${module}: ${lines.length} packages; ${lines.at(-1) ?? "downloading modules"}`),
    PROGRESS_MS,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) =>
        code === 0 ? resolve() : reject(new Error(`go build of ${module} failed:\n${lines.slice(-20).join("\n")}`)),
      );
    });
  } finally {
    clearInterval(progress);
  }
  say(`built ${module}`);
}
