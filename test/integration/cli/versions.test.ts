/** `kubectl-sip --state` beside each supported Kamailio: what it captures, follows, drains and lists is what SIPp and the phones did. */
import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ended, start, stop } from "../../../hack/demo/processes.ts";
import { request } from "../../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { kamailio5, kamailio6 } from "../../support/sip/programs.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

// each command is a process of its own, on a machine that may be busy
vi.setConfig({ testTimeout: 180_000 });

const root = resolve(import.meta.dirname, "../../..");
const programs = [kamailio5(), kamailio6()].map((program, at) => [program.name, program, `127.64.${10 + at}`] as const);

const resources = (net: string): string => `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-1}
spec: {address: ${net}.11, port: 5061}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  replicas: 2
  listeners: [{name: udp, transport: UDP, port: 5060}]
  healthCheck: {intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3}
  kamailio: {workers: 2}
  dispatcherSets: [{name: main, backends: [{name: pbx-1}]}]
  routes: [{name: company, match: {extensions: ["1000-1999"]}, set: main}]
---
apiVersion: v1
kind: Secret
metadata: {name: users}
stringData: {"1001": secret-1001, "1002": secret-1002, "2001": secret-2001}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: office}
spec:
  replicas: 2
  listeners: [{name: udp, transport: UDP, port: 5060}]
  kamailio: {workers: 2}
  authentication: {mode: Digest, realm: example.com, credentialsSecretName: users}
  registration: {mode: Registrar}
  dispatcherSets: [{name: main, backends: [{name: pbx-1}]}]
  routes: [{name: company, match: {extensions: ["1000-1999"]}, set: main}]
`;

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
interface Step {
  readonly pod: string;
  readonly from: string;
  readonly to: string;
  readonly label: string;
  readonly text: string;
}

describe.each(programs)("beside Kamailio %s", (_name, program, net) => {
  const folders = new StandaloneFolders();
  const replicas = [1, 2, 3, 4].map((host) => `${net}.${host}`);
  const children: ReturnType<typeof start>[] = [];
  let operator: Standalone;
  /** of the router edge, by name */
  let edge: { name: string; ip: string }[] = [];

  const plugin = resolve(root, "src/kubectl-sip.ts");
  const sip = (...args: string[]): Promise<Result> =>
    new Promise((done) => {
      execFile(process.execPath, [plugin, ...args, "--state", folders.state], (error, out, err) =>
        done({ code: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  const json = async <Shape>(...args: string[]): Promise<Shape> =>
    JSON.parse((await sip(...args, "-o", "json")).out) as Shape;
  /** One that runs until it is ended: what it has printed so far. */
  const running = (...args: string[]) => {
    const child = spawn(process.execPath, [plugin, ...args, "--state", folders.state]);
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    const exited = new Promise<number | null>((done) => child.once("exit", done));
    return { exited, interrupt: () => child.kill("SIGINT"), out: () => out, err: () => err };
  };
  const sipp = (scenario: string, ip: string, port: number, args: readonly string[]) => {
    const file = resolve(root, `hack/demo/scenarios/${scenario}.xml`);
    const output = `${folders.root}/${scenario}-${port}.out`;
    const made = start("sipp", ["-sf", file, "-i", ip, "-p", String(port), "-nostdin", ...args], {
      cwd: folders.root,
      output,
    });
    children.push(made);
    return made;
  };
  const callThrough = (ip: string, number: string, port: number, talkMs: number, ...more: string[]) =>
    sipp("call", `${net}.21`, port, [
      "-s",
      number,
      "-m",
      "1",
      "-d",
      String(talkMs),
      "-key",
      "from",
      "ann",
      ...more,
      `${ip}:5060`,
    ]);

  beforeAll(async () => {
    folders.write("all.yaml", resources(net));
    sipp("pbx", `${net}.11`, 5061, ["-key", "who", "pbx-1"]);
    operator = new Standalone(folders, { addresses: replicas, kamailio: resolve(program.folder, "kamailio") });
    await operator.ready();
    const { routers } = await json<{ routers: { name: string; pods: { name: string; ip: string }[] }[] }>("status");
    edge = routers.find(({ name }) => name === "edge")?.pods ?? [];
  }, 90_000);
  afterAll(async () => {
    await Promise.all(children.map((one) => stop(one, 300)));
    await operator?.end("SIGKILL");
    folders.remove();
  }, 60_000);

  test("capture: the ladder is what SIPp sent and received, in its order", async () => {
    const log = `${folders.root}/messages.log`;
    const capturing = running("capture", "edge", "--number", "1234", "--for", "30", "-o", "json");
    await until("it captures", () => capturing.err().includes("capturing on 2 pods"));
    const another = ended(callThrough(edge[0]?.ip ?? "", "1777", 5081, 300));
    await ended(callThrough(edge[1]?.ip ?? "", "1234", 5082, 300, "-trace_msg", "-message_file", log));
    await another;
    expect(await capturing.exited, capturing.err()).toBe(0);
    const { calls } = JSON.parse(capturing.out()) as { calls: { from: string; to: string; steps: Step[] }[] };
    expect(calls).toHaveLength(1);
    const steps = calls[0]?.steps ?? [];
    const caller = `${net}.21:5082`;
    // SIPp's own log of its messages: "UDP message sent (531 bytes):", an empty line, the message
    const placed = [...readFileSync(log, "utf8").matchAll(/message (sent|received)[^\n]*\n\n([^\r\n]*)/g)].map(
      ([, way, first]) => `${String(way)} ${String(first)}`,
    );
    // INVITE, 200, ACK, BYE, 200, and what comes in between
    expect(placed.length).toBeGreaterThanOrEqual(5);
    const seen = steps
      .filter(({ from, to }) => from === caller || to === caller)
      .map(({ from, text }) => `${from === caller ? "sent" : "received"} ${text.split("\r\n", 1)[0] ?? ""}`);
    expect(seen.toSorted()).toEqual(placed.toSorted());
    const towards = steps.filter(({ to }) => to === "pbx-1").map(({ label }) => label.split(" ", 1)[0]);
    expect(towards.toSorted()).toEqual(["ACK", "BYE", "INVITE"]);
    expect(new Set(steps.map(({ pod }) => pod))).toEqual(new Set([edge[1]?.name]));
  });

  test("capture: one at a time, off again when it is interrupted, exit code 1 when there was nothing", async () => {
    const first = running("capture", "edge", "--number", "1999");
    await until("it captures", () => first.err().includes("capturing on 2 pods"));
    const second = await sip("capture", "edge", "--number", "1998", "--for", "1");
    expect(second).toMatchObject({ code: 1, err: expect.stringMatching(/another capture runs[^]*incomplete: 2 of 2/) });
    first.interrupt();
    expect(await first.exited).toBe(1);
    expect(first.out()).toContain("no message was captured");
    const third = running("capture", "edge", "--number", "1999", "--for", "1");
    await third.exited;
    expect(third.err()).toContain("capturing on 2 pods");
    for (const wrong of [
      [],
      ["--number", "1", "--call-id", "x"],
      ["--number", "a b"],
      ["--call-id", 'a"b'],
      ["--for", "601"],
    ])
      expect((await sip("capture", "edge", ...wrong)).code, wrong.join(" ")).toBe(2);
  });

  test("calls --follow: a line when a call is answered and when it ends", async () => {
    const following = running("calls", "edge", "--follow", "--interval", "0.2");
    await until("no call is left", async () => (await json<{ total: number }>("calls", "edge")).total === 0);
    await ended(callThrough(edge[0]?.ip ?? "", "1235", 5083, 1500));
    await until("the end", () => /Ended {4,}ann → 1235 {2}route company to pbx-1/.test(following.out()));
    expect(following.out()).toMatch(/Answered {2}ann → 1235 {2}route company to pbx-1 on edge-/);
    following.interrupt();
    expect(await following.exited).toBe(0);
  });

  test("drain pod/NAME: its calls are counted until none is left, new ones get 503, undrain takes it back", async () => {
    const [pod, other] = edge;
    const call = callThrough(pod?.ip ?? "", "1236", 5084, 8000);
    await until("the call", async () => (await json<{ total: number }>("calls", "edge")).total === 1);
    expect((await sip("drain", `pod/${pod?.name}`, "--no-wait")).out).toMatch(/takes no new calls[^]*1 call left at/);
    const answers = await json<{ sum: { stats: { calls: number } } }>("stats", "edge", "--no-rate");
    expect(answers.sum.stats.calls).toBe(1);
    await until("status shows it", async () => (await sip("status", "edge")).out.includes("not ready: HTTP 503"));
    expect(await sip("drain", `pod/${other?.name}`)).toMatchObject({
      code: 2,
      err: expect.stringContaining("is the only one of its router that is ready"),
    });
    expect(await sip("route", "explain", "1234", "edge")).toMatchObject({
      out: expect.stringContaining("it drains: 503"),
    });
    const waited = await sip("drain", `pod/${pod?.name}`, "--timeout", "30");
    expect(waited).toMatchObject({ code: 0, out: expect.stringMatching(/0 calls left at edge-[^\n]*\n$/) });
    await ended(call);
    expect((await sip("undrain", `pod/${pod?.name}`)).code).toBe(0);
    await until("it is ready", async () => !(await sip("status", "edge")).out.includes("HTTP 503"));
    expect(await sip("drain", "pod/nobody")).toMatchObject({ code: 2, err: expect.stringContaining(pod?.name ?? "") });
  });

  test("registrations: who is registered, on every pod; one beginning, one user, a page", async () => {
    const { routers } = await json<{ routers: { name: string; pods: { ip: string }[] }[] }>("status", "office");
    const [at] = routers[0]?.pods ?? [];
    const phone = await SipPeer.listen({ host: `${net}.31`, port: 5070, transport: "UDP" });
    try {
      for (const user of ["1001", "1002", "2001"]) {
        const router = { host: at?.ip ?? "", port: 5060 };
        const own = `<sip:${user}@example.com>`;
        const input = {
          method: "REGISTER",
          uri: `sip:${router.host}`,
          from: `${own};tag=1`,
          to: own,
          callId: `reg-${user}`,
        };
        const contact = `<sip:${user}@${phone.host}:${phone.port}>`;
        const refused = await (await request(phone, router, { ...input, contact })).final();
        const login = { user, password: `secret-${user}` };
        const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, "REGISTER", input.uri);
        const fields: (readonly [string, string])[] = [["Expires", "120"], answer];
        expect((await (await request(phone, router, { ...input, contact, cseq: 2, fields })).final()).status).toBe(200);
      }
      interface Listed {
        readonly total: number;
        readonly registrations: readonly { user: string; contact: string; expiresSeconds: number; pods: string[] }[];
      }
      const { registrations } = await until("both pods know them", async () => {
        const found = await json<Listed>("registrations", "office");
        return found.total === 3 && found.registrations.every(({ pods }) => pods.length === 2) && found;
      });
      expect(registrations.map(({ user, contact }) => [user, contact])).toEqual(
        ["1001", "1002", "2001"].map((user) => [user, expect.stringContaining(`sip:${user}@${phone.host}:5070`)]),
      );
      for (const { expiresSeconds } of registrations) {
        expect(expiresSeconds).toBeGreaterThan(60);
        expect(expiresSeconds).toBeLessThanOrEqual(120);
      }
      expect((await json<Listed>("ul", "office", "--aor", "10")).total).toBe(2);
      expect((await json<Listed>("ul", "office", "--user", "2001")).registrations).toMatchObject([{ user: "2001" }]);
      expect((await json<Listed>("ul", "office", "--per-pod")).total).toBe(6);
      expect((await sip("ul", "office", "--limit", "1", "--offset", "1")).out).toMatch(/1002 .*\n2 to 2 of 3; more/);
      expect((await sip("ul", "edge")).out).toContain("keeps no registrations");
      const explained = (number: string) =>
        sip("route", "explain", number, "office", "--source", `${net}.31`, "--from", "1001");
      expect(await explained("2001")).toMatchObject({
        code: 0,
        out: expect.stringMatching(
          /2001 is registered: its phone gets the call[^]*pod \S+: the same\npod \S+: the same/,
        ),
      });
      expect(await explained("2002")).toMatchObject({ code: 1, out: expect.stringContaining("404") });
    } finally {
      await phone.close();
    }
  });

  test("route explain --from: who has to log in, and whether he is known", async () => {
    const ask = (...more: string[]) => sip("route", "explain", "1001", "office", "--source", `${net}.31`, ...more);
    expect(await ask("--from", "1001")).toMatchObject({
      out: expect.stringContaining("log in (407) as 1001: a known user"),
    });
    expect(await ask("--from", "9999")).toMatchObject({ code: 1, out: expect.stringContaining("9999 is no user") });
    expect((await ask()).out).toContain("say as whom with --from");
    expect((await sip("route", "explain", "1001", "office", "--source", `${net}.11`)).out).not.toContain("log in");
    const refused = await ask("--from", "a b");
    expect(refused.code).toBe(2);
  });

  test("dump, ping, stats, route explain and reload understand this version", async () => {
    const { destinations } = await json<{ destinations: { backend: string; activePods: number; notes: string[] }[] }>(
      "dump",
      "edge",
    );
    expect(destinations).toMatchObject([{ backend: "pbx-1", activePods: 2, notes: [] }]);
    expect((await sip("ping", "--router", "edge")).out).toContain("all 2 answered");
    expect(await json("route", "explain", "1234", "edge")).toMatchObject({
      pods: [{ agrees: true }, { agrees: true }],
    });
    expect(await sip("reload", "edge")).toMatchObject({
      code: 0,
      out: expect.stringContaining("2 of 2 pods read back"),
    });
    const { sum } = await json<{ sum: { stats: { placed: number; memory: { total: number } } } }>(
      "stats",
      "edge",
      "--no-rate",
    );
    expect(sum.stats.placed).toBe(4);
    expect(sum.stats.memory.total).toBeGreaterThan(0);
  });
});
