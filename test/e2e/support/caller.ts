/** Many calls at once, and PBXes that only answer: SIPp in a pod, with the scenarios of the demo. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { imageOf } from "./environment.ts";
import { addressOf, isReady } from "./kubectl.ts";
import type { Scenario } from "./scenario.ts";
import { until } from "./until.ts";

export interface Calls {
  readonly number: string;
  readonly calls?: number;
  readonly perSecond?: number;
  readonly talkMs?: number;
  /** address of the router; default: that of the scenario's router's Service */
  readonly to?: string;
}

const scenario = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../hack/demo/scenarios/${name}.xml`, import.meta.url)), "utf8");

export class Caller {
  readonly #at: Scenario;
  readonly #pod: string;
  #port = 6000;

  constructor(at: Scenario, name = "caller") {
    this.#at = at;
    this.#pod = `${at.name}-${name}`;
  }

  /** Starts the pod, with PBXes that answer as these names at these ports; its address. */
  async start(pbxes: Readonly<Record<string, number>> = {}): Promise<string> {
    const serve = Object.entries(pbxes).map(
      ([name, port]) => `sipp -sf /scenarios/pbx.xml -i $IP -p ${port} -key who ${name} -nostdin >/dev/null 2>&1 &`,
    );
    const name = this.#pod;
    await this.#at.apply(
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name },
        data: { "call.xml": scenario("call"), "pbx.xml": scenario("pbx") },
      },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            {
              name: "sipp",
              image: imageOf("phone"),
              imagePullPolicy: "IfNotPresent",
              env: [{ name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }],
              workingDir: "/tmp",
              command: ["sh", "-c", `${serve.join("\n")}\nsleep infinity`],
              volumeMounts: [{ name: "scenarios", mountPath: "/scenarios" }],
            },
          ],
          volumes: [{ name: "scenarios", configMap: { name } }],
        },
      },
    );
    return until(
      `${name} runs`,
      async () => {
        const pod = await this.#at.kube.get("pod", name);
        return isReady(pod) && addressOf(pod);
      },
      60_000,
    );
  }

  /** Calls a number; for each call "200 NAME-OF-THE-PBX", "503 router" and such, or "none". */
  async calls({ number, calls = 1, perSecond = 10, talkMs = 50, to }: Calls): Promise<string[]> {
    const router = to ?? (await this.#at.serviceAddress());
    const port = (this.#port += 1);
    const file = `/tmp/calls-${port}`;
    const command = `sipp -sf /scenarios/call.xml -i $IP -p ${port} -s ${number} -m ${calls} -r ${perSecond} -d ${talkMs} \\
      -recv_timeout 12000 -key from caller -trace_logs -log_file ${file} -nostdin -default_behaviors all,-abortunexp \\
      ${router}:5060 >${file}.out 2>&1; cat ${file}`;
    const text = await this.#at.kube.exec(this.#pod, ["sh", "-c", command]);
    const answers = text.split("\n").filter((line) => line !== "");
    return [...answers, ...Array<string>(Math.max(0, calls - answers.length)).fill("none")];
  }
}
