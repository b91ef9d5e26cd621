/**
 * A real Asterisk on a loopback address: its manager interface (plain, and TLS where a certificate is given), and a PJSIP
 * endpoint that answers every call. Unprivileged, from `hack/asterisk/install`, with a configuration of its own.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAmi } from "../../src/ami/index.ts";
import type { KeyPair } from "./sip/certificates.ts";
import { until } from "./until.ts";

export interface AsteriskOptions {
  readonly ip: string;
  readonly tls?: KeyPair;
  /** it registers there, again every 30 s */
  readonly registers?: { readonly host: string; readonly username: string; readonly password: string };
}

export const AMI_PORT = 5038;
export const AMI_TLS_PORT = 5039;
export const SIP_PORT = 5060;
/** may read, as the documentation asks for */
export const reader = { username: "operator", password: "correct horse; battery" };
/** may log in, and nothing else */
export const restricted = { username: "restricted", password: "nothing" };

const modules = [
  "pbx_config",
  "codec_alaw",
  "res_timing_timerfd",
  "res_sorcery_config",
  "res_sorcery_memory",
  "res_sorcery_astdb",
  "res_pjproject",
  "res_pjsip",
  "res_pjsip_session",
  "res_pjsip_pubsub",
  "res_rtp_asterisk",
  "res_pjsip_sdp_rtp",
  "res_pjsip_endpoint_identifier_anonymous",
  "res_pjsip_outbound_authenticator_digest",
  "res_pjsip_outbound_registration",
  "chan_pjsip",
];

export class Asterisk {
  readonly ip: string;
  readonly #program: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(ip: string, program: string, folder: string) {
    this.ip = ip;
    this.#program = program;
    this.#folder = folder;
  }

  /** Resolves when its manager answers. */
  static async start(options: AsteriskOptions): Promise<Asterisk> {
    const install = join(import.meta.dirname, "../../hack/asterisk/install");
    const bin = execFileSync(install, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
    const folder = mkdtempSync(join(tmpdir(), "asterisk-"));
    writeConfiguration(folder, realpathSync(join(bin, "root")), options);
    const asterisk = new Asterisk(options.ip, join(bin, "asterisk"), folder);
    await asterisk.run();
    return asterisk;
  }

  async run(): Promise<void> {
    this.#child = spawn(this.#program, ["-f", "-n", "-q", "-C", join(this.#folder, "etc/asterisk.conf")], {
      cwd: this.#folder,
      stdio: "ignore",
    });
    await until("Asterisk's manager answers", async () => {
      if (this.#child?.exitCode !== null) throw new Error(`Asterisk ended: ${this.log()}`);
      (await connectAmi({ host: this.ip, port: AMI_PORT }, reader, { timeoutMs: 1000 })).close();
      return true;
    });
  }

  log(): string {
    return readFileSync(join(this.#folder, "log/messages"), "utf8");
  }

  /** The same one starts again with {@link run}. */
  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function writeConfiguration(folder: string, root: string, { ip, tls, registers }: AsteriskOptions): void {
  for (const name of ["etc", "var", "spool", "run", "log"]) mkdirSync(join(folder, name));
  const arch = readdirSync(join(root, "usr/lib")).find((name) => name.includes("-linux-")) ?? "";
  const file = (name: string, ...lines: string[]): void =>
    writeFileSync(join(folder, "etc", name), `${lines.join("\n")}\n`, { mode: 0o600 });
  const own = (name: string): string => join(folder, name);
  file(
    "asterisk.conf",
    "[directories]",
    `astetcdir => ${own("etc")}`,
    `astmoddir => ${root}/usr/lib/${arch}/asterisk/modules`,
    ...["astvarlibdir", "astdbdir", "astkeydir", "astcachedir"].map((name) => `${name} => ${own("var")}`),
    `astdatadir => ${root}/usr/share/asterisk`,
    `astagidir => ${root}/usr/share/asterisk/agi-bin`,
    `astspooldir => ${own("spool")}`,
    `astrundir => ${own("run")}`,
    `astlogdir => ${own("log")}`,
    "[options]",
    "nocolor = yes",
  );
  file("logger.conf", "[logfiles]", "messages => notice,warning,error");
  file("modules.conf", "[modules]", "autoload = no", ...modules.map((name) => `load = ${name}.so`));
  file(
    "manager.conf",
    "[general]",
    "enabled = yes",
    `bindaddr = ${ip}`,
    `port = ${AMI_PORT}`,
    ...(tls === undefined
      ? []
      : [
          "tlsenable = yes",
          `tlsbindaddr = ${ip}:${AMI_TLS_PORT}`,
          `tlscertfile = ${own("etc/tls.crt")}`,
          `tlsprivatekey = ${own("etc/tls.key")}`,
        ]),
    `[${reader.username}]`,
    // a semicolon begins a comment in Asterisk's files
    `secret = ${reader.password.replace(";", String.raw`\;`)}`,
    "read = system,reporting",
    "write = system,reporting",
    `[${restricted.username}]`,
    `secret = ${restricted.password}`,
    "read = agent",
    "write = agent",
  );
  if (tls !== undefined) {
    file("tls.crt", tls.certificate);
    file("tls.key", tls.key);
  }
  file(
    "pjsip.conf",
    "[udp]",
    "type = transport",
    "protocol = udp",
    `bind = ${ip}:${SIP_PORT}`,
    "[anonymous]",
    "type = endpoint",
    "context = calls",
    "disallow = all",
    "allow = alaw",
    "direct_media = no",
    ...(registers === undefined ? [] : registration(registers)),
  );
  file("extensions.conf", "[calls]", "exten => _X.,1,Answer()", "same => n,Wait(600)");
  file("rtp.conf", "[general]", "rtpstart = 20000", "rtpend = 20999");
}

/** As docs/pbx-registration.md has it. */
const registration = ({ host, username, password }: NonNullable<AsteriskOptions["registers"]>): readonly string[] => [
  "[router]",
  "type = registration",
  `server_uri = sip:${host}`,
  `client_uri = sip:${username}@${host}`,
  "outbound_auth = router",
  "expiration = 30",
  "retry_interval = 2",
  "[router]",
  "type = auth",
  `username = ${username}`,
  `password = ${password}`,
];
