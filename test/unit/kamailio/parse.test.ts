/** Parsers against what real Kamailios answered (`answers/<version>.json`, recorded over the control port). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OperatorError } from "../../../src/errors.ts";
import {
  parseDialogAnswer,
  parseDispatcherAnswer,
  parseHtableAnswer,
  parseMtreeAnswer,
  parseVersionAnswer,
} from "../../../src/kamailio/parse.ts";

const folder = join(import.meta.dirname, "answers");
const versions = readdirSync(folder).map((file) => file.replace(".json", ""));

describe.each(versions)("Kamailio %s", (version) => {
  const answers = JSON.parse(readFileSync(join(folder, `${version}.json`), "utf8")) as Record<
    string,
    { result?: unknown }
  >;
  const result = (name: string): unknown => answers[name]?.result;

  test("dispatcher.list", () => {
    const found = parseDispatcherAnswer(result("dispatcher.list"));
    expect(found.map(({ setId, uri, state, flags, attrs }) => [setId, uri, state, flags, attrs])).toEqual([
      [100, "sip:127.20.1.1:5061;transport=udp", "Probing", "TP", "rweight=20"],
      [100, "sip:127.20.1.2:5062;transport=udp", "Inactive", "IP", "rweight=3"],
      [101, "sip:127.20.1.3:5062;transport=udp", "Disabled", "DX", "rweight=1"],
    ]);
  });

  test("the other answers", () => {
    expect(parseMtreeAnswer(result("mtree.match"))).toMatch(/^[0-9a-f]{12}$/);
    expect(parseHtableAnswer(result("htable.get"))).toMatch(/^[0-9a-f]{12}$/);
    expect(parseHtableAnswer(result("htable.get number"))).toBe(1);
    expect(parseDialogAnswer(result("dlg.stats_active"))).toBe(0);
    expect(parseVersionAnswer(result("core.version"))).toBe(version);
  });
});

test("a latency is what somebody can have waited for an answer, else unknown", () => {
  const latencyOf = (AVG: number, EST: number, MAX: number): unknown => {
    const DEST = {
      URI: "sip:192.0.2.1:5060",
      FLAGS: "AP",
      PRIORITY: 30,
      LATENCY: { AVG, STD: 0, EST, MAX, TIMEOUT: 0 },
    };
    return parseDispatcherAnswer({ RECORDS: [{ SET: { ID: 100, TARGETS: [{ DEST }] } }] })[0]?.latencyMs;
  };
  expect(latencyOf(12.5, 11, 20)).toEqual({ average: 12.5, max: 20, last: 11 });
  expect(latencyOf(0, 0, 0)).toBeUndefined();
  // as Kamailio 5.6.3 gave them after a change during a round of OPTIONS
  expect(latencyOf(64_052_480, 64_052_480, 512_416_427)).toBeUndefined();
  expect(latencyOf(-64_052_480, -64_052_480, -512_416_427)).toBeUndefined();
});

test("any JSON is either understood or refused with SIPR_RPC_MALFORMED", () => {
  const refused = (act: () => unknown): void => {
    try {
      act();
    } catch (error) {
      if (!(error instanceof OperatorError) || error.code !== "SIPR_RPC_MALFORMED") throw error;
    }
  };
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      refused(() => parseDispatcherAnswer(value));
      refused(() => parseDispatcherAnswer({ RECORDS: [{ SET: { ID: 1, TARGETS: [{ DEST: value }] } }] }));
      refused(() => parseDialogAnswer(value));
      refused(() => [parseMtreeAnswer(value), parseHtableAnswer(value), parseVersionAnswer(value)]);
    }),
  );
});
