/** From the command line to a fleet. */
import { resolve } from "node:path";
import { OperatorError } from "../../errors.ts";
import type { Fleet } from "./index.ts";
import type { CliIO } from "../print/output.ts";

export interface ConnectOptions {
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly state?: string;
  readonly direct?: boolean;
  /** seconds */
  readonly requestTimeout: number;
}

const remedy =
  "Name a kubeconfig with --kubeconfig or KUBECONFIG, a context with --context, or a standalone's folder with --state.";

/** Throws OperatorError SIPR_USAGE. */
export async function openFleet(options: ConnectOptions, io: CliIO): Promise<Fleet> {
  const timeoutMs = options.requestTimeout * 1000;
  if (options.state !== undefined) {
    if (options.kubeconfig !== undefined || options.context !== undefined)
      throw new OperatorError("SIPR_USAGE", "--state and --kubeconfig or --context exclude each other.", {
        remedy: "Name a cluster or a state folder.",
      });
    const namespace = options.allNamespaces ? undefined : options.namespace;
    const { createStateFleet } = await import("./stateFleet.ts");
    return createStateFleet({
      state: resolve(io.cwd, options.state),
      namespace,
      selector: options.selector,
      timeoutMs,
      warn: (text) => io.stderr(text),
    });
  }
  // the client of the API server takes long to load: not for a standalone
  const { loadKubeConfig } = await import("../../kube/kubeConfig.ts");
  const kubeConfig = loadKubeConfig(options, remedy, io);
  const { createKubeFleet } = await import("./kubeFleet.ts");
  const own = kubeConfig.getContextObject(kubeConfig.getCurrentContext())?.namespace ?? "default";
  return createKubeFleet({
    kubeConfig,
    namespace: options.allNamespaces ? undefined : (options.namespace ?? own),
    selector: options.selector,
    direct: options.direct ?? false,
    timeoutMs,
  });
}
