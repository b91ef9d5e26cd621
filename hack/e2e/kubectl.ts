/** kubectl against the cluster that KUBECONFIG names, in one namespace. */
import { execFile } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import type { RawObject } from "../../src/api/index.ts";

export class Kubectl {
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** Standard output; throws with standard error. */
  run(args: readonly string[], input?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        "kubectl",
        ["-n", this.namespace, ...args],
        { maxBuffer: 1 << 28 },
        (error, stdout, stderr) => {
          if (error) reject(new Error(`kubectl ${args.join(" ")}: ${stderr || error.message}`));
          else resolve(stdout);
        },
      );
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(input ?? "");
    });
  }

  apply(...objects: readonly object[]): Promise<string> {
    return this.run(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  }
  async get(kind: string, name: string): Promise<RawObject> {
    return JSON.parse(await this.run(["get", kind, name, "-o", "json"])) as RawObject;
  }
  async list(kind: string, selector = ""): Promise<RawObject[]> {
    const filter = selector === "" ? [] : ["-l", selector];
    return (JSON.parse(await this.run(["get", kind, ...filter, "-o", "json"])) as { items: RawObject[] }).items;
  }
  patch(kind: string, name: string, operations: readonly object[]): Promise<string> {
    return this.run(["patch", kind, name, "--type=json", "-p", JSON.stringify(operations)]);
  }
}

/** Waits for a value that is neither undefined nor false; the error names what was waited for. */
export const until = async <Value>(
  what: string,
  look: () => Promise<Value | undefined | false>,
  seconds = 120,
): Promise<Value> => {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await wait(100);
  }
};
