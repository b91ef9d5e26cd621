/** The ports of `run`: health, and metrics for who may read them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OperatorError } from "../errors.ts";
import type { KubeCluster } from "../kube/kubeCluster.ts";
import { createAuthorize } from "../server/authorize.ts";
import { makeCertificate, type KeyPair } from "../server/certificate.ts";
import type { Log } from "../log.ts";
import { startServer, type HttpServer, type ServerOptions } from "../server/http.ts";

export interface PortOptions {
  readonly metricsPort: string;
  readonly metricsAddress: string;
  readonly metricsSecurePort?: string;
  readonly metricsCertDir?: string;
}

export interface Servers {
  readonly port: number;
  readonly securePort?: number;
  stop(): Promise<void>;
}

/** The kubelet brings a renewed certificate of a Secret within about a minute. */
const RENEW_MS = 10_000;

/** Throws OperatorError SIPR_USAGE, SIPR_PORT_IN_USE. */
export async function startServers(
  options: PortOptions,
  cluster: KubeCluster,
  served: Pick<ServerOptions, "ready" | "registry">,
  log: Log,
): Promise<Servers> {
  const own = { ...served, address: options.metricsAddress, alive: () => [] };
  const port = portOf("--metrics-port", options.metricsPort);
  if (options.metricsSecurePort === undefined) return startServer({ ...own, port });
  const tls = certificateOf(options.metricsCertDir);
  const authorize = createAuthorize({
    review: (path, body) => cluster.connection.request("POST", path, { body }),
    now: Date.now,
  });
  const plain = await startServer({ ...own, port, metrics: "loopback" });
  try {
    const securePort = portOf("--metrics-secure-port", options.metricsSecurePort);
    const secure = await startServer({ ...own, port: securePort, tls, metrics: authorize });
    const renewing = renewFrom(options.metricsCertDir, tls, secure, log);
    return {
      port: plain.port,
      securePort: secure.port,
      stop: async () => {
        clearInterval(renewing);
        await Promise.all([plain.stop(), secure.stop()]);
      },
    };
  } catch (error) {
    await plain.stop();
    throw error;
  }
}

const usage = (message: string, remedy: string, cause?: unknown): OperatorError =>
  new OperatorError("SIPR_USAGE", message, { remedy, cause });

function portOf(option: string, text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw usage(`${option} ${text} is not a port.`, "Give a number from 0 to 65535.");
  return port;
}

function renewFrom(
  folder: string | undefined,
  first: KeyPair,
  server: HttpServer,
  log: Log,
): NodeJS.Timeout | undefined {
  if (folder === undefined) return undefined;
  let shown = first;
  const look = (): void => {
    try {
      const now = certificateOf(folder);
      if (now.cert === shown.cert && now.key === shown.key) return;
      server.renew(now);
      shown = now;
      log.info({ folder }, "the certificate of the metrics port was renewed");
    } catch (error) {
      log.warn({ folder, err: error }, "the certificate of the metrics port cannot be renewed: the last one is shown");
    }
  };
  return setInterval(look, RENEW_MS).unref();
}

/** Of the folder, as a mounted Secret of type kubernetes.io/tls; else one of this process's own. */
function certificateOf(folder: string | undefined): KeyPair {
  if (folder === undefined) return makeCertificate("sip-router-operator", Date.now());
  try {
    return { cert: readFileSync(join(folder, "tls.crt"), "utf8"), key: readFileSync(join(folder, "tls.key"), "utf8") };
  } catch (error) {
    throw usage(
      `--metrics-cert-dir ${folder} has no tls.crt and tls.key that can be read.`,
      "Mount a Secret of type kubernetes.io/tls there, or leave the option out for a certificate of the operator's own.",
      error,
    );
  }
}
