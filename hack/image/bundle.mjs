// The two programs and what they need of their packages, each in few files: an image loads these in a quarter of the time that a
// thousand files take, and with less memory. Prints the folders of the packages in them. usage: node hack/image/bundle.mjs FOLDER
import { chmodSync } from "node:fs";
import { join, resolve } from "node:path";
import { rolldown } from "rolldown";

const root = resolve(import.meta.dirname, "../..");
const folder = resolve(process.argv[2]);

// The lifecycle shell asks for the whole client, whose generated half is 25 MB of source, and for another HTTP client. What it
// does with these is overridden, or called by nobody (src/kube/operator.ts).
const client = "@kubernetes/client-node";
const parts = JSON.stringify(join(root, "node_modules", client, "dist/index.js"));
const instead = {
  [client]: `export { KubeConfig, Watch, loadYaml } from ${parts}; export class CoreV1Api {} export class ApiextensionsV1Api {}`,
  gaxios: "export const instance = undefined;",
};
const shell = {
  name: "what-the-shell-uses",
  resolveId: (id, from) => (id in instead && /k8s-operator/.test(from ?? "") ? `\0${id}` : undefined),
  load: (id) => instead[id.replace(/^\0/, "")],
};

const bundled = async (name) => {
  const bundle = await rolldown({
    input: { [name]: join(root, `src/${name}.ts`) },
    platform: "node",
    plugins: [shell],
    // the client of the API server takes these when they are there; they are not needed
    external: ["bufferutil", "utf-8-validate"],
    treeshake: { moduleSideEffects: (id) => !id.includes(`${client}/dist/gen/`) },
    logLevel: "warn",
  });
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    entryFileNames: "[name].js",
    // as deep as src/commands/: package.json is at the same place
    chunkFileNames: `${name}/[name]-[hash].js`,
  });
  await bundle.close();
  chmodSync(join(folder, `${name}.js`), 0o755);
  return output.flatMap(({ moduleIds = [] }) => moduleIds);
};

const modules = [...(await bundled("main")), ...(await bundled("kubectl-sip"))];
const packages = modules.flatMap(
  (id) => /\/(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)/.exec(id)?.[1] ?? [],
);
console.log([...new Set(packages)].toSorted().join("\n"));
