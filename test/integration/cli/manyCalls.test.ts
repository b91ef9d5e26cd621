/** 10,000 live calls at one Kamailio: listed, page by page, in the time of one request. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { start, stop } from "../../../hack/demo/processes.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const root = resolve(import.meta.dirname, "../../..");
const net = "127.64.30";
const CALLS = 10_000;
const folders = new StandaloneFolders();
const children: ReturnType<typeof start>[] = [];
let operator: Standalone;

const resources = `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-1}
spec: {address: ${net}.11, port: 5061}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  replicas: 1
  listeners: [{name: udp, transport: UDP, port: 5060}]
  kamailio: {workers: 4}
  dispatcherSets: [{name: main, backends: [{name: pbx-1}]}]
  routes: [{name: company, match: {extensions: ["1000-1999"]}, set: main}]
`;

interface Calls {
  readonly total: number;
  readonly calls: readonly { readonly id: string; readonly callId: string; readonly backend?: string }[];
}
/** With patience: Kamailio answers one request at a time, and the machine may be busy. */
const sip = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((done) => {
    const plugin = resolve(root, "src/kubectl-sip.ts");
    execFile(
      process.execPath,
      [plugin, ...args, "--request-timeout", "60", "--state", folders.state],
      { maxBuffer: 1 << 26 },
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
const calls = async (...args: string[]): Promise<Calls> =>
  JSON.parse((await sip("calls", ...args, "-o", "json")).out) as Calls;
const sipp = (scenario: string, ip: string, port: number, args: readonly string[]): void =>
  void children.push(
    start(
      "sipp",
      ["-sf", resolve(root, `hack/demo/scenarios/${scenario}.xml`), "-i", ip, "-p", String(port), "-nostdin", ...args],
      { cwd: folders.root, output: `${folders.root}/${scenario}.out` },
    ),
  );

beforeAll(async () => {
  folders.write("all.yaml", resources);
  sipp("pbx", `${net}.11`, 5061, ["-key", "who", "pbx-1"]);
  operator = new Standalone(folders, { addresses: [`${net}.1`] });
  await operator.ready();
  const count = ["-m", String(CALLS), "-l", String(CALLS), "-r", "400"];
  sipp("call", `${net}.21`, 5071, ["-s", "1234", ...count, "-d", "600000", "-key", "from", "ann", `${net}.1:5060`]);
  await until("the calls are up", async () => (await calls("--limit", "1")).total === CALLS, 150_000);
}, 240_000);
afterAll(async () => {
  await Promise.all(children.map((one) => stop(one, 300)));
  await operator?.end("SIGKILL");
  folders.remove();
}, 60_000);

test("a page at a time: each call once, with its backend, the last page is short", async () => {
  const pages: Calls[] = [];
  for (const offset of [0, 4000, 9900]) pages.push(await calls("--limit", "200", "--offset", String(offset)));
  expect(pages.map(({ total, calls: page }) => [total, page.length])).toEqual([
    [CALLS, 200],
    [CALLS, 200],
    [CALLS, 100],
  ]);
  const listed = pages.flatMap(({ calls: page }) => page);
  expect(new Set(listed.map(({ callId }) => callId)).size).toBe(500);
  expect(new Set(listed.map(({ backend }) => backend))).toEqual(new Set(["pbx-1"]));
  expect((await sip("calls", "--offset", "9950")).out).toMatch(
    /10000 calls {2}Answered 10000[^]*9951 to 10000 of 10000$/m,
  );
});

test("all of them at once too, and counted", async () => {
  const all = await calls("--limit", String(CALLS));
  expect(new Set(all.calls.map(({ id }) => id)).size).toBe(CALLS);
  expect(JSON.parse((await sip("top", "-o", "json")).out)).toMatchObject({
    calls: CALLS,
    caller: [{ name: `ann@${net}.21`, calls: CALLS }],
  });
}, 120_000);
