/** `kubectl-sip --state` beside three real Kamailio under SIPp calls: its numbers are what SIPp placed. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ended, start, stop } from "../../../hack/demo/processes.ts";
import { StandaloneFolders, Standalone } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

// each command is a process of its own, on a machine that may be busy
vi.setConfig({ testTimeout: 180_000 });

const root = resolve(import.meta.dirname, "../../..");
const net = "127.90.10";
const replicas = [1, 2, 3].map((host) => `${net}.${host}`);
const folders = new StandaloneFolders();
let operator: Standalone;

const resources = (state: string): string => `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-1}
spec: {address: ${net}.11, port: 5061, adminState: ${state}}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-2}
spec: {address: ${net}.12, port: 5062}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: silent}
spec: {address: ${net}.13, port: 5063}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge, labels: {tier: gold}}
spec:
  replicas: 3
  listeners: [{name: udp, transport: UDP, port: 5060}]
  healthCheck: {intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 1}
  kamailio: {workers: 2}
  dispatcherSets:
    - {name: main, backends: [{name: pbx-1}, {name: pbx-2, priority: 1}]}
    - {name: lost, backends: [{name: silent}]}
  routes:
    - {name: company, match: {extensions: ["1000-1999"]}, set: main}
    - {name: desk, match: {extensions: ["1500"]}, set: lost}
    - {name: inside, match: {extensions: ["1600"]}, set: main, callers: Trusted}
`;

const controlSecret = (): { readonly token: string } => {
  const { data } = JSON.parse(readFileSync(`${folders.state}/objects/default/Secret/edge-control.json`, "utf8")) as {
    data: { token: string };
  };
  return { token: Buffer.from(data.token, "base64").toString("utf8") };
};
const parentOf = (pid: number): number => Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
const sip = (...args: string[]): Promise<Result> =>
  new Promise((done) => {
    execFile(
      process.execPath,
      [resolve(root, "src/kubectl-sip.ts"), ...args, "--state", folders.state],
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
const json = async <Shape>(...args: string[]): Promise<Shape> =>
  JSON.parse((await sip(...args, "-o", "json")).out) as Shape;
const podOf = (index: number): string => Object.keys(folders.pids()).toSorted()[index] ?? "";

const sipp = (scenario: string, ip: string, port: number, args: readonly string[]) =>
  start(
    "sipp",
    ["-sf", resolve(root, `hack/demo/scenarios/${scenario}.xml`), "-i", ip, "-p", String(port), "-nostdin", ...args],
    {
      cwd: folders.root,
      output: `${folders.root}/${scenario}-${ip}-${port}.out`,
    },
  );
const callers: ReturnType<typeof sipp>[] = [];
const pbxes: ReturnType<typeof sipp>[] = [];
/** Calls that last until they are ended. */
const placeCalls = (
  replica: string,
  number: string,
  count: number,
  port: number,
  talkMs = 120_000,
): ReturnType<typeof sipp> => {
  const made = sipp("call", `${net}.21`, port, [
    "-s",
    number,
    "-m",
    String(count),
    "-r",
    "50",
    "-d",
    String(talkMs),
    "-key",
    "from",
    "ann",
    `${replica}:5060`,
  ]);
  callers.push(made);
  return made;
};

interface Calls {
  readonly total: number;
  readonly pods: readonly { readonly pod: string; readonly calls: number }[];
  readonly calls: readonly {
    readonly id: string;
    readonly from: string;
    readonly to: string;
    readonly state: string;
    readonly backend?: string;
    readonly route?: string;
  }[];
}
const liveCalls = (count: number): Promise<Calls> =>
  until(`${count} calls`, async () => {
    const found = await json<Calls>("calls", "--limit", "1000");
    return found.total === count && found.calls.every(({ state }) => state === "Answered") && found;
  });

beforeAll(async () => {
  folders.write("all.yaml", resources("Enabled"));
  for (const [at, name] of ["pbx-1", "pbx-2"].entries())
    pbxes.push(sipp("pbx", `${net}.1${at + 1}`, 5061 + at, ["-key", "who", name]));
  operator = new Standalone(folders, { addresses: replicas });
  await operator.ready();
  await until("the probes have found out", async () => {
    const { destinations } = await json<{ destinations: { backend: string; state: string }[] }>("dump");
    return destinations.every(({ backend, state }) => state === (backend === "silent" ? "Inactive" : "Active"));
  });
}, 60_000);
afterAll(async () => {
  await Promise.all([...callers, ...pbxes].map((one) => stop(one, 300)));
  await operator?.end("SIGKILL");
  folders.remove();
}, 60_000);

describe("live calls", () => {
  beforeAll(async () => {
    placeCalls(replicas[0] as string, "1234", 7, 5071);
    placeCalls(replicas[1] as string, "1999", 5, 5072);
    await liveCalls(12);
  });

  test("calls: as many as SIPp placed, on the pods it called, with route and backend", async () => {
    const { calls, pods } = await liveCalls(12);
    expect(pods.map(({ calls: count }) => count)).toEqual([7, 5, 0]);
    expect(calls.filter(({ to }) => to.startsWith("sip:1999@"))).toHaveLength(5);
    expect(new Set(calls.map(({ from, backend, route }) => `${from} ${backend} ${route}`))).toEqual(
      new Set([`sip:ann@${net}.21 pbx-1 company`]),
    );
    expect(await json<Calls>("calls", "--to", "1999", "--limit", "2", "--offset", "4")).toMatchObject({
      total: 5,
      calls: [{}],
    });
    expect((await sip("online")).out).toContain("by backend: pbx-1 12");
  });

  test("stats: per pod and in sum what SIPp placed", async () => {
    const { pods, sum } = await json<{
      pods: { pod: string; stats: { calls: number; placed: number; replies: object } }[];
      sum: { stats: object };
    }>("stats", "--no-rate");
    expect(pods.map(({ stats }) => [stats.calls, stats.placed])).toEqual([
      [7, 7],
      [5, 5],
      [0, 0],
    ]);
    expect(sum.stats).toMatchObject({ calls: 12, placed: 12, failed: 0, replies: { "2xx": 12, "4xx": 0 } });
  });

  test("top: who has them", async () => {
    expect(await json("top")).toMatchObject({
      calls: 12,
      backend: [{ name: "pbx-1", calls: 12 }],
      called: [
        { name: `1234@${replicas[0]}`, calls: 7 },
        { name: `1999@${replicas[1]}`, calls: 5 },
      ],
      pod: [{ calls: 7 }, { calls: 5 }],
    });
  });

  test("end: one call is over, the others go on", async () => {
    const { calls } = await liveCalls(12);
    const id = calls[3]?.id ?? "";
    expect(await sip("end", id)).toMatchObject({ code: 0, out: expect.stringContaining(id) });
    const left = await liveCalls(11);
    expect(left.calls.map((call) => call.id)).not.toContain(id);
    expect(await sip("end", "1:1@" + podOf(0))).toMatchObject({
      code: 1,
      err: expect.stringContaining("was not ended"),
    });
  });

  test("drain: the file is the user's; once it says Draining the calls left are counted until none is", async () => {
    const refused = await sip("drain", "pbx-1");
    expect(refused).toMatchObject({
      code: 2,
      err: expect.stringContaining("Set spec.adminState: Draining in the file"),
    });
    const seen = operator.events.length;
    folders.write("all.yaml", resources("Draining"));
    await operator.event("changed", ({ event }) => event === "changed", seen);
    const draining = sip("drain", "pbx-1", "--timeout", "60");
    expect((await sip("drain", "pbx-1", "--no-wait")).out).toContain("11 calls left at pbx-1");
    placeCalls(replicas[2] as string, "1001", 1, 5073);
    const { calls } = await liveCalls(12);
    expect(calls.filter(({ backend }) => backend === "pbx-2")).toHaveLength(1);
    await Promise.all(calls.filter(({ backend }) => backend === "pbx-1").map(({ id }) => sip("end", id)));
    expect(await draining).toMatchObject({ code: 0, out: expect.stringMatching(/0 calls left at pbx-1\n$/) });
    const again = operator.events.length;
    folders.write("all.yaml", resources("Enabled"));
    await operator.event("changed", ({ event }) => event === "changed", again);
  });
});

describe("what the pods say", () => {
  test("dump: the destinations of every pod, alike", async () => {
    const { destinations } = await json<{
      destinations: { backend: string; state: string; activePods: number; totalPods: number; notes: string[] }[];
    }>("dump");
    expect(
      destinations
        .toSorted((a, b) => (a.backend < b.backend ? -1 : 1))
        .map(({ backend, state, activePods, totalPods, notes }) => [backend, state, activePods, totalPods, notes]),
    ).toEqual([
      ["pbx-1", "Active", 3, 3, []],
      ["pbx-2", "Active", 3, 3, []],
      ["silent", "Inactive", 0, 3, []],
    ]);
    expect(await sip("dump", "--set", "nope")).toMatchObject({ code: 2, err: expect.stringContaining("main, lost") });
  });

  test("route explain: the running pods agree; a number of a dead set, and nobody's, have exit code 1", async () => {
    const asked = await sip("route", "explain", "1234", "-o", "json");
    expect(asked.code).toBe(0);
    expect(JSON.parse(asked.out)).toMatchObject({
      route: { route: "company", set: "main" },
      targets: [
        { order: 1, backend: "pbx-1" },
        { order: 2, backend: "pbx-2" },
      ],
      pods: [{ agrees: true }, { agrees: true }, { agrees: true }],
    });
    const dead = await sip("route", "explain", "1500");
    expect(dead.code).toBe(1);
    expect(dead.out).toMatch(/route desk → set lost[^]*503: no destination is active/);
    const inside = await sip("route", "explain", "1600", "--source", `${net}.21`);
    expect(inside).toMatchObject({ code: 1, out: expect.stringContaining("trusted callers only") });
    expect((await sip("route", "explain", "1600", "--source", `${net}.12`)).code).toBe(0);
    expect(await sip("route", "explain", "2000")).toMatchObject({
      code: 1,
      out: expect.stringContaining("404: no route claims it"),
    });
    const calls = await Promise.all(
      ["1500", "1600", "2000"].map((number, at) => ended(placeCalls(replicas[0] as string, number, 1, 5080 + at, 10))),
    );
    expect(calls).toHaveLength(3);
    const { sum } = await json<{ sum: { stats: { placed: number; denied: number } } }>("stats", "--no-rate");
    expect(sum.stats).toMatchObject({ placed: 13, denied: 1 });
  });

  test("ping: each destination from each pod; one that does not answer is exit code 1", async () => {
    const all = await sip("ping", "-o", "json");
    expect(all.code).toBe(1);
    const { results } = JSON.parse(all.out) as { results: { backend: string; alive: boolean; code: number }[] };
    expect(results.map(({ backend, alive }) => `${backend} ${alive}`).toSorted()).toEqual(
      [
        ["pbx-1", true],
        ["pbx-2", true],
        ["silent", false],
      ].flatMap(([name, alive]) => Array<string>(3).fill(`${String(name)} ${String(alive)}`)),
    );
    expect((await sip("ping", "pbx-2")).code).toBe(0);
    expect(await sip("ping", "nobody")).toMatchObject({ code: 2, err: expect.stringContaining("nobody") });
  });

  test("reload: every pod is read back", async () => {
    expect(await sip("reload")).toMatchObject({
      code: 0,
      out: expect.stringContaining("3 of 3 pods read back with revision"),
    });
  });

  test("status: what is wrong comes first with its remedy; --check ends with 1; labels choose", async () => {
    const { code, out } = await until("the status", async () => {
      const found = await sip("status", "--check");
      return found.out.includes("SetDown") && found;
    });
    expect(code).toBe(1);
    expect(out.indexOf("SetDown")).toBeLessThan(out.indexOf("SipRouter default/edge  Ready"));
    expect(out).toContain("→ Bring a PBX of the set back");
    expect((await sip("status", "-l", "tier=gold")).code).toBe(0);
    expect(await sip("status", "-l", "tier=lead")).toMatchObject({
      code: 2,
      err: expect.stringContaining("no SipRouter"),
    });
    expect((await sip("status", "-o", "name")).out.split("\n")[0]).toBe("siprouter.siprouter.dev/edge");
  });

  test("diagnose: everything but the token", async () => {
    const { code, out } = await sip("diagnose", "--to", `${folders.root}/report.tar.gz`);
    expect(code).toBe(0);
    expect(out).toMatch(/siprouter-edge\.yaml[^]*pods\/edge-/);
    const text = await new Promise<string>((done) => {
      execFile("tar", ["-xzOf", `${folders.root}/report.tar.gz`], { maxBuffer: 1 << 26 }, (_error, content) =>
        done(content),
      );
    });
    const { token } = controlSecret();
    expect(text).toContain("kind: SipRouter");
    expect(text).toContain("dispatcher.list");
    expect(text).not.toContain(token);
  });

  test("a request of its own is served by a pod for OPTIONS only", async () => {
    const { token } = controlSecret();
    const post = async (params: readonly string[]): Promise<number> => {
      const body = JSON.stringify({ jsonrpc: "2.0", method: "tm.t_uac_wait_block", params, id: 1 });
      const reply = await fetch(`http://${replicas[0]}:9060/rpc`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}` },
        body,
      });
      return reply.status;
    };
    const uri = `sip:${net}.11:5061;transport=udp`;
    const headers = (more = ""): string => `From: <sip:sip-router@${net}.1>;tag=ab12\r\nTo: <${uri}>\r\n${more}`;
    expect(await post(["OPTIONS", uri, ".", ".", headers()])).toBe(200);
    for (const wrong of [
      ["INVITE", uri, ".", ".", headers()],
      ["OPTIONS", uri, ".", ".", headers("Route: <sip:127.90.10.13:5063>\r\n")],
      ["OPTIONS", uri, "sip:127.90.10.13:5063", ".", headers()],
      ["OPTIONS", uri, ".", ".", headers(), "v=0"],
    ])
      expect(await post(wrong)).toBeGreaterThanOrEqual(400);
  });
});

describe("a pod that hangs", () => {
  test("is named, the others are shown, exit code 3", async () => {
    const name = podOf(1);
    const pid = folders.pids()[name] as number;
    const group = folders.processes().filter((one) => one === pid || parentOf(one) === pid);
    for (const one of group) process.kill(one, "SIGSTOP");
    try {
      const { code, out, err } = await sip("dump", "--request-timeout", "1");
      expect(code).toBe(3);
      expect(out).toContain("pods 2/3");
      expect(err).toMatch(new RegExp(`no answer from pod default/${name}[^]*incomplete: 1 of 3 pods`));
      expect(JSON.parse((await sip("calls", "--request-timeout", "1", "-o", "json")).out)).toMatchObject({
        notAnswering: [{ pod: `default/${name}` }],
      });
    } finally {
      for (const one of group) process.kill(one, "SIGCONT");
    }
  });
});
