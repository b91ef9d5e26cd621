/** kubectl against the cluster that KUBECONFIG names, in one namespace. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import type { RawObject } from "../../../src/api/index.ts";
import { runBytes } from "./command.ts";

export class Kubectl {
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** Standard output, byte for byte; throws with standard error. */
  bytes(args: readonly string[], input = ""): Promise<Buffer> {
    return runBytes("kubectl", ["-n", this.namespace, ...args], input);
  }
  async run(args: readonly string[], input?: string): Promise<string> {
    return (await this.bytes(args, input)).toString();
  }
  /** A command in a pod, `kind/name` or a pod's name. */
  exec(target: string, command: readonly string[], input?: string): Promise<string> {
    return this.run(["exec", ...(input === undefined ? [] : ["-i"]), target, "--", ...command], input);
  }
  /** A command in a pod with its streams open; ended by its standard input. */
  open(target: string, command: readonly string[]): ChildProcessWithoutNullStreams {
    const child = spawn("kubectl", ["-n", this.namespace, "exec", "-i", target, "--", ...command]);
    child.stdin.on("error", () => undefined);
    return child;
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
  /** Pods of a selector that are not about to end. */
  async pods(selector: string): Promise<RawObject[]> {
    return (await this.list("pods", selector)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }
}

interface PodStatus {
  readonly podIP?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  readonly containerStatuses?: readonly { readonly restartCount: number }[];
}
export const podStatus = (pod: RawObject): PodStatus => (pod.status ?? {}) as PodStatus;
export const addressOf = (pod: RawObject): string => podStatus(pod).podIP ?? "";
export const isReady = (pod: RawObject): boolean =>
  podStatus(pod).conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
