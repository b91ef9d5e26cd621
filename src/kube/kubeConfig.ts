/** From a kubeconfig file, KUBECONFIG or the service account of the pod to a cluster. */
import { existsSync } from "node:fs";
import { delimiter } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { OperatorError } from "../errors.ts";
import { takeOverPlugins } from "./execPlugin.ts";

export interface KubeConfigOptions {
  /** path; without it, or where it is empty (a variable that is not set), the environment says, as with kubectl */
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** Of who reads it. */
export interface KubeConfigReader {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** a credential plugin may ask the person at the terminal */
  readonly interactive?: boolean | undefined;
}

/** @param remedy for who names no cluster, in terms of the caller's options. Throws OperatorError SIPR_USAGE. */
export function loadKubeConfig(options: KubeConfigOptions, remedy: string, reader: KubeConfigReader): KubeConfig {
  const config = new KubeConfig();
  const named = options.kubeconfig === "" ? undefined : options.kubeconfig;
  try {
    const files = (reader.env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "" && existsSync(file));
    if (named !== undefined) config.loadFromFile(named);
    else if (files.length > 0) mergeFiles(config, files);
    else config.loadFromDefault();
    takeOverPlugins(config, { env: reader.env, interactive: reader.interactive ?? false });
  } catch (error) {
    const which = named ?? "of the environment";
    throw new OperatorError(
      "SIPR_USAGE",
      `The kubeconfig ${which} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      { remedy, cause: error },
    );
  }
  if (options.context !== undefined) {
    const known = config.getContexts().map(({ name }) => name);
    if (!known.includes(options.context))
      throw new OperatorError("SIPR_USAGE", `The kubeconfig has no context ${options.context}.`, {
        remedy: `Use one of: ${known.join(", ")}.`,
      });
    config.setCurrentContext(options.context);
  }
  // what the client falls back to when nothing is configured
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || server === "http://localhost:8080")
    throw new OperatorError("SIPR_USAGE", "No cluster is named.", { remedy });
  return config;
}

/** As kubectl: of what two files name alike the first one's counts. */
function mergeFiles(into: KubeConfig, files: readonly string[]): void {
  for (const file of files) {
    const one = new KubeConfig();
    one.loadFromFile(file);
    into.clusters = byName([...into.clusters, ...one.clusters]);
    into.users = byName([...into.users, ...one.users]);
    into.contexts = byName([...into.contexts, ...one.contexts]);
    into.currentContext ||= one.currentContext;
  }
}

const byName = <Named extends { readonly name: string }>(all: readonly Named[]): Named[] =>
  all.filter((one, at) => all.findIndex(({ name }) => name === one.name) === at);
