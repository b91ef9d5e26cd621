/** `kubectl sip ui` beside two real Kamailio under SIPp calls, in a real Chromium. `UPDATE_IMAGES=1` writes the pictures of the documentation. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { start, stop } from "../../../hack/demo/processes.ts";
import { REFRESH_MS } from "../../../src/cli/ui/assets.ts";
import { Browser } from "../../support/browser.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const root = resolve(import.meta.dirname, "../../..");
const net = "127.64.20";
const folders = new StandaloneFolders();
const children: ReturnType<typeof start>[] = [];
let operator: Standalone;
let page: ChildProcess;
let printed = "";
let browser: Browser;

const backend = (name: string, last: number): string => `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: ${name}}
spec: {address: ${net}.${last}, port: ${5050 + last}}
---`;
const resources = `${backend("freepbx-1", 11)}${backend("freepbx-2", 12)}${backend("carrier", 13)}${backend("sales-pbx", 14)}
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  replicas: 2
  listeners: [{name: udp, transport: UDP, port: 5060}]
  healthCheck: {intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 1}
  kamailio: {workers: 2}
  dispatcherSets:
    - {name: office, backends: [{name: freepbx-1}, {name: freepbx-2}]}
    - {name: sales, backends: [{name: sales-pbx}]}
    - {name: trunks, backends: [{name: carrier}]}
  routes:
    - {name: company, match: {extensions: ["1000-1999"]}, set: office}
    - {name: hotline, match: {extensions: ["1800"]}, set: sales}
    - {name: abroad, match: {prefixes: ["00"]}, set: trunks}
`;

const sipp = (scenario: string, ip: string, port: number, args: readonly string[]): void =>
  void children.push(
    start(
      "sipp",
      ["-sf", resolve(root, `hack/demo/scenarios/${scenario}.xml`), "-i", ip, "-p", String(port), "-nostdin", ...args],
      { cwd: folders.root, output: `${folders.root}/${scenario}-${port}.out` },
    ),
  );
const place = (replica: number, from: string, number: string, count: number, port: number): void =>
  sipp("call", `${net}.21`, port, [
    "-s",
    number,
    "-m",
    String(count),
    "-r",
    "20",
    "-d",
    "300000",
    "-key",
    "from",
    from,
    `${net}.${replica}:5060`,
  ]);

const cards = (): Promise<Record<string, string>> =>
  browser.evaluate(
    `Object.fromEntries([...document.querySelectorAll(".card")].map((one) => [one.querySelector(".name").textContent, one.innerText.replaceAll("\\n", " ")]))`,
  );

beforeAll(async () => {
  folders.write("all.yaml", resources);
  for (const [name, last] of [
    ["freepbx-1", 11],
    ["freepbx-2", 12],
    ["carrier", 13],
  ] as const)
    sipp("pbx", `${net}.${last}`, 5050 + last, ["-key", "who", name]);
  operator = new Standalone(folders, { addresses: [`${net}.1`, `${net}.2`] });
  await operator.ready();
  page = spawn(process.execPath, [resolve(root, "src/kubectl-sip.ts"), "ui", "--state", folders.state]);
  page.stdout?.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  browser = await Browser.start();
}, 90_000);
afterAll(async () => {
  await browser?.close();
  page?.kill("SIGINT");
  await Promise.all(children.map((one) => stop(one, 300)));
  await operator?.end("SIGKILL");
  folders.remove();
}, 60_000);

describe("the page", () => {
  let link = "";
  beforeAll(async () => {
    link = await until("the link", () => /^http:\S+$/m.exec(printed)?.[0]);
  });

  test("lets in who has the link, once, on this machine's name, to read", async () => {
    const origin = new URL(link).origin;
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:[0-9]+\/\?token=[A-Za-z0-9_-]{43}$/);
    for (const path of ["/", "/map", "/style.css", "/?token=wrong"])
      expect((await fetch(origin + path)).status).toBe(403);
    await browser.open(link);
    expect(await browser.evaluate("location.pathname + location.search + document.cookie")).toBe("/");
    const again = await fetch(link, { redirect: "manual" });
    expect([again.status, again.headers.get("set-cookie")]).toEqual([403, null]);
    expect((await fetch(`${origin}/map`, { method: "POST" })).status).toBe(405);
    const { status } = await fetch(`http://localhost:${new URL(link).port}/map`, {
      headers: { Cookie: `kubectl-sip-${new URL(link).port}=guess` },
    });
    expect(status).toBe(403);
    const { request } = await import("node:http");
    const rebound = await new Promise<number | undefined>((done) =>
      request(origin, { headers: { Host: "evil.example" } }, (reply) => done(reply.resume().statusCode)).end(),
    );
    expect(rebound).toBe(421);
  });

  test("shows callers, routes, sets and backends with the calls that SIPp placed, live", async () => {
    expect(await browser.evaluate("document.querySelector('h2').innerText")).toMatch(/^default\/edge/);
    await until("the dead one is seen", async () => (await cards())["sales-pbx"]?.includes("Inactive"));
    place(1, "ann", "1234", 5, 5071);
    place(2, "bob", "1300", 3, 5072);
    place(2, "ann", "00441234", 2, 5073);
    const shown = await until("10 calls", async () => {
      const found = await cards();
      return found["company"]?.includes("8 calls") && found["abroad"]?.includes("2 calls") && found;
    });
    expect(shown["ann"]).toMatch(/7 calls.*to abroad, company/);
    expect(shown["bob"]).toMatch(/3 calls.*to company/);
    expect(shown["office"]).toContain("8 calls");
    expect(
      Number(/([0-9]+) calls/.exec(shown["freepbx-1"] ?? "")?.[1]) +
        Number(/([0-9]+) calls/.exec(shown["freepbx-2"] ?? "")?.[1]),
    ).toBe(8);
    // Kamailio counts whole milliseconds: an answer that takes less than one has no latency
    expect(shown["carrier"]).toMatch(/Active.*2 calls( · [0-9.]+ ms)?$/);
    expect(await browser.evaluate("document.querySelector('.sum').innerText")).toBe("10 calls · 2 of 2 pods ready");
    expect(await browser.evaluate("document.querySelector('.problems').innerText")).toContain("sales-pbx");
  });

  test("by keyboard: an entry is chosen, the way of its calls is marked, and stays so when the page is fresh", async () => {
    await browser.show(1280, 900, "light");
    await browser.evaluate("document.body.focus(), scrollTo(0, 0)");
    const focused = (): Promise<string> => browser.evaluate("document.activeElement.innerText.split('\\n')[0].trim()");
    const seen: string[] = [];
    for (let at = 0; at < 30 && seen.at(-1) !== "abroad"; at += 1) {
      await browser.press("Tab");
      seen.push(await focused());
    }
    expect(seen[0]).toBe("Skip to the map");
    expect(seen.at(-1)).toBe("abroad");
    await browser.press("Enter");
    const marked = (): Promise<string[]> =>
      browser.evaluate("[...document.querySelectorAll('.card.chosen .name')].map((one) => one.textContent)");
    expect(await marked()).toEqual(["ann", "abroad", "trunks", "carrier"]);
    expect(await browser.evaluate("document.querySelectorAll('.edges path.chosen').length")).toBe(3);
    sipp("call", `${net}.21`, 5074, [
      "-s",
      "1001",
      "-m",
      "1",
      "-d",
      "300000",
      "-key",
      "from",
      "carol",
      `${net}.1:5060`,
    ]);
    await until("the page has changed", async () => "carol" in (await cards()));
    expect([await focused(), await marked()]).toEqual(["abroad", ["ann", "abroad", "trunks", "carrier"]]);
    await browser.press("Escape");
    expect(await marked()).toEqual([]);
  });

  test("stands still when it is paused, and is fresh at once when it goes on", async () => {
    const asked = () => browser.requested.filter((url) => url.endsWith("/map")).length;
    const button = "document.getElementById('pause')";
    const said = (): Promise<string> =>
      browser.evaluate(`${button}.innerText + ': ' + document.getElementById('freshness').textContent`);
    await browser.evaluate(`${button}.click()`);
    expect(await said()).toMatch(/^Go on: Paused at /);
    const before = asked();
    place(1, "dora", "1002", 1, 5075);
    // longer than between two pictures
    await browser.evaluate(`new Promise((done) => setTimeout(done, ${2 * REFRESH_MS}))`);
    expect([asked() - before, "dora" in (await cards())]).toEqual([0, false]);
    await browser.evaluate(`${button}.click()`);
    await until("it goes on", async () => "dora" in (await cards()));
    expect(await said()).toBe("Pause: as of now");
    // however often it was paused, it asks as often as before
    await browser.evaluate(`for (let at = 0; at < 10; at += 1) ${button}.click()`);
    await browser.evaluate(`new Promise((done) => setTimeout(done, ${REFRESH_MS / 2}))`);
    const settled = asked();
    await browser.evaluate(`new Promise((done) => setTimeout(done, ${2 * REFRESH_MS}))`);
    expect(asked() - settled).toBeLessThanOrEqual(2);
  });

  test.each([
    ["wide", 1280, "light"],
    ["wide", 1280, "dark"],
    ["phone", 360, "light"],
    ["phone", 360, "dark"],
  ] as const)("%s (%i px), %s: nothing is cut off, and axe finds no fault", async (name, width, scheme) => {
    await browser.show(width, 800, scheme);
    expect(await browser.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    await browser.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
    const violations = await browser.evaluate<{ id: string; nodes: string[] }[]>(
      "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map((one) => one.html) })))",
    );
    expect(violations).toEqual([]);
    const picture = await browser.picture();
    expect(picture.length).toBeGreaterThan(10_000);
    const shown = (name === "wide") === (scheme === "light");
    if (process.env["UPDATE_IMAGES"] === "1" && shown) {
      mkdirSync(resolve(root, "docs/images"), { recursive: true });
      writeFileSync(resolve(root, `docs/images/ui-${name}-${scheme}.png`), picture);
    }
  });

  test("asked nothing of anybody else, and broke none of its own rules", () => {
    const origin = new URL(link).origin;
    expect(browser.requested.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith("data:"))).toEqual([]);
    expect(browser.problems).toEqual([]);
  });

  test("says that it is no longer fresh when the command has ended", async () => {
    const ended = new Promise((done) => page.once("exit", done));
    page.kill("SIGINT");
    expect(await ended).toBe(0);
    await until("it says so", async () =>
      (await browser.evaluate<string>("document.getElementById('freshness').textContent")).startsWith(
        "No longer fresh",
      ),
    );
  });
});
