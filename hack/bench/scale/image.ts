/** The operator as its image has it: bundled, with its flags of Node.js and its environment. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OperatorProcess } from "../../../test/integration/kube/process.ts";

const root = join(import.meta.dirname, "../../..");

/** From now on operators are started from `folder`. */
export const runAsImage = (folder: string): void => {
  execFileSync(join(root, "hack/image/rootfs"), [folder], { stdio: "inherit" });
  const config = JSON.parse(readFileSync(join(root, "hack/image/config.json"), "utf8")) as {
    readonly Entrypoint: readonly string[];
    readonly Env: readonly string[];
  };
  const [, ...words] = config.Entrypoint;
  OperatorProcess.program = words.map((word) => (word.startsWith("/") ? join(folder, word) : word));
  for (const [name = "", value = ""] of config.Env.map((one) => one.split(/=(.*)/)))
    if (name !== "PATH") process.env[name] = value;
};
