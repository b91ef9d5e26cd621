/**
 * What a release of the kubectl plugin consists of, from dist/ (`npm run build`): an archive, and the manifest by which Krew installs it
 * (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/).
 *
 *   node hack/krew/main.ts FOLDER URI [BUILT [VERSION]]
 *
 * writes FOLDER/kubectl-sip.tar.gz and FOLDER/sip.yaml; URI is where the archive will be, BUILT (dist/) what it is made of.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { dump } from "js-yaml";

const root = resolve(import.meta.dirname, "../..");
const files = ["kubectl-sip.mjs", "kubectl_complete-sip", "LICENSE", "kubectl-sip.licenses.txt"];

/** One archive for every platform that has a shell: the program is JavaScript. */
export const krewManifest = (version: string, uri: string, sha256: string): object => ({
  apiVersion: "krew.googlecontainertools.github.com/v1alpha2",
  kind: "Plugin",
  metadata: { name: "sip" },
  spec: {
    version: `v${version}`,
    shortDescription: "See and operate the SIP routers of a cluster",
    description:
      "Shows SipRouters and PbxBackends (sip-router-operator) and what their Kamailio pods run: destinations, live calls, registrations, " +
      "statistics, the route of a number. Reloads, drains, ends calls, captures one call's SIP messages and serves the routing map as a page.\n",
    caveats: "Needs Node.js 22.19 or later on the PATH.\nThe roles that it needs: kubectl apply -k config/rbac/users\n",
    platforms: [
      {
        selector: { matchExpressions: [{ key: "os", operator: "In", values: ["linux", "darwin"] }] },
        uri,
        sha256,
        bin: "kubectl-sip.mjs",
        files: files.map((from) => ({ from, to: "." })),
      },
    ],
  },
});

/** @param built where `npm run build` put the bundle */
export function makeRelease(
  folder: string,
  uri: string,
  built = join(root, "dist"),
  version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version,
): { readonly archive: string; readonly manifest: string } {
  const staging = mkdtempSync(join(tmpdir(), "kubectl-sip-"));
  const archive = join(folder, "kubectl-sip.tar.gz");
  mkdirSync(folder, { recursive: true });
  try {
    for (const file of ["kubectl-sip.mjs", "kubectl-sip.licenses.txt"])
      copyFileSync(join(built, file), join(staging, file));
    copyFileSync(join(root, "LICENSE"), join(staging, "LICENSE"));
    writeFileSync(join(staging, "kubectl_complete-sip"), '#!/bin/sh\nexec kubectl-sip __complete "$@"\n', {
      mode: 0o755,
    });
    // the same bytes whenever and wherever it is made
    const stable = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"];
    const tar = execFileSync("tar", [...stable, "-C", staging, "-cf", "-", ...files], { maxBuffer: 1 << 28 });
    writeFileSync(archive, execFileSync("gzip", ["-9n"], { input: tar, maxBuffer: 1 << 28 }));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  const sha256 = createHash("sha256").update(readFileSync(archive)).digest("hex");
  const manifest = join(folder, "sip.yaml");
  writeFileSync(manifest, dump(krewManifest(version, uri, sha256), { lineWidth: -1 }));
  return { archive, manifest };
}

if (process.argv[1] === import.meta.filename) {
  const [folder, uri, built, version] = process.argv.slice(2);
  if (folder === undefined || uri === undefined) {
    process.stderr.write("usage: node hack/krew/main.ts FOLDER URI [BUILT [VERSION]]\n");
    process.exitCode = 2;
  } else process.stdout.write(`${Object.values(makeRelease(folder, uri, built, version)).join("\n")}\n`);
}
