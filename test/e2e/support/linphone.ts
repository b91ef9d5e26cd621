/** A phone of another make: linphonec in a pod, driven by its console. It plays a tone from a file and records what it hears. */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { until } from "./until.ts";
import { imageOf } from "./environment.ts";
import { isReady, type Kubectl } from "./kubectl.ts";
import { type Heard, shareHeard } from "./phone.ts";
import { toneFile } from "./sound.ts";

export const linphoneObjects = (name: string, tone: number): object[] => [
  {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name },
    binaryData: { "tone.wav": toneFile(tone, 20).toString("base64") },
  },
  {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "linphone",
          image: imageOf("linphone"),
          imagePullPolicy: "IfNotPresent",
          // without a file and a folder of its own linphonec does not start
          command: ["sh", "-c", "mkdir -p $HOME/.local/share/linphone && : >/tmp/linphonerc && exec sleep infinity"],
          env: [{ name: "HOME", value: "/root" }],
          volumeMounts: [{ name: "tone", mountPath: "/tone" }],
        },
      ],
      volumes: [{ name: "tone", configMap: { name } }],
    },
  },
];

export class Linphone implements Heard {
  readonly pod: string;
  readonly tone: number;
  readonly #kube: Kubectl;
  readonly #console: ChildProcessWithoutNullStreams;
  #said = "";

  /** The phone of a pod that was applied. */
  static async of(kube: Kubectl, pod: string, tone: number): Promise<Linphone> {
    await until(`${pod} runs`, async () => isReady(await kube.get("pod", pod)), 60_000);
    const phone = new Linphone(kube, pod, tone);
    await phone.says("linphonec>");
    for (const line of ["soundcard use files", "play /tone/tone.wav", "record /tmp/ear.wav"]) phone.type(line);
    return phone;
  }
  private constructor(kube: Kubectl, pod: string, tone: number) {
    this.#kube = kube;
    this.pod = pod;
    this.tone = tone;
    this.#console = kube.open(pod, ["linphonec", "-c", "/tmp/linphonerc"]);
    this.#console.stdout.on("data", (data: Buffer) => (this.#said += data.toString()));
  }

  /** A line at the console; forgets what was said before. */
  type(line: string): void {
    this.#said = "";
    this.#console.stdin.write(`${line}\n`);
  }
  /** Waits until the console has said something since the last line that was typed. */
  async says(what: string | RegExp): Promise<string> {
    await until(`${this.pod} says ${what} (${this.#said})`, () => new RegExp(what).test(this.#said), 30_000);
    return this.#said;
  }
  hears(other: Heard): Promise<true> {
    const share = () => shareHeard(this.#kube, this.pod, "ear.wav", other.tone);
    return until(`${this.pod} hears ${other.pod}`, async () => (await share()) > 0.8, 15_000);
  }
  close(): void {
    this.#console.stdin.end();
    this.#console.kill();
  }
}
