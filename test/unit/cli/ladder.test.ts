import { describe, expect, test } from "vitest";
import { buildCalls, isOver, renderLadder, type LadderData } from "../../../src/cli/views/ladder.ts";
import type { CapturedMessage } from "../../../src/kamailio/capture.ts";
import { captured, naming, pods, router } from "../../golden/cli/fleet.ts";

const [phone, proxy, pbx] = ["203.0.113.77:5060", `${pods[0]!.ip}:5060`, "192.0.2.12:5060"];
/** `> INVITE` comes from the phone, `< 200 INVITE` goes to it, `>>` and `<<` are on the other side of the router. */
const messages = (...lines: readonly string[]): readonly CapturedMessage[] =>
  lines.map((line, at) => {
    const [way = "", first = "", method = first] = line.split(" ");
    const hops: Record<string, readonly [boolean, string, string]> = {
      ">": [false, phone, proxy],
      "<": [true, proxy, phone],
      ">>": [true, proxy, pbx],
      "<<": [false, pbx, proxy],
    };
    const [sent, from, to] = hops[way] ?? [false, "", ""];
    const head = /^[0-9]/.test(first) ? `SIP/2.0 ${first} Reason` : `${first} sip:1234@x SIP/2.0`;
    const text = `${head}\r\nFrom: <sip:ann@x>\r\nt: <sip:1234@x>\r\ni: one\r\nCSeq: ${at} ${method}\r\n\r\n`;
    return { at: at * 1000, sent, transport: "udp", from, to, bytes: text.length, text };
  });
const data = (value: readonly CapturedMessage[], more: Partial<LadderData> = {}): LadderData => ({
  router,
  naming,
  answers: [{ pod: pods[0]!, value }],
  full: false,
  texts: false,
  ...more,
});
const only = (...lines: readonly string[]) => buildCalls(data(messages(...lines)))[0]!;

describe("a call is over", () => {
  test.each([
    ["when BYE is answered", ["> INVITE", "< 200 INVITE", "> ACK", ">> BYE", "<< 200 BYE"], true],
    ["not while BYE is not answered", ["> INVITE", "< 200 INVITE", "> BYE"], false],
    ["not when it is accepted", ["> INVITE", "< 180 INVITE", "< 200 INVITE"], false],
    ["when the caller is refused", ["> INVITE", "< 486 INVITE"], true],
    ["not when one backend refuses and another one is tried", ["> INVITE", ">> INVITE", "<< 503 INVITE"], false],
    ["not when credentials are asked for", ["> INVITE", "< 407 INVITE", "> ACK"], false],
    ["when a registration is accepted", ["> REGISTER", "< 401 REGISTER", "> REGISTER", "< 200 REGISTER"], true],
    ["not by what answers a CANCEL", ["> INVITE", "> CANCEL", "< 200 CANCEL"], false],
  ])("%s", (_, lines, over) => expect(isOver(only(...lines))).toBe(over));
});

describe("the ladder", () => {
  test("knows compact header names, and who calls whom", () => {
    expect(only("> INVITE", "< 200 INVITE")).toMatchObject({
      callId: "one",
      method: "INVITE",
      from: "ann",
      to: "1234",
    });
  });

  test("a message between replicas is one arrow, from the one that sent it", () => {
    const text = messages("> INVITE")[0]!.text;
    const hop = { transport: "udp", bytes: 1, text, from: `${pods[0]!.ip}:5060`, to: `${pods[1]!.ip}:5060` };
    const answers = [
      { pod: pods[0]!, value: [{ ...hop, at: 1, sent: true }] },
      { pod: pods[1]!, value: [{ ...hop, at: 2, sent: false }] },
    ];
    const [call] = buildCalls({ ...data([]), answers });
    expect(call?.steps.map(({ from, to }) => [from, to])).toEqual([[pods[0]!.name, pods[1]!.name]]);
  });

  test("where lanes do not fit, it is a list", () => {
    const lines = renderLadder({ ...data([]), answers: captured }, { width: 60, colour: false, wide: false });
    expect(lines).toContain("+0.001   edge-7c9f-a → freepbx-2  INVITE SDP");
    expect(lines.join("\n")).not.toContain("│");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(60);
  });

  test("what callers send moves no cursor", () => {
    const [first] = messages("> INVITE");
    const evil = {
      ...first!,
      text: first!.text.replace("ann", "\u001B[2J\u009B1Aann").replace("i: one", "i: o\u001Bne"),
    };
    const lines = renderLadder(data([evil], { texts: true, full: true }), { width: 100, colour: false, wide: true });
    expect(lines.join("")).not.toMatch(/[\u0000-\u001F\u007F-\u009F]/);
    expect(lines.at(-1)).toContain("the last ones are missing");
  });
});
