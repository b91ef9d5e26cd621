/** `capture`: the messages of a call, as every pod received and sent them, as a ladder diagram. Pure. */
import { keyOf, type SipRouter } from "../../api/index.ts";
import type { CapturedMessage } from "../../kamailio/capture.ts";
import type { FleetPod } from "../fleet/index.ts";
import { answered, notAnswering, type Answer } from "../print/output.ts";
import { paint, plain, type Style, type Tone } from "../print/table.ts";
import { cut, padEnd, widthOf } from "../print/width.ts";
import { userOf, type Naming } from "./naming.ts";

export interface LadderData {
  readonly router: SipRouter;
  readonly naming: Naming;
  readonly answers: readonly Answer<readonly CapturedMessage[]>[];
  /** who fell silent: what they captured since is missing */
  readonly silent?: readonly Answer<never>[];
  /** more came than found room */
  readonly full: boolean;
  /** with the text of every message */
  readonly texts: boolean;
}

/** One arrow. */
export interface Step {
  /** microseconds since the epoch */
  readonly at: number;
  readonly pod: string;
  /** name of a lane: an address, or whose it is */
  readonly from: string;
  readonly to: string;
  readonly label: string;
  /** of a reply; 0: a request */
  readonly status: number;
  readonly again: boolean;
  readonly transport: string;
  readonly text: string;
}

export interface CapturedCall {
  readonly callId: string;
  /** the first request's */
  readonly method: string;
  readonly from: string;
  readonly to: string;
  readonly steps: readonly Step[];
}

const header = (text: string, pattern: string): string =>
  new RegExp(`^(?:${pattern})[ \\t]*:[ \\t]*(.*?)[ \\t]*$`, "im").exec(text.replaceAll("\r", ""))?.[1] ?? "";
const statusOf = (text: string): number => Number(/^SIP\/2\.0 ([1-6][0-9][0-9])/.exec(text)?.[1] ?? 0);
const callIdOf = (text: string): string => header(text, "call-id|i");
const uriOf = (value: string): string => /<([^>]*)>/.exec(value)?.[1] ?? value;
const hostOf = (endpoint: string): string => endpoint.replace(/:[0-9]+$/, "").replaceAll(/[[\]]/g, "");

function labelOf(text: string): string {
  const sdp = /^content-type[ \t]*:[ \t]*application\/sdp/im.test(text) ? " SDP" : "";
  const [first = ""] = text.split(/\r?\n/, 1);
  const [, status, reason = ""] = /^SIP\/2\.0 ([0-9]+) ?(.*)$/.exec(first) ?? [];
  const method = /^[0-9]+[ \t]+([A-Z]+)/.exec(header(text, "cseq"))?.[1] ?? "";
  if (status === undefined) return `${first.split(" ", 1)[0] ?? ""}${sdp}`;
  return `${status} ${reason.length > 24 ? "" : reason}`.trim() + (method === "INVITE" ? "" : ` (${method})`) + sdp;
}

/** By Call-ID, the first that began first. */
export function buildCalls(data: LadderData): readonly CapturedCall[] {
  const pods = answered(data.answers).map(({ pod }) => pod);
  const podAt = new Map(pods.map((pod) => [pod.ip, pod]));
  const laneOf = (endpoint: string): string =>
    podAt.get(hostOf(endpoint))?.name ?? (data.naming.backend(`sip:${endpoint}`) || endpoint);
  const all = answered(data.answers)
    .flatMap(({ pod, value }) => value.map((message) => ({ pod, message })))
    // from one replica to another: told by the one that sent it
    .filter(({ message }) => message.sent || !podAt.has(hostOf(message.from)))
    .toSorted((a, b) => a.message.at - b.message.at);
  const calls = new Map<string, Step[]>();
  const seen = new Set<string>();
  for (const { pod, message } of all) {
    const { text, at, transport } = message;
    const copy = JSON.stringify([message.from, message.to, text]);
    const step: Step = {
      at,
      pod: pod.name,
      from: message.sent ? pod.name : laneOf(message.from),
      to: message.sent ? laneOf(message.to) : pod.name,
      label: labelOf(text),
      status: statusOf(text),
      again: seen.has(copy),
      transport,
      text,
    };
    seen.add(copy);
    const callId = callIdOf(text);
    calls.set(callId, [...(calls.get(callId) ?? []), step]);
  }
  return [...calls].map(([callId, steps]) => {
    const first = steps.find(({ status }) => status === 0)?.text ?? steps[0]?.text ?? "";
    return {
      callId,
      method: first.split(" ", 1)[0] ?? "",
      from: userOf(uriOf(header(first, "from|f"))),
      to: userOf(uriOf(header(first, "to|t"))),
      steps,
    };
  });
}

/** A final reply ended it: to BYE; or to what began it, unless that asks for credentials or an INVITE was accepted. */
export const isOver = ({ method, steps }: CapturedCall): boolean =>
  steps.some(({ status, label }) => status >= 200 && label.includes("(BYE)")) ||
  steps.some(
    ({ status, text }, at) =>
      status >= (method === "INVITE" ? 300 : 200) &&
      status !== 401 &&
      status !== 407 &&
      new RegExp(`^[0-9]+[ \\t]+${method}$`).test(header(text, "cseq")) &&
      // what goes back to where the first message came from
      steps[at]?.to === steps[0]?.from,
  );

/** Who called, the pods, whom they called: in the order in which they first appear on their side. */
function lanesOf({ steps }: CapturedCall, pods: ReadonlySet<string>): readonly string[] {
  const seen = [...new Set(steps.flatMap(({ from, to }) => [from, to]))];
  const callers = new Set(steps.filter(({ status, from }) => status === 0 && !pods.has(from)).map(({ from }) => from));
  const first = steps[0]?.from ?? "";
  const outside = seen.filter((lane) => !pods.has(lane));
  const left = outside.filter((lane) => lane === first || (callers.has(lane) && !isCalled(steps, lane)));
  return [...left, ...seen.filter((lane) => pods.has(lane)), ...outside.filter((lane) => !left.includes(lane))];
}
const isCalled = (steps: readonly Step[], lane: string): boolean =>
  steps.findIndex(({ to, status }) => to === lane && status === 0) !== -1 &&
  steps.findIndex(({ to, status }) => to === lane && status === 0) <
    steps.findIndex(({ from, status }) => from === lane && status === 0);

const TIME = 9;
const NARROWEST = 17;
const WIDEST = 30;

const toneOf = (status: number): Tone | undefined =>
  status >= 400 ? "bad" : status >= 200 ? "good" : status > 0 ? "dim" : undefined;
const seconds = (micros: number): string => `+${(micros / 1_000_000).toFixed(3)}`;

export function renderLadder(data: LadderData, style: Style): string[] {
  const pods = new Set(answered(data.answers).map(({ pod }) => pod.name));
  const calls = buildCalls(data);
  const silent = (data.silent ?? []).map(({ pod }) => `${pod.name} fell silent: its last messages are missing`);
  if (calls.length === 0) return [`SipRouter ${keyOf(data.router)}  no message was captured`, ...silent];
  return [
    ...calls.flatMap((call, index) => [
      ...(index === 0 ? [] : [""]),
      ...head(data.router, call, style),
      ...drawCall(call, lanesOf(call, pods), style),
      ...(data.texts ? textsOf(call, style) : []),
    ]),
    ...(data.full ? ["", "more messages came than a pod keeps: the last ones are missing"] : []),
    ...(silent.length === 0 ? [] : ["", ...silent]),
  ];
}

const head = (router: SipRouter, call: CapturedCall, style: Style): string[] => {
  const [first, last] = [call.steps[0]?.at ?? 0, call.steps.at(-1)?.at ?? 0];
  const count = `${call.steps.length} messages in ${((last - first) / 1_000_000).toFixed(1)} s`;
  const lines = [
    `SipRouter ${keyOf(router)}  ${call.method} ${call.from} → ${call.to}  ${count}`,
    `Call-ID ${call.callId}`,
  ];
  return lines.map((line) => cut(plain(line), style.width ?? Number.POSITIVE_INFINITY));
};

function drawCall(call: CapturedCall, lanes: readonly string[], style: Style): string[] {
  const gap = Math.min(WIDEST, Math.floor(((style.width ?? 160) - TIME) / lanes.length));
  if (gap < NARROWEST) return listCall(call, style);
  const start = call.steps[0]?.at ?? 0;
  const middle = (lane: number): number => lane * gap + Math.floor(gap / 2);
  const names = lanes.map((lane) => center(cut(plain(lane), gap - 2), gap)).join("");
  return [
    `${" ".repeat(TIME)}${names}`.trimEnd(),
    ...call.steps.map((step) => {
      const row = Array.from({ length: lanes.length * gap }, () => " ");
      for (const [lane] of lanes.entries()) row[middle(lane)] = "│";
      const [left, right] = [lanes.indexOf(step.from), lanes.indexOf(step.to)].toSorted((a, b) => a - b) as [
        number,
        number,
      ];
      const arrow = arrowOf(step, middle(right) - middle(left) - 1, lanes.indexOf(step.from) < lanes.indexOf(step.to));
      const before = row.slice(0, middle(left) + 1).join("");
      const after = row.slice(middle(right)).join("");
      return `${seconds(step.at - start).padEnd(TIME)}${before}${paint(arrow, toneOf(step.status), style)}${after}`.trimEnd();
    }),
  ];
}

const center = (text: string, width: number): string => {
  const left = Math.max(0, Math.floor((width - widthOf(text)) / 2));
  return " ".repeat(left) + padEnd(text, width - left);
};

function arrowOf({ label, again }: Step, width: number, rightwards: boolean): string {
  const text = cut(plain(again ? `${label} again` : label), width - 4);
  const lines = Math.max(0, width - widthOf(text) - 3);
  const [before, after] = ["─".repeat(Math.floor(lines / 2)), "─".repeat(Math.ceil(lines / 2))];
  return rightwards ? `${before} ${text} ${after}▶` : `◀${before} ${text} ${after}`;
}

/** Where the terminal is too narrow for the lanes. */
const listCall = ({ steps }: CapturedCall, style: Style): string[] =>
  steps.map((step) => {
    const line = `${seconds(step.at - (steps[0]?.at ?? 0)).padEnd(TIME)}${step.from} → ${step.to}  ${step.label}${step.again ? " again" : ""}`;
    return paint(cut(plain(line), style.width ?? Number.POSITIVE_INFINITY), toneOf(step.status), style);
  });

const textsOf = ({ steps }: CapturedCall, style: Style): string[] =>
  steps.flatMap((step) => [
    "",
    paint(plain(`${seconds(step.at - (steps[0]?.at ?? 0))} ${step.from} → ${step.to} ${step.transport}`), "dim", style),
    ...step.text
      .trimEnd()
      .split(/\r?\n/)
      .map((line) => cut(plain(line), style.width ?? Number.POSITIVE_INFINITY)),
  ]);

export const ladderJson = (data: LadderData): object => ({
  namespace: data.router.metadata.namespace,
  router: data.router.metadata.name,
  notAnswering: notAnswering([...data.answers, ...(data.silent ?? [])]),
  full: data.full,
  calls: buildCalls(data),
});

/** Whom `capture` asked, and what it got. */
export type CapturedPod = { readonly pod: FleetPod; readonly messages: readonly CapturedMessage[] };
