/**
 * A phone in a pod: baresip without a sound card. It plays a tone of its own, records what it hears, and is driven by JSON in
 * netstrings (its module ctrl_tcp) through `kubectl exec`.
 */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { until } from "./until.ts";
import { imageOf } from "./environment.ts";
import { addressOf, isReady, type Kubectl } from "./kubectl.ts";
import { parseSound, shareOf } from "./sound.ts";

export interface PhoneOptions {
  readonly extension: string;
  /** tells phones of one extension apart that are of several tenants */
  readonly tenant?: string;
  readonly secret: string;
  /** address of the router, with a port if it is not 5060: the phone's outbound proxy. No short name: baresip knows no search list */
  readonly router: string;
  readonly domain?: string;
  readonly transport?: "udp" | "tcp" | "tls";
  /** PEM, of the authority that signed the router's certificate */
  readonly authority?: string;
  /** Hz; phones of one call have different ones */
  readonly tone: number;
  /** "auto" takes each call at once */
  readonly answer?: "auto" | "manual";
  /** seconds between two REGISTER */
  readonly interval?: number;
}
export interface PhoneEvent {
  readonly type: string;
  readonly peeruri?: string;
  readonly param?: string;
  readonly [field: string]: unknown;
}

const DOMAIN = "pbx.example";

const config = (options: PhoneOptions): string =>
  [
    "poll_method epoll",
    "sip_listen 0.0.0.0:5060",
    ...(options.authority === undefined ? [] : ["sip_cafile /etc/phone/authority.pem", "sip_verify_server yes"]),
    "call_local_timeout 120",
    "call_max_calls 10",
    `audio_source ausine,${options.tone}`,
    // a player without a device: what is heard is recorded before it gets there
    "audio_player aubridge,ear",
    "audio_alert aubridge,alert",
    // no ring tones
    "audio_path /nonexistent",
    "statmode_default off",
    "auplay_srate 8000",
    // the only rate of ausine
    "ausrc_srate 48000",
    "rtp_stats yes",
    "rtp_ports 20000-20999",
    "module_path /usr/lib/baresip/modules",
    ...["g711", "ausine", "aubridge", "uuid", "sndfile"].map((module) => `module ${module}.so`),
    "snd_path /tmp",
    ...["account", "contact", "menu", "ctrl_tcp"].map((module) => `module_app ${module}.so`),
    "ctrl_tcp_listen 127.0.0.1:4444",
    "",
  ].join("\n");

const account = (options: PhoneOptions): string => {
  const { extension, secret, router, domain = DOMAIN, transport = "udp", answer = "auto", interval = 30 } = options;
  return `<sip:${extension}@${domain};transport=${transport}>;auth_user=${extension};auth_pass=${secret};outbound="sip:${router};transport=${transport}";regint=${interval};answermode=${answer};audio_codecs=pcmu,pcma\n`;
};

const podName = ({ extension, tenant }: PhoneOptions): string =>
  ["phone", extension, tenant].filter((part) => part !== undefined).join("-");
const start = `mkdir -p /tmp/baresip && cp /etc/phone/config /etc/phone/accounts /tmp/baresip/ && : >/tmp/baresip/contacts && exec baresip -s -f /tmp/baresip`;

export const phoneObjects = (options: PhoneOptions): object[] => {
  const name = podName(options);
  const files = { config: config(options), accounts: account(options), "authority.pem": options.authority ?? "" };
  return [
    { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: files },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "phone",
            image: imageOf("phone"),
            imagePullPolicy: "IfNotPresent",
            command: ["sh", "-c", start],
            volumeMounts: [{ name: "files", mountPath: "/etc/phone" }],
          },
        ],
        volumes: [{ name: "files", secret: { secretName: name } }],
      },
    },
  ];
};

export class Phone {
  readonly pod: string;
  readonly address: string;
  /** Hz */
  readonly tone: number;
  readonly events: PhoneEvent[] = [];
  readonly #domain: string;
  readonly #kube: Kubectl;
  readonly #line: ChildProcessWithoutNullStreams;
  readonly #replies = new Map<string, (reply: PhoneEvent) => void>();
  #pending = Buffer.alloc(0);
  #count = 0;

  /** The phone of a pod that was applied; waits until it takes commands. */
  static async of(kube: Kubectl, options: PhoneOptions): Promise<Phone> {
    const { tone, domain = DOMAIN } = options;
    const pod = podName(options);
    const address = await until(
      `${pod} runs`,
      async () => {
        const found = await kube.get("pod", pod);
        return isReady(found) && addressOf(found);
      },
      60_000,
    );
    await until(
      `${pod} takes commands`,
      () => kube.exec(pod, ["sh", "-c", "nc -z 127.0.0.1 4444 && echo yes"]),
      30_000,
    );
    return new Phone(kube, pod, address, tone, domain);
  }

  private constructor(kube: Kubectl, pod: string, address: string, tone: number, domain: string) {
    this.#domain = domain;
    this.tone = tone;
    this.#kube = kube;
    this.pod = pod;
    this.address = address;
    this.#line = kube.open(pod, ["nc", "127.0.0.1", "4444"]);
    this.#line.stdout.on("data", (data: Buffer) => this.#take(data));
  }

  close(): void {
    this.#line.stdin.end();
    this.#line.kill();
  }

  /** A command of baresip's menu, such as `dial` with a URI; its answer's text. */
  async command(command: string, params = ""): Promise<string> {
    const token = `${(this.#count += 1)}`;
    const reply = new Promise<PhoneEvent>((resolve) => this.#replies.set(token, resolve));
    const text = JSON.stringify({ command, params, token });
    this.#line.stdin.write(`${Buffer.byteLength(text)}:${text},`);
    const late = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error(`${this.pod} gave no answer to ${command} ${params}`)), 10_000).unref(),
    );
    const { ok, data } = await Promise.race([reply, late]);
    if (ok !== true) throw new Error(`${this.pod}: ${command} ${params}: ${String(data)}`);
    return String(data ?? "");
  }

  /** Calls a number, in the domain of the phone unless it has one. */
  dial(number: string): Promise<string> {
    const called = number.includes("@") ? number : `${number}@${this.#domain}`;
    return this.after(() => this.command("dial", `sip:${called}`));
  }

  /** baresip 1.1 resumes a call and says "Invalid argument" nevertheless; what it hears afterwards it does not record. */
  async resume(): Promise<void> {
    await this.command("resume").catch(() => undefined);
  }
  /**
   * RFC 5589: asks the peer of the present call to take over the call of `held`, the Call-ID of a dialog of this phone. What
   * baresip 1.1 has no command for.
   */
  async transferTo(number: string, held: string): Promise<string> {
    const answer = (await this.trace())
      .split(/\r?\n\r?\n/)
      .findLast((text) => text.includes(`Call-ID: ${held}`) && /SIP\/2\.0 200 [^]*CSeq: \d+ INVITE/.test(text));
    const tag = (field: string): string =>
      new RegExp(`^${field}: .*;tag=(.*?)\\r?$`, "m").exec(answer ?? "")?.[1] ?? "";
    const replaces = encodeURIComponent(`${held};to-tag=${tag("To")};from-tag=${tag("From")}`);
    return this.command("transfer", `<sip:${number}@${this.#domain}?Replaces=${replaces}>`);
  }
  /** The Call-ID of the call that was set up last. */
  async callId(): Promise<string> {
    return [...(await this.trace()).matchAll(/^Call-ID: (\S+)\r?\nCSeq: \d+ INVITE/gm)].at(-1)?.[1] ?? "";
  }

  /** Forgets the events so far, then does something: what is awaited later is its effect. */
  async after<Value>(act: () => Promise<Value>): Promise<Value> {
    this.events.length = 0;
    return act();
  }
  /** The first event of this type since {@link after}. */
  event(type: string, ms = 20_000): Promise<PhoneEvent> {
    return until(
      `${this.pod}: ${type} (so far ${this.events.map((event) => `${event.type} ${event.param ?? ""}`).join(", ")})`,
      () => this.events.find((event) => event.type === type),
      ms,
    );
  }
  /** Waits until a REGISTER of this phone was answered by 200, now if it is told so. */
  async isRegistered(ms = 30_000): Promise<void> {
    await until(
      `${this.pod} is registered`,
      async () => /^SIP\/2\.0 200 [^\0]*?^CSeq: \d+ REGISTER/m.test(await this.trace()),
      ms,
    );
  }

  /** Share of a tone, 0 to 1, in what the phone hears within half a second from now; 0 when it hears nothing. */
  async share(hertz: number): Promise<number> {
    const listen = `cd /tmp; file=$(ls -t *dec.wav 2>/dev/null | head -1); [ -n "$file" ] || exit 0
      before=$(stat -c %s "$file"); sleep 0.5; head -c 44 "$file"; tail -c +$((before + 1)) "$file"`;
    const bytes = await this.#kube.bytes(["exec", this.pod, "--", "sh", "-c", listen]);
    return bytes.length <= 44 ? 0 : shareOf(parseSound(bytes.subarray(0, 44), bytes.subarray(44)), hertz);
  }
  /** Waits until the other phone's tone is what this one hears. */
  hears(other: Phone): Promise<true> {
    return until(`${this.pod} hears ${other.pod}`, async () => (await this.share(other.tone)) > 0.8, 15_000);
  }
  /** Waits until the other phone's tone is not heard. */
  hearsNot(other: Phone): Promise<true> {
    return until(`${this.pod} does not hear ${other.pod}`, async () => (await this.share(other.tone)) < 0.1, 15_000);
  }
  /** SIP messages that were sent and received so far, as baresip prints them. */
  trace(): Promise<string> {
    return this.#kube.run(["logs", this.pod]);
  }

  /** Where the media of the SDP bodies that it received is sent. */
  async mediaAddresses(): Promise<Set<string>> {
    const received = (await this.trace()).split("#\n").filter((text) => text.includes(`-> ${this.address}:`));
    return new Set(
      received.flatMap((text) => [...text.matchAll(/^c=IN IP4 (\S+)/gm)].map(([, address]) => address ?? "")),
    );
  }

  #take(data: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, data]);
    for (;;) {
      const colon = this.#pending.indexOf(":");
      const length = Number(this.#pending.subarray(0, colon));
      const end = colon + 1 + length;
      if (colon < 0 || this.#pending.length < end + 1) return;
      const message = JSON.parse(this.#pending.subarray(colon + 1, end).toString()) as PhoneEvent;
      this.#pending = this.#pending.subarray(end + 1);
      if (message["response"] === true) this.#replies.get(String(message["token"]))?.(message);
      else this.events.push(message);
    }
  }
}

/** Waits until each of two phones hears the other. */
export const talk = async (one: Phone, other: Phone): Promise<boolean> =>
  (await Promise.all([one.hears(other), other.hears(one)])).every(Boolean);
