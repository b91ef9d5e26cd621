/** What NetworkPolicies let in, by the rules of the API (networking.k8s.io/v1); of ingress only, as there are no others here. */
import { isDeepStrictEqual } from "node:util";
import type { RawObject } from "../../../src/api/index.ts";

type Labels = Readonly<Record<string, string>>;
interface Selector {
  readonly matchLabels?: Labels;
}
interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
}
interface Port {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}
interface Spec {
  readonly podSelector: Selector;
  readonly policyTypes: readonly string[];
  readonly ingress: readonly { readonly ports?: readonly Port[]; readonly from?: readonly Peer[] }[];
}
/** A pod, or somebody outside the cluster: without a namespace. */
export interface Party {
  readonly namespace?: string;
  readonly labels?: Labels;
  /** name -> number, of the containers */
  readonly ports?: Readonly<Record<string, number>>;
}

const selects = ({ matchLabels = {}, ...others }: Selector, labels: Labels): boolean => {
  if (!isDeepStrictEqual(others, {})) throw new Error(`not known here: ${JSON.stringify(others)}`);
  return Object.entries(matchLabels).every(([name, value]) => labels[name] === value);
};

const isPort = (wanted: Port, to: Party, protocol: string, port: number): boolean => {
  const { port: first } = wanted;
  if ((wanted.protocol ?? "TCP") !== protocol) return false;
  if (first === undefined) return true;
  if (typeof first === "string") return to.ports?.[first] === port;
  return wanted.endPort === undefined ? port === first : port >= first && port <= wanted.endPort;
};

const isPeer = ({ podSelector, namespaceSelector, ...others }: Peer, policy: string, from: Party): boolean => {
  if (!isDeepStrictEqual(others, {})) throw new Error(`not known here: ${JSON.stringify(others)}`);
  if (from.namespace === undefined) return false;
  const inNamespace =
    namespaceSelector === undefined
      ? from.namespace === policy
      : selects(namespaceSelector, { "kubernetes.io/metadata.name": from.namespace });
  return inNamespace && (podSelector === undefined || selects(podSelector, from.labels ?? {}));
};

/** Whether a connection, or a datagram, gets to a pod. `port` is "udp 5060" or "tcp 9060". */
export function isLetIn(objects: readonly RawObject[], from: Party, to: Party, port: string): boolean {
  const [protocol = "", number = ""] = port.toUpperCase().split(" ");
  const policies = objects
    .filter(({ kind, metadata }) => kind === "NetworkPolicy" && metadata.namespace === to.namespace)
    .map(({ spec }) => spec as Spec)
    .filter(({ podSelector, policyTypes }) => policyTypes.includes("Ingress") && selects(podSelector, to.labels ?? {}));
  if (policies.length === 0) return true;
  return policies.some(({ ingress }) =>
    ingress.some(
      ({ ports = [], from: peers = [] }) =>
        (ports.length === 0 || ports.some((one) => isPort(one, to, protocol, Number(number)))) &&
        (peers.length === 0 || peers.some((one) => isPeer(one, to.namespace ?? "", from))),
    ),
  );
}
