/**
 * Credentials of a kubeconfig's `exec` plugin, as kubectl runs it (client.authentication.k8s.io): it is told of the cluster, may
 * ask the person at the terminal, and runs once at a time.
 */
import { spawn } from "node:child_process";
import type { RequestOptions } from "node:https";
import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import { OperatorError } from "../errors.ts";

export interface PluginTerminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** a person can be asked on standard input, and reads standard error */
  readonly interactive: boolean;
}

interface ExecConfig {
  readonly apiVersion?: string;
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly installHint?: string;
  readonly interactiveMode?: string;
  readonly provideClusterInfo?: boolean;
}

interface Credential {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
  readonly expirationTimestamp?: string;
}

/** One that asks nobody has an answer by then, milliseconds. */
const LONGEST_MS = 60_000;

/** Takes the plugins of all users over from the client, whose own runner gives them neither a terminal nor `KUBERNETES_EXEC_INFO`. */
export function takeOverPlugins(kubeConfig: KubeConfig, terminal: PluginTerminal): void {
  const plugins = new Map<string, ExecConfig>();
  kubeConfig.users = kubeConfig.users.map((user): User => {
    if (user.exec === undefined || user.exec === null) return user;
    const { exec, ...rest } = user;
    plugins.set(user.name, exec as ExecConfig);
    return rest;
  });
  if (plugins.size === 0) return;
  const credentials = new Map<string, Promise<Credential>>();
  const credentialOf = (name: string, plugin: ExecConfig): Promise<Credential> => {
    const running = runPlugin(name, plugin, kubeConfig.getCurrentCluster(), terminal);
    credentials.set(name, running);
    running.catch(() => credentials.delete(name));
    return running;
  };
  kubeConfig.addAuthenticator({
    isAuthProvider: (user) => plugins.has(user.name),
    async applyAuthentication(user, options) {
      const plugin = plugins.get(user.name);
      if (plugin === undefined) return;
      let credential = await (credentials.get(user.name) ?? credentialOf(user.name, plugin));
      if (isOver(credential)) credential = await credentialOf(user.name, plugin);
      const { token, clientCertificateData, clientKeyData } = credential;
      const to = options as RequestOptions;
      if (clientCertificateData !== undefined) to.cert = clientCertificateData;
      if (clientKeyData !== undefined) to.key = clientKeyData;
      if (token !== undefined) to.headers = { ...to.headers, Authorization: `Bearer ${token}` };
    },
  });
}

const isOver = ({ expirationTimestamp }: Credential): boolean =>
  expirationTimestamp !== undefined && Date.parse(expirationTimestamp) <= Date.now();

/** What a plugin reads in `KUBERNETES_EXEC_INFO`. */
const execInfo = (plugin: ExecConfig, cluster: Cluster | null, interactive: boolean): string =>
  JSON.stringify({
    apiVersion: plugin.apiVersion ?? "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    spec: {
      interactive,
      ...(plugin.provideClusterInfo === true && cluster !== null
        ? {
            cluster: {
              server: cluster.server,
              "tls-server-name": cluster.tlsServerName,
              "insecure-skip-tls-verify": cluster.skipTLSVerify || undefined,
              "certificate-authority-data": cluster.caData,
              "proxy-url": cluster.proxyUrl,
            },
          }
        : {}),
    },
  });

async function runPlugin(
  user: string,
  plugin: ExecConfig,
  cluster: Cluster | null,
  terminal: PluginTerminal,
): Promise<Credential> {
  const { command = "", interactiveMode } = plugin;
  const refuse = (why: string, remedy = `Run it yourself to see why, or log in anew: ${command}`): never => {
    throw new OperatorError("SIPR_API", `The credential plugin ${command} of the kubeconfig's user ${user} ${why}`, {
      remedy,
    });
  };
  const interactive = terminal.interactive && interactiveMode !== "Never";
  if (interactiveMode === "Always" && !interactive)
    refuse("asks on a terminal, and there is none.", "Run this on one.");
  const given = Object.fromEntries((plugin.env ?? []).map(({ name, value }) => [name, value]));
  const env = { ...terminal.env, ...given, KUBERNETES_EXEC_INFO: execInfo(plugin, cluster, interactive) };
  const said = await new Promise<{ out: string; err: string; code: number | null; error?: NodeJS.ErrnoException }>(
    (resolve) => {
      const child = spawn(command, plugin.args ?? [], {
        env,
        stdio: [interactive ? "inherit" : "ignore", "pipe", terminal.interactive ? "inherit" : "pipe"],
        ...(interactive ? {} : { timeout: LONGEST_MS }),
      });
      let [out, err] = ["", ""];
      child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
      child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString("utf8")));
      child.once("error", (error) => resolve({ out, err, code: null, error }));
      child.once("close", (code) => resolve({ out, err, code }));
    },
  );
  if (said.error?.code === "ENOENT") refuse("is not there.", plugin.installHint?.trim() || `Install ${command}.`);
  if (said.code !== 0)
    refuse(`failed (${said.error?.message ?? `exit code ${said.code ?? "none"}`}): ${said.err.trim().slice(-500)}`);
  return credentialIn(said.out) ?? refuse("gave no ExecCredential with a status.");
}

function credentialIn(text: string): Credential | undefined {
  try {
    return (JSON.parse(text) as { status?: Credential }).status;
  } catch {
    return undefined;
  }
}
