/** `ping`: OPTIONS to each destination from each pod, now. Pure. */
import { compare, keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import type { FleetPod } from "../fleet/index.ts";
import { hostOf, type Naming } from "./naming.ts";
import { renderTable, type Cell, type Column, type Style } from "../print/table.ts";

export interface PingResult {
  readonly pod: string;
  readonly backend: string;
  readonly uri: string;
  /** SIP status; 408 is Kamailio's own word for no answer; 0: the pod could not be asked */
  readonly code: number;
  readonly text: string;
  /** from the question to the answer, the way to the pod and back included, milliseconds */
  readonly rttMs?: number;
  readonly alive: boolean;
}

/** Any answer but a timeout or "takes no calls" shows a PBX alive. */
export const isAlive = (code: number): boolean => code >= 100 && code !== 408 && code !== 477 && code !== 503;

/** Unique addresses of the backends asked for, as a pod has them. */
export function destinationsToPing(
  destinations: readonly ObservedDestination[],
  naming: Naming,
  backend: string | undefined,
): readonly ObservedDestination[] {
  const seen = new Set<string>();
  return destinations.filter((one) => {
    if (seen.has(one.uri) || (backend !== undefined && !naming.backend(one.uri).split(",").includes(backend)))
      return false;
    return seen.add(one.uri) !== undefined;
  });
}

/** Parameters of `tm.t_uac_wait_block`: method, request URI, next hop, socket, headers. */
export const pingParams = (pod: FleetPod, uri: string, tag: string): readonly string[] => {
  const host = pod.ip.includes(":") ? `[${pod.ip}]` : pod.ip;
  return ["OPTIONS", uri, ".", ".", `From: <sip:sip-router@${host}>;tag=${tag}\r\nTo: <${uri}>\r\n`];
};

export function parsePing(result: unknown): { readonly code: number; readonly text: string } {
  const { code, text } = (result ?? {}) as { code?: unknown; text?: unknown };
  if (typeof code === "number") return { code, text: typeof text === "string" ? text : "" };
  throw new OperatorError(
    "SIPR_RPC_MALFORMED",
    `tm.t_uac_wait_block: not understood: ${JSON.stringify(result)?.slice(0, 120)}`,
    {
      remedy: "Check the version of Kamailio: 5.6 to 6.1 are supported.",
    },
  );
}

const columns: readonly Column[] = [
  { header: "BACKEND", shrink: true },
  { header: "ADDRESS" },
  { header: "POD", shrink: true, keepEnd: true },
  { header: "REPLY", shrink: true },
  { header: "RTT MS", right: true },
  { header: "URI", wide: true },
];

export function renderPing(router: SipRouter, results: readonly PingResult[], style: Style): string[] {
  const sorted = results.toSorted(
    (a, b) =>
      Number(a.alive) - Number(b.alive) ||
      compare(a.backend, b.backend) ||
      compare(a.uri, b.uri) ||
      compare(a.pod, b.pod),
  );
  const rows = sorted.map(({ backend, uri, pod, code, text, rttMs, alive }): Cell[] => {
    const reply = code === 0 ? `not asked: ${text}` : code === 408 ? "no answer" : `${code} ${text}`;
    return [
      backend || "-",
      hostOf(uri),
      pod,
      { text: reply, tone: alive ? "good" : "bad" },
      rttMs === undefined ? "-" : rttMs.toFixed(1),
      uri,
    ];
  });
  if (results.length === 0) return [`SipRouter ${keyOf(router)}  no destination was asked`];
  const failed = results.filter((one) => !one.alive).length;
  return [
    `SipRouter ${keyOf(router)}`,
    ...renderTable(columns, rows, style),
    failed === 0 ? `all ${results.length} answered` : `${failed} of ${results.length} did not answer`,
  ];
}
