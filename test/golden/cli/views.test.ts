/**
 * What the commands print, on a narrow and on a wide terminal: one file per view and width in this folder.
 * `npm run golden:update` writes them anew; look at the difference before it is committed.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { blocksOf } from "../../../hack/checkDocs.ts";
import { renderCalls, selectCalls } from "../../../src/cli/views/calls.ts";
import { renderDump } from "../../../src/cli/views/dump.ts";
import { renderExplain } from "../../../src/cli/views/explainText.ts";
import { renderLadder, type LadderData } from "../../../src/cli/views/ladder.ts";
import { renderPing } from "../../../src/cli/views/ping.ts";
import { renderRegistrations } from "../../../src/cli/views/registrations.ts";
import { renderStats } from "../../../src/cli/views/stats.ts";
import { renderStatus } from "../../../src/cli/views/status.ts";
import type { Style } from "../../../src/cli/print/table.ts";
import { renderTop } from "../../../src/cli/views/top.ts";
import { renderReload } from "../../../src/cli/commands/verify.ts";
import { backends, callAnswers, captured, desired, dumped, naming, pods, registered, router, statistics, views, withDetail } from "./fleet.ts";

const folder = import.meta.dirname;
const update = process.env["UPDATE_GOLDEN"] === "1";

const matched = selectCalls(callAnswers, {});
const page = matched.map(withDetail);
const dump = { router, backends, desired, answers: dumped };
const question = (number: string, row: string | undefined, more: object = {}) => ({
  router,
  backends,
  question: { number, ...more },
  answers: views(row),
});

const ladder: LadderData = { router, naming, answers: captured, full: false, texts: false };
const registrations = { router, answers: registered, limit: 50, offset: 0, perPod: false };

const asked = question("1234", "RA|0||100=4;101=4|freepbx/desk", { source: "203.0.113.77", from: "ann" });
const login = {
  ...asked,
  router: { ...router, spec: { ...router.spec, accessControl: {}, authentication: { realm: "example.com" } } as unknown as typeof router.spec },
  answers: asked.answers.map((one) => ("value" in one ? { ...one, value: { ...one.value, known: one.pod === pods[0] } } : one)),
};

const screens: Readonly<Record<string, (style: Style) => readonly string[]>> = {
  status: (style) => renderStatus({ fleets: [{ router, pods }], backends }, style),
  dump: (style) => renderDump(dump, style, false),
  "dump-per-pod": (style) => renderDump(dump, style, true),
  stats: (style) => renderStats({ router, answers: statistics(1300), before: { answers: statistics(1200), seconds: 10 } }, style),
  calls: (style) => renderCalls({ router, answers: callAnswers, matched, page, offset: 0 }, style),
  "calls-page": (style) => renderCalls({ router, answers: callAnswers, matched, page: page.slice(2, 4), offset: 2 }, style),
  top: (style) => renderTop({ router, answers: callAnswers, calls: page, detailed: true, limit: 3 }, style),
  capture: (style) => renderLadder(ladder, style),
  "capture-texts": (style) => renderLadder({ ...ladder, texts: true, full: true }, style),
  registrations: (style) => renderRegistrations(registrations, style),
  "registrations-page": (style) => renderRegistrations({ ...registrations, prefix: "10", limit: 1, offset: 1, perPod: true }, style),
  "explain-login": (style) => renderExplain(login, style),
  "explain-range": (style) => renderExplain(question("1234", "RA|0||100=4;101=4|freepbx/desk", { source: "203.0.113.77" }), style),
  "explain-domain": (style) => renderExplain(question("1234", "EA|0||300=4|old/tenant-b", { domain: "B.example.com" }), style),
  "explain-rewrite": (style) => renderExplain(question("00442079460000", "RT|4|0|200=11|trunks/uk", { source: "192.0.2.11" }), style),
  "explain-fraud": (style) => renderExplain(question("900123", "RT|0||200=11|trunks/external", { source: "203.0.113.77" }), style),
  ping: (style) =>
    renderPing(
      router,
      [
        { pod: "edge-7c9f-a", backend: "freepbx-1", uri: "sip:192.0.2.11:5060;transport=udp", code: 408, text: "Request Timeout", alive: false },
        { pod: "edge-7c9f-a", backend: "freepbx-2", uri: "sip:192.0.2.12:5060;transport=udp", code: 200, text: "OK", rttMs: 1.25, alive: true },
      ],
      style,
    ),
  reload: (style) =>
    renderReload(
      {
        router,
        revision: "dab1bc2409ec",
        waiting: ["the operator has not done it yet; if this stays, check that it runs"],
        answers: [
          { pod: pods[0]!, value: { inSync: true, differences: [], unknown: [], reading: { destinations: [], tables: {}, draining: false, calls: 3, version: "6.1.5" } } },
          { pod: pods[1]!, value: { inSync: false, differences: ["the destination is missing sip:198.51.100.2:5060;transport=udp in 299"], unknown: [], reading: { destinations: [], tables: {}, draining: false } } },
          { pod: pods[2]!, error: "no answer within 5000 ms", remedy: "Look at the pod." },
        ],
      },
      style,
    ),
};

const styles: Readonly<Record<string, Style>> = {
  "80": { width: 80, colour: false, wide: false },
  "160": { width: 160, colour: false, wide: true },
};

describe.each(Object.keys(screens))("%s", (name) => {
  test.each(Object.keys(styles))("on %s columns", (width) => {
    const lines = screens[name]?.(styles[width] as Style) ?? [];
    const file = join(folder, `${name}.${width}.txt`);
    const text = `${lines.join("\n")}\n`;
    if (update) writeFileSync(file, text);
    expect(existsSync(file) ? readFileSync(file, "utf8") : "(no file)").toBe(text);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(Number(width));
  });

  test("in colour it says the same", () => {
    const style: Style = { width: 80, colour: true, wide: false };
    const stripped = screens[name]?.(style).map((line) => line.replaceAll(/\u001B\[[0-9]+m/g, "").trimEnd());
    expect(stripped).toEqual(screens[name]?.({ ...style, colour: false }).map((line) => line.trimEnd()));
  });
});

test("the screens in docs/cli.md are those", () => {
  const golden = readdirSync(folder)
    .filter((name) => name.endsWith(".txt"))
    .map((name) => readFileSync(join(folder, name), "utf8").trimEnd());
  const blocks = blocksOf(readFileSync(join(folder, "../../../docs/cli.md"), "utf8")).map(({ text }) => text.trimEnd());
  const shown = blocks.filter((text) => !/^(\$ )?kubectl /.test(text));
  expect(shown.length).toBeGreaterThan(5);
  for (const text of shown) expect(golden).toContain(text);
});

test("every file is of a screen that exists", () => {
  const known = Object.keys(screens).flatMap((name) => Object.keys(styles).map((width) => `${name}.${width}.txt`));
  expect(readdirSync(folder).filter((name) => name.endsWith(".txt")).toSorted()).toEqual(known.toSorted());
});
