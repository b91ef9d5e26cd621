// What tsc does not do: the entry points are executable (tsc keeps the shebang line, not the mode), and kubectl-sip is bundled into one
// file, dist/kubectl-sip.mjs, beside the licences of what is in it. usage: node hack/finish-build.mjs [FOLDER [VERSION]]
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { rolldown } from "rolldown";

const root = resolve(import.meta.dirname, "..");
const folder = resolve(process.argv[2] ?? join(root, "dist"));
const { engines, version: current } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const version = process.argv[3] ?? current;

// an older Node.js has not what is called here: it says so, instead of failing somewhere
const [major, minor] = engines.node.replace(">=", "").split(".").map(Number);
const guard = `{
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < ${major} || (major === ${major} && minor < ${minor})) {
    console.error("error: kubectl sip needs Node.js ${major}.${minor} or later; this is " + process.versions.node + " (" + process.execPath + ").");
    console.error("  Put a newer one on the PATH first: https://nodejs.org/en/download");
    process.exit(1);
  }
}`;

const bundle = await rolldown({
  input: join(root, "src/kubectl-sip.ts"),
  platform: "node",
  // the client of the API server takes these when they are there; they are not needed
  external: ["bufferutil", "utf-8-validate"],
  transform: { define: { KUBECTL_SIP_VERSION: JSON.stringify(version) } },
  logLevel: "warn",
});
const { output } = await bundle.write({
  file: join(folder, "kubectl-sip.mjs"),
  format: "esm",
  codeSplitting: false,
  minify: true,
  intro: guard,
});
await bundle.close();

for (const file of ["main.js", "kubectl-sip.js", "kubectl-sip.mjs"])
  if (existsSync(join(folder, file))) chmodSync(join(folder, file), 0o755);

const packages = new Set(
  output
    .flatMap(({ moduleIds = [] }) => moduleIds)
    .flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []),
);
const notices = [...packages].toSorted().map((at) => {
  const { name, version: one, license } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
  const texts = readdirSync(at)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file) && statSync(join(at, file)).isFile())
    .map((file) => readFileSync(join(at, file), "utf8").trim());
  return [`${name} ${one} (${license})`, ...texts].join("\n\n");
});
writeFileSync(join(folder, "kubectl-sip.licenses.txt"), `${notices.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
