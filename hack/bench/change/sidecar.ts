/**
 * The usual way, to compare with: per pod one watcher of the backends that rewrites `dispatcher.list` and asks Kamailio
 * to reload it, without reading back.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Watch, type KubeConfig } from "@kubernetes/client-node";
import { until } from "../../../test/support/until.ts";

export interface Destination {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

export const uriOf = ({ address, port }: Pick<Destination, "address" | "port">): string =>
  `sip:${address}:${port};transport=udp`;

const config = (folder: string, ip: string, reloadDelta: number | undefined): string => `#!KAMAILIO
debug=0
log_stderror=yes
children=2
tcp_children=2
tcp_accept_no_cl=yes
listen=udp:${ip}:5060
listen=tcp:${ip}:9060
${["tm", "sl", "pv", "xhttp", "jsonrpcs", "dispatcher"].map((name) => `loadmodule "${name}.so"`).join("\n")}
modparam("jsonrpcs", "transport", 1)
modparam("dispatcher", "list_file", "${folder}/dispatcher.list")
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_ping_interval", 5)
modparam("dispatcher", "ds_probing_threshold", 1)
modparam("tm", "fr_timer", 1000)
${reloadDelta === undefined ? "" : `modparam("dispatcher", "reload_delta", ${reloadDelta})`}
event_route[xhttp:request] {
  jsonrpc_dispatch();
}
request_route {
  exit;
}
`;

export class Sidecar {
  readonly #ip: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "sidecar-"));
  readonly #known = new Map<string, Destination>();
  /** told after every reload with all destinations that were in the file, whatever Kamailio answered */
  readonly #onReload: (ip: string, destinations: ReadonlyMap<string, Destination>) => void;
  #child: ChildProcess | undefined;
  #watch: AbortController | undefined;
  #work: Promise<unknown> = Promise.resolve();

  constructor(ip: string, onReload: (ip: string, destinations: ReadonlyMap<string, Destination>) => void) {
    this.#ip = ip;
    this.#onReload = onReload;
  }

  /** `reloadDelta` undefined: as Kamailio has it */
  async start(kubeConfig: KubeConfig, destinations: readonly Destination[], reloadDelta?: number): Promise<void> {
    for (const one of destinations) this.#known.set(one.name, one);
    this.#write();
    writeFileSync(join(this.#folder, "kamailio.cfg"), config(this.#folder, this.#ip, reloadDelta));
    const args = ["-DD", "-E", "-m", "64", "-Y", this.#folder, "-f", join(this.#folder, "kamailio.cfg")];
    this.#child = spawn("kamailio", args, { stdio: "ignore" });
    await until(`the Kamailio at ${this.#ip} answers`, async () => (await this.states()).size > 0);
    this.#watch = (await new Watch(kubeConfig).watch(
      "/apis/siprouter.dev/v1alpha1/namespaces/default/pbxbackends",
      {},
      (_phase, object: { metadata: { name: string }; spec: { address: string; port?: number } }) => {
        const { address, port = 5060 } = object.spec;
        const { name } = object.metadata;
        const before = this.#known.get(name);
        if (before?.address === address && before.port === port) return;
        this.#known.set(name, { name, address, port });
        this.#write();
        this.#work = this.#work.then(() => this.#reload()).catch(() => undefined);
      },
      () => undefined,
    )) as unknown as AbortController;
  }

  #write(): void {
    const lines = [...this.#known.values()].map((one) => `100 ${uriOf(one)} 0 0\n`);
    writeFileSync(join(this.#folder, "new"), lines.join(""));
    renameSync(join(this.#folder, "new"), join(this.#folder, "dispatcher.list"));
  }

  async #reload(): Promise<void> {
    const written = new Map(this.#known);
    await this.#call("dispatcher.reload");
    this.#onReload(this.#ip, written);
  }

  async #call(method: string): Promise<{ readonly result?: unknown }> {
    const body = JSON.stringify({ jsonrpc: "2.0", method, params: [], id: 1 });
    const response = await fetch(`http://${this.#ip}:9060/rpc`, { method: "POST", body });
    return (await response.json()) as { result?: unknown };
  }

  /** URI and the letters of its state */
  async states(): Promise<ReadonlyMap<string, string>> {
    const { result } = await this.#call("dispatcher.list");
    const sets = (result as { RECORDS: { SET: { TARGETS: { DEST: { URI: string; FLAGS: string } }[] } }[] }).RECORDS;
    return new Map(sets.flatMap(({ SET }) => SET.TARGETS.map(({ DEST }) => [DEST.URI, DEST.FLAGS] as const)));
  }

  async stop(): Promise<void> {
    this.#watch?.abort();
    if (this.#child !== undefined && this.#child.exitCode === null) {
      const exit = once(this.#child, "exit");
      // its first process ends the others
      this.#child.kill("SIGTERM");
      await exit;
    }
    rmSync(this.#folder, { recursive: true });
  }
}
