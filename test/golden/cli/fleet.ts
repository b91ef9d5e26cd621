/** A fleet with faults, as the commands gather it: three pods of which one does not answer, a PBX that is down. */
import type { PbxBackend, SipRouter } from "../../../src/api/index.ts";
import { parseBriefing, addDetail, type Call } from "../../../src/cli/views/calls.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import { nameResources } from "../../../src/cli/views/naming.ts";
import type { Answer } from "../../../src/cli/print/output.ts";
import { parseStats, type PodStats } from "../../../src/cli/views/stats.ts";
import type { PodView } from "../../../src/cli/views/explain.ts";
import type { CapturedMessage } from "../../../src/kamailio/capture.ts";
import type { Registration } from "../../../src/kamailio/registrations.ts";
import type { ObservedDestination } from "../../../src/kamailio/types.ts";
import type { DesiredData } from "../../../src/render/types.ts";

const at = "2026-01-02T03:04:05Z";
const condition = (type: string, status: "True" | "False" | "Unknown", reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: at,
  observedGeneration: 3,
});

export const router: SipRouter = {
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "voice", generation: 3 },
  spec: {
    replicas: 3,
    dispatcherSets: [
      { name: "freepbx", algorithm: "RoundRobin", backends: [{ name: "freepbx-1", priority: 0 }, { name: "freepbx-2", priority: 1 }] },
      { name: "trunks", algorithm: "Weighted", selector: { matchLabels: { role: "trunk" } } },
      { name: "old", algorithm: "RoundRobin", backends: [{ name: "gone-1", priority: 0 }] },
    ],
    routes: [
      { name: "company", match: { extensions: ["1000-1999"] }, set: "freepbx", callers: "Anyone" },
      { name: "desk", match: { extensions: ["1200-1299"] }, set: "freepbx", callers: "Anyone" },
      { name: "uk", match: { prefixes: ["0044", "00"] }, set: "trunks", callers: "Trusted", rewrite: { strip: 4, prefix: "0" } },
      { name: "tenant-b", match: { domains: ["b.example.com"], extensions: ["1234"] }, set: "old", callers: "Anyone" },
    ],
    external: { set: "trunks", callers: "Trusted" },
    accessControl: { allow: ["10.0.0.0/8"], deny: ["10.9.0.0/16"] },
  } as unknown as SipRouter["spec"],
  status: {
    observedGeneration: 3,
    conditions: [
      condition("Accepted", "True", "Accepted", "The spec is valid."),
      condition("ResolvedRefs", "False", "BackendNotFound", "spec.dispatcherSets[2].backends[0]: PbxBackend voice/gone-1 does not exist: create it, or correct the name."),
      condition("Programmed", "False", "NotAnswering", "edge-7c9f-c: control port does not answer."),
      condition("Available", "False", "SetDown", "Dispatcher set old has no active destination."),
      condition("Ready", "False", "BackendNotFound", "ResolvedRefs: PbxBackend voice/gone-1 does not exist."),
    ],
    addresses: ["203.0.113.10"],
    active: "2/4",
    revision: "dab1bc2409ec",
    sets: [
      { name: "freepbx", id: 1, destinations: 2, active: 1 },
      { name: "old", id: 3, destinations: 0, active: 0 },
      { name: "trunks", id: 2, destinations: 2, active: 1 },
    ],
    pods: [
      { name: "edge-7c9f-a", revision: "dab1bc2409ec", state: "InSync" },
      { name: "edge-7c9f-b", revision: "dab1bc2409ec", state: "InSync" },
      { name: "edge-7c9f-c", revision: "0123456789ab", state: "Failed", message: "control port does not answer" },
    ],
  },
};

const backend = (name: string, address: string, more: Partial<PbxBackend["spec"]>, state: string, activePods: number, labels = {}): PbxBackend => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name, namespace: "voice", generation: 1, labels },
  spec: { address, transport: "UDP", adminState: "Enabled", ...more } as PbxBackend["spec"],
  status: {
    observedGeneration: 1,
    conditions: [
      condition("Accepted", "True", "Accepted", "The spec is valid."),
      activePods > 0
        ? condition("Reachable", "True", "Reachable", "Every pod that uses the backend gets answers to OPTIONS.")
        : condition("Reachable", "False", "Unreachable", "No pod gets an answer to OPTIONS (SipRouter edge)."),
    ],
    endpoints: [{ address, port: 5060, transport: "UDP", ready: true }],
    routers: [{ name: "edge", state: state as "Active", activePods, totalPods: 2, lastTransitionTime: at }],
  },
});

export const backends: readonly PbxBackend[] = [
  backend("freepbx-1", "192.0.2.11", {}, "Inactive", 0),
  backend("freepbx-2", "192.0.2.12", {}, "Active", 2),
  backend("trunk-1", "198.51.100.1", {}, "Mixed", 1, { role: "trunk" }),
  backend("trunk-2", "198.51.100.2", { adminState: "Draining" }, "Active", 2, { role: "trunk" }),
];

const pod = (letter: string, more: Partial<FleetPod> = {}): FleetPod => ({
  namespace: "voice",
  router: "edge",
  name: `edge-7c9f-${letter}`,
  ip: `10.1.0.${letter.charCodeAt(0) - 96}`,
  ready: true,
  running: true,
  terminating: false,
  message: "",
  ...more,
});
export const pods: readonly FleetPod[] = [pod("a"), pod("b"), pod("c", { ready: false, message: "CrashLoopBackOff: back-off 40s restarting failed container" })];
const [a, b, c] = pods as [FleetPod, FleetPod, FleetPod];
const silent = { pod: c, error: "the control port of edge-7c9f-c does not answer: no answer within 5000 ms", remedy: "Look at the pod." };

const destination = (setId: number, host: string, state: ObservedDestination["state"], last?: number): ObservedDestination => ({
  setId,
  uri: `sip:${host}:5060;transport=udp`,
  state,
  flags: `${state === "Active" ? "A" : state === "Inactive" ? "I" : "D"}P`,
  priority: 0,
  attrs: "",
  ...(last === undefined ? {} : { latencyMs: { average: last, max: last * 3, last } }),
});
const onA = [destination(100, "192.0.2.11", "Inactive"), destination(101, "192.0.2.12", "Active", 1.25), destination(200, "198.51.100.1", "Active", 20.5), destination(299, "198.51.100.2", "Active", 21)];
const onB = [destination(100, "192.0.2.11", "Inactive"), destination(101, "192.0.2.12", "Active", 1.5), destination(200, "198.51.100.1", "Inactive"), destination(300, "192.0.2.77", "Active", 2)];

export const dumped: readonly Answer<readonly ObservedDestination[]>[] = [{ pod: a, value: onA }, { pod: b, value: onB }, silent];
export const desired: DesiredData = {
  revision: "dab1bc2409ec",
  dispatcher: onA.map(({ setId, uri }) => ({ setId, uri, flags: 0, priority: 0, attrs: "" })),
  tables: [],
};

const counters = (placed: number, calls: number): PodStats =>
  parseStats({
    dialog: { active_dialogs: calls, early_dialogs: 2, processed_dialogs: placed, failed_dialogs: 7 },
    core: {
      rcv_replies_2xx_invite: placed - 20,
      rcv_replies_4xx_invite: 12,
      rcv_replies_5xx_invite: 8,
      rcv_requests_invite: placed + 31,
    },
    sl: { "403_replies": 30, "404_replies": 1 },
    shmem: { real_used: 12_582_912, max_used: 25_165_824, total: 268_435_456 },
    uptime: { uptime: 93_784 },
  });
export const statistics = (placed: number): readonly Answer<PodStats>[] => [{ pod: a, value: counters(placed, 40) }, { pod: b, value: counters(2 * placed, 55) }, silent];

const NOW = 1_800_000_000;
const briefing = (count: number, where: FleetPod): unknown[] =>
  Array.from({ length: count }, (_, index) => ({
    h_entry: 100 + index,
    h_id: 7000 + index,
    from_uri: `sip:+4420794600${String(index).padStart(2, "0")}@203.0.113.77`,
    to_uri: `sip:12${String(index % 3).padStart(2, "0")}@sip.example.com`,
    "call-id": `${where.name}-${index}@203.0.113.77`,
    from_tag: `t${index}`,
    init_ts: NOW - 10 * (index + 1),
    start_ts: index % 4 === 0 ? 0 : NOW - 10 * (index + 1) + 4,
    state: index % 4 === 0 ? 2 : 4,
  }));
export const naming = nameResources(router, backends);
export const callAnswers: readonly Answer<readonly Call[]>[] = [
  { pod: a, value: parseBriefing(briefing(5, a), a, NOW) },
  { pod: b, value: parseBriefing(briefing(3, b), b, NOW) },
  silent,
];
export const withDetail = (call: Call, index: number): Call =>
  addDetail(call, { callee: { contact: `sip:192.0.2.1${1 + (index % 2)}:5080` }, variables: [{ route: "freepbx/company" }] }, naming);

export const views = (row: string | undefined): readonly Answer<PodView>[] => [
  { pod: a, value: { row, destinations: onA, draining: false } },
  { pod: b, value: { row: row === undefined ? undefined : "RA|0||300=4|old/before", destinations: onB, draining: true } },
  silent,
];

const head = (first: string, cseq: string, sdp = false): string =>
  [
    first,
    "Via: SIP/2.0/UDP 203.0.113.77:5060;branch=z9hG4bK776",
    "From: <sip:+442079460000@203.0.113.77>;tag=a1",
    "To: <sip:1234@sip.example.com>",
    "Call-ID: 3c2671b@203.0.113.77",
    `CSeq: ${cseq}`,
    ...(sdp ? ["Content-Type: application/sdp"] : []),
    "",
    ...(sdp ? ["v=0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ***"] : [""]),
  ].join("\r\n");
const [phone, pbx] = ["203.0.113.77:5060", "192.0.2.12:5060"];
type Hop = readonly [ms: number, sent: boolean, from: string, to: string, text: string];
const messages = (hops: readonly Hop[]): CapturedMessage[] =>
  hops.map(([ms, sent, from, to, text]) => ({ at: NOW * 1_000_000 + ms * 1000, sent, transport: "udp", from, to, bytes: text.length, text }));
const [atA, atB] = ["10.1.0.1:5060", "10.1.0.2:5060"];
const invite = head("INVITE sip:1234@sip.example.com SIP/2.0", "1 INVITE", true);
const ok = head("SIP/2.0 200 OK", "1 INVITE", true);
const bye = head("BYE sip:1234@192.0.2.12 SIP/2.0", "2 BYE");
/** A call that begins on one pod and is ended through another one. */
export const captured: readonly Answer<readonly CapturedMessage[]>[] = [
  {
    pod: a,
    value: messages([
      [0, false, phone, atA, invite],
      [0.4, true, atA, phone, head("SIP/2.0 100 trying -- your call is important to us", "1 INVITE")],
      [0.6, true, atA, pbx, invite],
      [500.6, true, atA, pbx, invite],
      [502, false, pbx, atA, head("SIP/2.0 180 Ringing", "1 INVITE")],
      [502.3, true, atA, phone, head("SIP/2.0 180 Ringing", "1 INVITE")],
      [4100, false, pbx, atA, ok],
      [4100.2, true, atA, phone, ok],
      [4130, false, phone, atA, head("ACK sip:1234@192.0.2.12 SIP/2.0", "1 ACK")],
      [4130.1, true, atA, pbx, head("ACK sip:1234@192.0.2.12 SIP/2.0", "1 ACK")],
    ]),
  },
  {
    pod: b,
    value: messages([
      [9000, false, pbx, atB, bye],
      [9000.3, true, atB, phone, bye],
      [9020, false, phone, atB, head("SIP/2.0 200 OK", "2 BYE")],
      [9020.2, true, atB, pbx, head("SIP/2.0 200 OK", "2 BYE")],
    ]),
  },
  silent,
];

const registration = (user: string, host: string, expiresSeconds: number, more: Partial<Registration> = {}): Registration =>
  ({ user, contact: `sip:${user}@${host}:5060`, expiresSeconds, connected: false, ...more }) as Registration;
const desk = registration("1001", "192.168.1.20", 288, { received: "sip:203.0.113.77:40112", userAgent: "Grandstream GXP1625" });
const softphone = registration("1001", "10.0.0.7", 54, { connected: true, userAgent: "Linphone/5.2" });
const other = registration("1200", "192.168.1.31", 3500);
export const registered: readonly Answer<readonly Registration[]>[] = [
  { pod: a, value: [desk, softphone, other] },
  { pod: b, value: [{ ...desk, expiresSeconds: 290 }] },
  silent,
];
