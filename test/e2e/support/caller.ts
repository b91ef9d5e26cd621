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
  /** in the called URI; default: the router's address */
  readonly domain?: string;
}
/** How a PBX is played: at this port, by a file of /scenarios, with more arguments for SIPp. */
export interface Part {
  readonly port: number;
  readonly scenario?: "pbx" | "trunk";
  readonly options?: string;
}

const read = (file: string): string => readFileSync(fileURLToPath(new URL(file, import.meta.url)), "utf8");
const scenarios = {
  // the number is called in a domain that is told
  "call.xml": read("../../../hack/demo/scenarios/call.xml").replaceAll("[remote_ip]:[remote_port]", "[domain]"),
  "pbx.xml": read("../../../hack/demo/scenarios/pbx.xml"),
  "trunk.xml": read("trunk.xml"),
};
/** Is started again when it ended, unless it is down. */
const play = (name: string, { port, scenario = "pbx", options = "" }: Part): string =>
  `while :; do if [ -e /tmp/down-${name} ]; then sleep 0.2; else
     sipp -sf /scenarios/${scenario}.xml -i $IP -p ${port} -key who ${name} ${options} \
       -trace_logs -log_file /tmp/${name}.log -nostdin >/dev/null 2>&1; fi; done &`;

export class Caller {
  readonly #at: Scenario;
  readonly #pod: string;
  #port = 6000;

  constructor(at: Scenario, name = "caller") {
    this.#at = at;
    this.#pod = `${at.name}-${name}`;
  }

  /** Starts the pod, with PBXes that answer as these names at these ports; its address. */
  async start(pbxes: Readonly<Record<string, number | Part>> = {}): Promise<string> {
    const serve = Object.entries(pbxes).map(([name, part]) =>
      play(name, typeof part === "number" ? { port: part } : part),
    );
    const name = this.#pod;
    await this.#at.apply(
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: scenarios },
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

  /** A PBX ends, and nobody is at its port until {@link comeBack}. */
  async dies(name: string): Promise<void> {
    await this.#run(`touch /tmp/down-${name}; pkill -KILL -f '^sipp .*-key who ${name} '`);
  }
  /** Every PBX that died. */
  async comeBack(): Promise<void> {
    await this.#run("rm -f /tmp/down-*");
  }
  /** What a PBX logged: its registrations. */
  logOf(name: string): Promise<string> {
    return this.#run(`cat /tmp/${name}.log`);
  }
  #run(command: string): Promise<string> {
    return this.#at.kube.exec(this.#pod, ["sh", "-c", command]);
  }

  /** Calls a number; for each call "200 NAME-OF-THE-PBX", "503 router" and such, or "none". */
  async calls({ number, calls = 1, perSecond = 10, talkMs = 50, to, domain }: Calls): Promise<string[]> {
    const router = to ?? (await this.#at.serviceAddress());
    const port = (this.#port += 1);
    const file = `/tmp/calls-${port}`;
    const command = `sipp -sf /scenarios/call.xml -i $IP -p ${port} -s ${number} -m ${calls} -r ${perSecond} -d ${talkMs} \\
      -recv_timeout 12000 -key from caller -key domain ${domain ?? `${router}:5060`} -trace_logs -log_file ${file} -nostdin -default_behaviors all,-abortunexp \\
      ${router}:5060 >${file}.out 2>&1; cat ${file}`;
    const answers = (await this.#run(command)).split("\n").filter((line) => line !== "");
    return [...answers, ...Array<string>(Math.max(0, calls - answers.length)).fill("none")];
  }
}
