/** `status`: routers, sets, backends and pods as a tree, what is wrong first. Pure. */
import { keyOf, type BackendState, type PbxBackend, type SipRouter } from "../../api/index.ts";
import { isLabelSelector, matchesSelector } from "../../model/selector.ts";
import type { FleetPod } from "../fleet/index.ts";
import { findProblems, type Problem } from "./problems.ts";
import { paint, plain, wrap, type Style, type Tone } from "../print/table.ts";
import { cut, widthOf } from "../print/width.ts";

export interface StatusData {
  readonly fleets: readonly { readonly router: SipRouter; readonly pods: readonly FleetPod[] }[];
  readonly backends: readonly PbxBackend[];
}

export interface Node {
  readonly text: string;
  readonly tone?: Tone | undefined;
  readonly children?: readonly Node[];
}

const conditionOf = (object: SipRouter | PbxBackend, type: string) =>
  object.status?.conditions?.find((one) => one.type === type);

export const stateTone = (state: string): Tone | undefined =>
  (
    ({
      Active: "good",
      InSync: "good",
      Inactive: "bad",
      Failed: "bad",
      Stale: "bad",
      Mixed: "warn",
      Probing: "warn",
      Pending: "warn",
      Unknown: "warn",
      Disabled: "dim",
      Draining: "dim",
    }) as const
  )[state];

/** Does the set take this backend: named, or chosen by its labels. */
function inSet(
  set: SipRouter["spec"]["dispatcherSets"][number],
  backend: PbxBackend,
): { readonly priority: number } | undefined {
  const named = (set.backends ?? []).find((one) => one.name === backend.metadata.name);
  if (named !== undefined) return { priority: named.priority ?? 0 };
  const { selector } = set;
  if (!isLabelSelector(selector)) return undefined;
  return matchesSelector(selector, backend.metadata.labels ?? {}) ? { priority: 0 } : undefined;
}

const endpointsOf = (backend: PbxBackend): string => {
  const known = (backend.status?.endpoints ?? []).map(
    ({ address, port, transport }) => `${address.includes(":") ? `[${address}]` : address}:${port} ${transport}`,
  );
  return known.length <= 3 ? known.join(", ") : `${known.slice(0, 2).join(", ")} and ${known.length - 2} more`;
};

function backendNode(router: SipRouter, backend: PbxBackend, priority: number): Node {
  const use = backend.status?.routers?.find((one) => one.name === router.metadata.name);
  const admin = backend.spec.adminState ?? "Enabled";
  const observed: BackendState | "Draining" = use?.state ?? "Unknown";
  const state = admin === "Enabled" ? observed : admin;
  const pods =
    use === undefined || use.activePods === use.totalPods || admin !== "Enabled"
      ? ""
      : ` on ${use.activePods} of ${use.totalPods} pods`;
  const parts = [
    backend.metadata.name,
    `${state}${pods}`,
    endpointsOf(backend),
    priority > 0 ? `priority ${priority}` : "",
  ];
  return { text: parts.filter((part) => part !== "").join("  "), tone: pods === "" ? stateTone(state) : "warn" };
}

function setNodes(router: SipRouter, backends: readonly PbxBackend[]): Node[] {
  const own = backends.filter((backend) => backend.metadata.namespace === router.metadata.namespace);
  return router.spec.dispatcherSets.map((set) => {
    const known = router.status?.sets?.find((one) => one.name === set.name);
    const counts = known === undefined ? "" : `  ${known.active}/${known.destinations} active`;
    const members = own
      .flatMap((backend) => {
        const member = inSet(set, backend);
        return member === undefined ? [] : [{ backend, priority: member.priority }];
      })
      .toSorted((a, b) => a.priority - b.priority);
    const missing = (set.backends ?? []).filter((one) => !own.some((backend) => backend.metadata.name === one.name));
    return {
      text: `set ${set.name}${known === undefined ? "" : ` (id ${known.id}, ${set.algorithm ?? "RoundRobin"})`}${counts}`,
      tone: known !== undefined && known.active === 0 ? "bad" : undefined,
      children: [
        ...members.map(({ backend, priority }) => backendNode(router, backend, priority)),
        ...missing.map(({ name }): Node => ({ text: `${name}  does not exist`, tone: "bad" })),
      ],
    };
  });
}

function podNode(router: SipRouter, pod: FleetPod): Node {
  const status = router.status?.pods?.find((one) => one.name === pod.name);
  const state = pod.terminating ? "Terminating" : pod.ready ? (status?.state ?? "Unknown") : "NotReady";
  const parts = [`pod ${pod.name}`, state, status?.revision ?? "", pod.ip, pod.message || (status?.message ?? "")];
  const tone = state === "NotReady" ? "bad" : state === "Terminating" ? "dim" : stateTone(state);
  return { text: parts.filter((part) => part !== "").join("  "), tone };
}

function routerNode({ router, pods }: StatusData["fleets"][number], backends: readonly PbxBackend[]): Node {
  const ready = conditionOf(router, "Ready");
  const { status } = router;
  const state = ready === undefined ? "no status" : ready.status === "True" ? "Ready" : `not Ready (${ready.reason})`;
  const parts = [
    `SipRouter ${keyOf(router)}`,
    state,
    `pods ${pods.filter((pod) => pod.ready).length}/${router.spec.replicas ?? 2}`,
    status?.active === undefined ? "" : `destinations ${status.active}`,
    status?.revision === undefined ? "" : `revision ${status.revision}`,
    (status?.addresses ?? []).join(", "),
  ];
  return {
    text: parts.filter((part) => part !== "").join("  "),
    tone: ready?.status === "True" ? "good" : "bad",
    children: [...setNodes(router, backends), ...pods.map((pod) => podNode(router, pod))],
  };
}

export function renderTree(node: Node, style: Style, lead = "", rest = ""): string[] {
  const children = node.children ?? [];
  const room = style.width === undefined ? Number.POSITIVE_INFINITY : style.width - widthOf(lead);
  return [
    lead + paint(cut(plain(node.text), room), node.tone, style),
    ...children.flatMap((child, index) => {
      const last = index === children.length - 1;
      return renderTree(child, style, `${rest}${last ? "└─ " : "├─ "}`, `${rest}${last ? "   " : "│  "}`);
    }),
  ];
}

export const renderProblems = (problems: readonly Problem[], style: Style): string[] =>
  problems.flatMap(({ object, what, message, remedy, severe }) => [
    paint(`${severe ? "✗" : "!"} ${object}  ${what}`, severe ? "bad" : "warn", style),
    ...wrap(message, "    ", style.width),
    ...wrap(`→ ${remedy}`, "    ", style.width),
  ]);

export function renderStatus(data: StatusData, style: Style): string[] {
  const problems = findProblems(data.fleets, data.backends);
  const used = new Set(
    data.fleets.flatMap(({ router }) =>
      data.backends
        .filter((backend) => backend.metadata.namespace === router.metadata.namespace)
        .filter((backend) => router.spec.dispatcherSets.some((set) => inSet(set, backend)))
        .map((backend) => keyOf(backend)),
    ),
  );
  const unused = data.backends.filter((backend) => !used.has(keyOf(backend))).map((backend) => keyOf(backend));
  return [
    ...(problems.length === 0
      ? []
      : [`${problems.length} problem${problems.length === 1 ? "" : "s"}`, ...renderProblems(problems, style), ""]),
    ...data.fleets.flatMap((fleet, index) => [
      ...(index === 0 ? [] : [""]),
      ...renderTree(routerNode(fleet, data.backends), style),
    ]),
    ...(unused.length === 0
      ? []
      : ["", ...wrap(`PbxBackends that no router shown uses: ${unused.join(", ")}`, "", style.width)]),
  ];
}

/** What `-o json` prints. */
export const statusJson = (data: StatusData): object => ({
  problems: findProblems(data.fleets, data.backends),
  routers: data.fleets.map(({ router, pods }) => ({
    namespace: router.metadata.namespace,
    name: router.metadata.name,
    ready: conditionOf(router, "Ready")?.status ?? "Unknown",
    status: router.status ?? {},
    pods: pods.map(({ name, ip, ready, running, terminating, message }) => ({
      name,
      ip,
      ready,
      running,
      terminating,
      message,
    })),
  })),
  backends: data.backends.map((backend) => ({
    namespace: backend.metadata.namespace,
    name: backend.metadata.name,
    adminState: backend.spec.adminState ?? "Enabled",
    status: backend.status ?? {},
  })),
});
