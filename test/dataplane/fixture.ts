/** Every test of the data plane runs on each supported Kamailio that can be had here. */
import { afterAll, beforeAll, describe } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { createControl, type ClosableControl } from "../../src/kamailio/control.ts";
import { proveCertificate } from "../../src/kamailio/proveCertificate.ts";
import { readPod } from "../../src/kamailio/readPod.ts";
import type { DestinationState, PodReading } from "../../src/kamailio/types.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { SipPeer, type Behaviour, type Endpoint } from "../support/sip/peer.ts";
import { kamailio5, kamailio6, type KamailioProgram } from "../support/sip/programs.ts";
import { until } from "../support/until.ts";

export const programs: readonly KamailioProgram[] = [kamailio5(), kamailio6()];

/** Addresses of one Kamailio's tests: a network of this process and version, so that two runs never meet. */
const hostOf = (program: KamailioProgram, last: number): string =>
  `127.${100 + (Math.floor(process.pid / 120) % 80)}.${(process.pid % 120) * 2 + (program.name.startsWith("5") ? 0 : 1)}.${last}`;

export class Bench {
  readonly program: KamailioProgram;
  readonly control: ClosableControl = createControl();
  #kamailio: LocalKamailio | undefined;
  readonly #peers: SipPeer[] = [];

  constructor(program: KamailioProgram) {
    this.program = program;
  }

  get kamailio(): LocalKamailio {
    if (this.#kamailio === undefined) throw new Error("kamailio was not started");
    return this.#kamailio;
  }

  get router(): { host: string; port: number } {
    return { host: this.kamailio.ip, port: 5060 };
  }

  host(last: number): string {
    return hostOf(this.program, last);
  }

  async start(plan: RouterPlan, secret?: Readonly<Record<string, string>>, ip = this.host(1)): Promise<void> {
    this.#kamailio = await LocalKamailio.start(this.program, plan, ip, secret);
  }

  peer(last: number, port = 5060, transport: "UDP" | "TCP" = "UDP", behaviour?: Behaviour): Promise<SipPeer> {
    return this.listen({ host: this.host(last), port, transport }, behaviour);
  }

  async listen(endpoint: Endpoint, behaviour?: Behaviour): Promise<SipPeer> {
    const peer = await SipPeer.listen(endpoint, behaviour);
    this.#peers.push(peer);
    return peer;
  }

  call(method: string, ...params: (string | number)[]): Promise<unknown> {
    return this.control.call(this.kamailio.control, method, params);
  }

  read(): Promise<PodReading> {
    return readPod(this.control, this.kamailio.control, this.kamailio.files.desired, proveCertificate);
  }

  /** An ACK may overtake the work on the 200 in another process: the module dialog tells of it and goes on. */
  faults(): readonly string[] {
    return this.kamailio.log
      .split("\n")
      .filter((line) => /CRITICAL|BUG|ERROR|WARNING/.test(line) && !line.includes(": dialog ["));
  }

  async stateOf(peer: SipPeer): Promise<DestinationState | undefined> {
    return (await this.read()).destinations.find(({ uri }) => uri === peer.uri)?.state;
  }

  async untilState(peer: SipPeer, state: DestinationState): Promise<void> {
    await until(`${peer.uri} is ${state}`, async () => (await this.stateOf(peer)) === state);
  }

  async stop(): Promise<void> {
    await this.#kamailio?.stop();
    for (const peer of this.#peers.splice(0)) await peer.close();
    this.control.close();
  }
}

/** One Kamailio for all tests of a group, for each version. `prepare` starts peers and the router. */
export function withKamailio(
  name: string,
  prepare: (bench: Bench) => Promise<void>,
  tests: (bench: Bench) => void,
): void {
  describe.each(programs.map((program) => [program.name, program] as const))(`${name}, Kamailio %s`, (_, program) => {
    const bench = new Bench(program);
    beforeAll(() => prepare(bench));
    afterAll(() => bench.stop());
    tests(bench);
  });
}
