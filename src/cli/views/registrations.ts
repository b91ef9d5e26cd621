/** `registrations`: who is registered, where, until when, as every pod knows it. Pure. */
import { compare, keyOf, type SipRouter } from "../../api/index.ts";
import type { Registration } from "../../kamailio/types.ts";
import { answered, notAnswering, type Answer } from "../print/output.ts";
import { pageLines } from "../print/page.ts";
import { renderTable, type Cell, type Column, type Style } from "../print/table.ts";
import { duration } from "./stats.ts";

export interface RegistrationsData {
  readonly router: SipRouter;
  readonly answers: readonly Answer<readonly Registration[]>[];
  /** only users whose name begins with this */
  readonly prefix?: string | undefined;
  readonly limit: number;
  readonly offset: number;
  /** a line for each pod and contact */
  readonly perPod: boolean;
}

/** One contact of one user, as the pods know it. */
export interface KnownContact extends Registration {
  /** sorted by name */
  readonly pods: readonly string[];
}

/** Sorted by user, then contact; of several pods the longest lifetime counts. */
export function mergeContacts(data: RegistrationsData): readonly KnownContact[] {
  const merged = new Map<string, KnownContact>();
  for (const { pod, value } of answered(data.answers))
    for (const one of value) {
      if (!one.user.startsWith(data.prefix ?? "")) continue;
      const key = JSON.stringify([one.user, one.contact, data.perPod ? pod.name : ""]);
      const before = merged.get(key);
      const later = before === undefined || one.expiresSeconds > before.expiresSeconds ? one : before;
      merged.set(key, { ...later, pods: [...(before?.pods ?? []), pod.name].toSorted(compare) });
    }
  return [...merged.values()].toSorted(
    (a, b) => compare(a.user, b.user) || compare(a.contact, b.contact) || compare(a.pods[0] ?? "", b.pods[0] ?? ""),
  );
}

const columns = (perPod: boolean): readonly Column[] => [
  { header: "USER" },
  { header: "CONTACT", shrink: true },
  { header: "REACHED AT", shrink: true },
  { header: "EXPIRES", right: true },
  perPod ? { header: "POD", shrink: true, keepEnd: true } : { header: "PODS", right: true },
  { header: "PHONE", wide: true, shrink: true },
];

const bare = (uri: string): string => uri.replace(/^<?sips?:/, "").replace(/>$/, "");

export function renderRegistrations(data: RegistrationsData, style: Style): string[] {
  const all = mergeContacts(data);
  const page = all.slice(data.offset, data.offset + data.limit);
  const asked = answered(data.answers).length;
  const rows = page.map((one): Cell[] => {
    const few = one.pods.length < asked && !one.connected;
    return [
      one.user,
      style.wide ? one.contact : bare(one.contact),
      one.connected ? "its connection" : one.received === undefined ? "-" : bare(one.received),
      duration(one.expiresSeconds),
      data.perPod
        ? (one.pods[0] ?? "")
        : { text: `${one.pods.length}/${asked}`, ...(few ? { tone: "warn" as const } : { tone: "good" as const }) },
      one.userAgent ?? "-",
    ];
  });
  const users = new Set(all.map(({ user }) => user)).size;
  const of = data.prefix === undefined ? "" : ` that begin with ${data.prefix}`;
  return [
    `SipRouter ${keyOf(data.router)}  ${all.length} contacts of ${users} users${of}`,
    ...(page.length === 0 ? [] : renderTable(columns(data.perPod), rows, style)),
    ...pageLines(data.offset, page.length, all.length),
  ];
}

export function registrationsJson(data: RegistrationsData): object {
  const all = mergeContacts(data);
  return {
    namespace: data.router.metadata.namespace,
    router: data.router.metadata.name,
    notAnswering: notAnswering(data.answers),
    total: all.length,
    users: new Set(all.map(({ user }) => user)).size,
    offset: data.offset,
    pods: answered(data.answers).map(({ pod, value }) => ({ pod: pod.name, contacts: value.length })),
    registrations: all.slice(data.offset, data.offset + data.limit),
  };
}

/** A router that keeps no locations. */
export const renderNone = (router: SipRouter): string[] => [
  `SipRouter ${keyOf(router)}  keeps no registrations (spec.registration.mode: ${router.spec.registration?.mode ?? "Forward"}): ask the PBX`,
];
