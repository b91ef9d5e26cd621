/** `route explain` as text and as data. Pure. */
import { keyOf, type Algorithm } from "../../api/index.ts";
import { DRAIN_TIER } from "../../ir/setId.ts";
import { attemptsOf, explain, type ExplainData } from "./explain.ts";
import { hostOf } from "./naming.ts";
import { answered, notAnswering } from "../print/output.ts";
import { paint, renderTable, wrap, type Cell, type Column, type Style, type Tone } from "../print/table.ts";
import type { Target } from "./explain.ts";

const algorithmNote: Readonly<Record<Algorithm, string>> = {
  RoundRobin: "by turns",
  Weighted: "shared by weight",
  Priority: "in order",
  CallLoad: "the one with the fewest calls",
  HashCallId: "one by the hash of the Call-ID",
  HashFrom: "one by the hash of the From URI",
  HashTo: "one by the hash of the To URI",
  Random: "one at random",
  Latency: "the quickest first",
};

const candidateColumns: readonly Column[] = [
  { header: "" },
  { header: "ROUTE" },
  { header: "SET" },
  { header: "CLAIM", shrink: true },
  { header: "WHY NOT", shrink: true },
];
const targetColumns: readonly Column[] = [
  { header: "TRY" },
  { header: "BACKEND" },
  { header: "ADDRESS" },
  { header: "PRIO", right: true },
  { header: "STATE" },
  { header: "NOTE", shrink: true },
  { header: "URI", wide: true },
];

export function renderExplain(data: ExplainData, style: Style): string[] {
  const { winner, number, source, login, phones, candidates, targets, pods } = explain(data);
  const { question, router } = data;
  const at = question.domain === undefined ? "" : `@${question.domain}`;
  const head = `${question.number}${at} at SipRouter ${keyOf(router)}`;
  const set = router.spec.dispatcherSets.find((one) => one.name === winner?.set);
  const say = (text: string, tone: Tone | undefined): string[] =>
    wrap(text, "", style.width).map((line) => paint(line, tone, style));
  const caller = [
    ...say(`caller: ${source.text}`, source.admitted === false ? "bad" : undefined),
    ...(login === undefined ? [] : say(`login: ${login.text}`, login.admitted === false ? "bad" : undefined)),
  ];
  const tone = phones?.to === "phones" ? "good" : phones?.to === "nobody" ? "bad" : undefined;
  const phone = phones === undefined ? [] : say(phones.text, tone);
  const podLines = pods.flatMap((one) => say(`pod ${one.pod}: ${one.text}`, one.agrees ? undefined : "bad"));
  if (phones !== undefined && phones.to !== "routes") return [head, ...phone, ...caller, "", ...podLines];
  const verdict =
    winner === undefined
      ? [paint("404: no route claims it, and there is no external rule", "bad", style)]
      : [
          `${paint(`route ${winner.route} → set ${winner.set}`, "good", style)}${number === question.number ? "" : `, called number ${number}`}`,
          ...caller,
        ];
  const asked = answered(data.answers).length > 0;
  const tried = targets.filter((one) => one.order > 0);
  return [
    head,
    ...phone,
    ...verdict,
    ...(candidates.length === 0
      ? []
      : [
          "",
          ...renderTable(
            candidateColumns,
            candidates.map((one): Cell[] => [
              one.wins ? { text: "✓", tone: "good" } : "",
              one.route,
              one.set,
              one.claim,
              one.why,
            ]),
            style,
          ),
        ]),
    ...(winner === undefined || !asked
      ? []
      : [
          "",
          ...(targets.length === 0
            ? ["no pod has a destination of this set"]
            : renderTable(
                targetColumns,
                targets.map((one): Cell[] => targetRow(one)),
                style,
              )),
          ...(tried.length > 0
            ? [
                `within one step: ${algorithmNote[set?.algorithm ?? "RoundRobin"]}; at most ${attemptsOf(router)} attempts`,
              ]
            : [paint("503: no destination is active", "bad", style)]),
        ]),
    ...(podLines.length === 0 ? [] : ["", ...podLines]),
  ];
}

const targetRow = (one: Target): Cell[] => [
  one.order === 0 ? "-" : String(one.order),
  one.backend || "-",
  hostOf(one.uri),
  one.priority === DRAIN_TIER ? "-" : String(one.priority),
  one.state === "Active" ? { text: one.state, tone: "good" } : { text: one.state, tone: "bad" },
  one.note,
  one.uri,
];

export const explainJson = (data: ExplainData): object => {
  const { winner, ...rest } = explain(data);
  return {
    question: data.question,
    router: keyOf(data.router),
    route: winner ?? null,
    ...rest,
    notAnswering: notAnswering(data.answers),
  };
};
