/**
 * Lint rules. The main one: the import order of src/, as a table. A folder may import itself and what its line names;
 * everything else below src/ is refused, so a new folder has to be given a line. test/unit/repo proves the refusals.
 */
import { defineConfig } from "oxlint";

/** Types of the stages that others may know without knowing the stage. */
const contracts = ["model/types.ts", "ir/**", "render/types.ts", "render/layout.ts"];
const stages = ["errors.ts", "api/**", "model/**", "ir/**", "render/**"];
const effects = [...stages, "pipeline.ts", "kamailio/**", "ami/**", "reload/**", "status/**"];

export const importOrder: Record<string, readonly string[]> = {
  api: ["errors.ts"],
  model: ["errors.ts", "api/**"],
  ir: ["errors.ts", "api/**", "model/**"],
  render: ["errors.ts", "api/**", "model/**", "ir/**"],
  kamailio: ["errors.ts", "api/**", ...contracts],
  ami: [],
  reload: ["errors.ts", "api/**", ...contracts, "kamailio/**"],
  status: ["errors.ts", "api/**", ...contracts, "kamailio/types.ts", "ami/types.ts", "reload/types.ts", "cluster/**"],
  cluster: ["errors.ts", "api/**", ...contracts],
  kube: ["errors.ts", "log.ts", "api/**", "model/**", ...contracts, "kamailio/types.ts", "cluster/**"],
  controller: [...effects, "log.ts", "cluster/**"],
  standalone: [...effects, "log.ts", "cluster/**", "controller/**"],
  server: ["errors.ts", "log.ts", "api/**", "kamailio/types.ts", "controller/**"],
  commands: [...effects, "log.ts", "cluster/**", "kube/**", "controller/**", "standalone/**", "server/**"],
  cli: [...effects, "cluster/**", "kube/**", "commands/io.ts", "commands/render.ts", "commands/validate.ts"],
};
/** No I/O, no clock, no chance: `now` comes in as an argument. */
export const pure = [
  "errors.ts",
  "api/**",
  "model/**",
  "ir/**",
  "render/**",
  "pipeline.ts",
  "status/**",
  "reload/decide*.ts",
  "ami/protocol.ts",
];

const onlyMain =
  "Only src/main.ts and src/kubectl-sip.ts touch the process: take what you need as an argument (commands/io.ts).";
const noIo = "Pure modules do no I/O: move the effect to the caller.";
const noClock = "Pure modules take `now` as an argument.";
const noChance = "Pure modules are deterministic.";
const processGlobal = { name: "process", message: onlyMain };
const processProperty = { object: "globalThis", property: "process", message: onlyMain };
const processModules = [
  { name: "node:process", message: onlyMain },
  { name: "process", message: onlyMain },
];

/** `up`: the way from the file to src/. What a folder has below itself is one folder with it. */
const orderPattern = (folder: string, allowed: readonly string[], up: string) => ({
  group: [`${up}**`, ...allowed.map((path) => `!${up}${path}`)],
  message: `Import order (CONTRIBUTING.md): src/${folder}/ may import only itself, ${allowed.join(", ")}.`,
});
const purePaths = [
  { name: "node:net", allowImportNames: ["isIP", "isIPv4", "isIPv6", "BlockList", "SocketAddress"], message: noIo },
  {
    name: "node:crypto",
    allowImportNames: ["createHash", "createHmac", "hash", "createPrivateKey", "createPublicKey", "X509Certificate"],
    message: noChance,
  },
];
const purePatterns = [
  { group: ["node:*", "node:*/**", "!node:crypto", "!node:net"], message: noIo },
  { group: ["fs", "fs/*", "net", "http", "https", "dns", "child_process", "os", "pino", "prom-client"], message: noIo },
  {
    group: ["@kubernetes/client-node", "@dot-i/k8s-operator"],
    allowTypeImports: true,
    message: "Pure modules import only types of the Kubernetes client.",
  },
];

const isPure = (folder: string): boolean => pure.includes(`${folder}/**`);
const forbid = <Config>(config: Config): ["error", Config] => ["error", config];
const imports = (folder: string, allowed: readonly string[], inPure: boolean, up = "../") =>
  forbid({
    paths: [...processModules, ...(inPure ? purePaths : [])],
    patterns: [orderPattern(folder, allowed, up), ...(inPure ? purePatterns : [])],
  });

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "oxc", "vitest"],
  categories: { correctness: "error", suspicious: "error" },
  rules: {
    "no-await-in-loop": "off",
    "no-underscore-dangle": "off",
    "typescript/no-explicit-any": "error",
    "import/no-cycle": "error",
    "import/extensions": "off",
    "import/no-named-as-default-member": "off",
    "no-control-regex": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-useless-spread": "off",
    "vitest/no-conditional-expect": "off",
    "vitest/expect-expect": ["error", { assertFunctionNames: ["expect", "expect*", "until", "fc.assert"] }],
    "vitest/valid-expect": ["error", { maxArgs: 2 }],
    "vitest/no-focused-tests": "error",
    "vitest/no-disabled-tests": "error",
  },
  ignorePatterns: ["dist", "node_modules"],
  overrides: [
    {
      files: ["src/**"],
      rules: {
        "no-restricted-globals": ["error", processGlobal],
        "no-restricted-properties": ["error", processProperty],
        "no-console": "error",
      },
    },
    {
      files: ["src/*"],
      rules: {
        "no-restricted-imports": [
          "error",
          { patterns: [{ group: ["*", "*/**"], message: "A file of src/ belongs in one of its folders." }] },
        ],
      },
    },
    ...Object.entries(importOrder).flatMap(([folder, allowed]) => [
      {
        files: [`src/${folder}/**`],
        rules: { "no-restricted-imports": imports(folder, allowed, isPure(folder)) },
      },
      {
        files: [`src/${folder}/*/*`],
        rules: { "no-restricted-imports": imports(folder, allowed, isPure(folder), "../../") },
      },
    ]),
    {
      files: ["src/pipeline.ts"],
      rules: { "no-restricted-imports": imports("pipeline.ts", stages, true, "./") },
    },
    {
      files: ["src/reload/decide*.ts"],
      rules: { "no-restricted-imports": imports("reload/decide", importOrder.reload ?? [], true) },
    },
    {
      files: ["src/errors.ts"],
      rules: {
        "no-restricted-imports": [
          "error",
          { patterns: [{ group: ["*", "*/**"], message: "errors.ts imports nothing." }] },
        ],
      },
    },
    {
      files: pure.map((path) => `src/${path}`),
      rules: {
        "no-restricted-globals": [
          "error",
          processGlobal,
          ...["setTimeout", "setInterval", "setImmediate", "fetch"].map((name) => ({ name, message: noIo })),
          ...["Date", "performance"].map((name) => ({ name, message: noClock })),
          { name: "crypto", message: noChance },
        ],
        "no-restricted-properties": [
          "error",
          processProperty,
          ...["Date", "performance"].map((property) => ({ object: "globalThis", property, message: noClock })),
          { object: "globalThis", property: "crypto", message: noChance },
          { object: "Math", property: "random", message: noChance },
        ],
      },
    },
    {
      files: ["src/kubectl-sip.ts"],
      rules: {
        "no-restricted-globals": "off",
        "no-restricted-imports": [
          "error",
          { patterns: [{ group: ["./**", "!./cli/**"], message: "kubectl-sip.ts is wiring: only cli/." }] },
        ],
      },
    },
    {
      files: ["src/main.ts"],
      rules: {
        "no-restricted-globals": "off",
        "no-restricted-imports": [
          "error",
          {
            patterns: [
              {
                group: ["./**", "!./errors.ts", "!./commands/**"],
                message: "main.ts is wiring: only errors.ts and commands/.",
              },
            ],
          },
        ],
      },
    },
  ],
});
