/** From a kubeconfig file, KUBECONFIG or the service account of the pod to a cluster. */
import { KubeConfig } from "@kubernetes/client-node";
import { OperatorError } from "../errors.ts";

export interface KubeConfigOptions {
  /** path; without it the environment says */
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** @param remedy for who names no cluster, in terms of the caller's options. Throws OperatorError SIPR_USAGE. */
export function loadKubeConfig(options: KubeConfigOptions, remedy: string): KubeConfig {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(options.kubeconfig);
  } catch (error) {
    const which = options.kubeconfig ?? "of the environment";
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
