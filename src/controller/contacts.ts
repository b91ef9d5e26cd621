/**
 * The contacts of PBXes that register themselves, as the pods of their routers tell them. Kamailio has them in memory,
 * shared by the pods of a router. A contact is gone when no pod that had it has it any longer, or when its time is over.
 * A pod that was just started knows nothing: what the pods that are gone had told stays, until its time is over.
 */
import { isIP } from "node:net";
import { compare, type Key, type RawObject } from "../api/index.ts";
import type { PodReading, Registration } from "../kamailio/types.ts";
import { canonicalIp } from "../model/addresses.ts";
import type { Contact } from "../model/types.ts";

/** One reading of one pod. */
export interface ContactsRead {
  readonly router: Key;
  readonly pod: string;
  /** uids of all pods of the router that may answer */
  readonly pods: readonly string[];
  readonly reading: PodReading;
  /** user -> backend */
  readonly backends: ReadonlyMap<string, Key>;
  /** addresses of the router itself: a contact there would send its calls back to it */
  readonly own: ReadonlySet<string>;
  /** milliseconds since the epoch */
  readonly now: number;
}

export interface ContactBook {
  /** what is known now, sorted; the same object until something changes */
  current(): ReadonlyMap<Key, readonly Contact[]>;
  /** What an earlier operator wrote into the status of a backend: it counts until the pods are read, or its time is over. */
  remember(backend: RawObject, now: number): void;
  /** backends whose contacts are others now */
  read(input: ContactsRead): ReadonlySet<Key>;
  /** the router is gone */
  forget(router: Key): ReadonlySet<Key>;
}

interface Entry {
  readonly backend: Key;
  contact: Contact;
  /** when the PBX registered it, as Kamailio has it: seconds since the epoch */
  modifiedAt: number;
  /** milliseconds since the epoch */
  expiresAt: number;
  /** uids of pods that have it */
  readonly holders: Set<string>;
}

/** The longest time between two REGISTER of a router that does not say another one. */
const REMEMBERED_MS = 300_000;
/** A pod that does not answer may have heard of a renewal. */
const GRACE_MS = 10_000;

export function createContactBook(): ContactBook {
  /** "router user" -> what is known */
  const entries = new Map<string, Entry>();
  const remembered = new Map<Key, { readonly contacts: readonly Contact[]; readonly until: number }>();
  let shown: ReadonlyMap<Key, readonly Contact[]> = new Map();

  /** backends of which something else is shown from now on */
  const show = (): ReadonlySet<Key> => {
    const next = new Map<Key, readonly Contact[]>();
    for (const [backend, { contacts }] of remembered) next.set(backend, contacts);
    for (const { backend, contact } of entries.values()) next.set(backend, [...(next.get(backend) ?? []), contact]);
    for (const [backend, contacts] of next) next.set(backend, distinct(contacts));
    const changed = new Set(
      [...shown.keys(), ...next.keys()].filter((key) => textOf(shown.get(key)) !== textOf(next.get(key))),
    );
    if (changed.size > 0) shown = next;
    return changed;
  };

  /** What the status told becomes what this router's pods have to confirm. */
  const takeRemembered = (id: string, backend: Key, pods: readonly string[]): void => {
    const known = remembered.get(backend);
    remembered.delete(backend);
    const [contact] = known?.contacts ?? [];
    if (known === undefined || contact === undefined || entries.has(id)) return;
    entries.set(id, { backend, contact, modifiedAt: 0, expiresAt: known.until, holders: new Set(pods) });
  };

  const readUser = (id: string, backend: Key, found: readonly Registration[], input: ContactsRead): void => {
    const { pod, pods, reading, now } = input;
    const entry = entries.get(id);
    if (reading.fresh === true) entry?.holders.delete(pod);
    for (const holder of entry?.holders ?? []) if (!pods.includes(holder)) entry?.holders.delete(holder);
    const newest = found
      .filter((one) => one.expiresSeconds > 0 && !input.own.has(hostOf(one.contact)))
      .toSorted((a, b) => b.modifiedAt - a.modifiedAt || compare(a.contact, b.contact))[0];
    if (newest !== undefined && (entry === undefined || newest.modifiedAt >= entry.modifiedAt)) {
      const { contact: uri, received, modifiedAt, expiresSeconds } = newest;
      const contact: Contact = { uri, ...(received === undefined ? {} : { received }) };
      const same = entry !== undefined && textOf([entry.contact]) === textOf([contact]);
      entries.set(id, {
        backend,
        contact,
        modifiedAt,
        expiresAt: now + expiresSeconds * 1000,
        // a fresh one may have told what it had before
        holders: new Set([...(same ? entry.holders : []), ...(reading.fresh === true ? [] : [pod])]),
      });
      return;
    }
    if (newest === undefined && entry?.holders.delete(pod) === true && entry.holders.size === 0) entries.delete(id);
  };

  const dropExpired = (now: number): void => {
    for (const [id, { expiresAt }] of entries) if (now > expiresAt + GRACE_MS) entries.delete(id);
    for (const [backend, { until }] of remembered) if (now > until) remembered.delete(backend);
  };

  return {
    current: () => shown,
    remember(backend, now) {
      const contacts = contactsInStatus(backend);
      if (contacts.length === 0) return;
      const key = `${backend.metadata.namespace}/${backend.metadata.name}`;
      remembered.set(key, { contacts, until: now + REMEMBERED_MS });
      show();
    },
    read(input) {
      const { router, reading, backends, pods } = input;
      for (const [user, backend] of backends) {
        const found = reading.contacts?.[user];
        if (found === undefined) continue;
        takeRemembered(`${router} ${user}`, backend, pods);
        readUser(`${router} ${user}`, backend, found, input);
      }
      for (const [id, { backend }] of entries)
        if (id.startsWith(`${router} `) && backends.get(id.slice(router.length + 1)) !== backend) entries.delete(id);
      dropExpired(input.now);
      return show();
    },
    forget(router) {
      for (const id of entries.keys()) if (id.startsWith(`${router} `)) entries.delete(id);
      return show();
    },
  };
}

const textOf = (contacts: readonly Contact[] | undefined): string =>
  (contacts ?? []).map(({ uri, received = "" }) => `${uri} ${received}`).join("\n");

const distinct = (contacts: readonly Contact[]): readonly Contact[] =>
  [...new Map(contacts.map((contact) => [textOf([contact]), contact])).values()].toSorted((a, b) =>
    compare(textOf([a]), textOf([b])),
  );

/** Of a SIP URI, without the brackets of IPv6. */
const hostOf = (uri: string): string =>
  canonicalIp((/^sips?:(?:[^@]*@)?(\[[^\]]*\]|[^:;?]*)/i.exec(uri)?.[1] ?? "").replace(/^\[|\]$/g, "").toLowerCase());

function contactsInStatus({ spec, status }: RawObject): readonly Contact[] {
  if ((spec as { registration?: unknown } | undefined)?.registration === undefined) return [];
  const { endpoints } = (status ?? {}) as { endpoints?: unknown };
  return (Array.isArray(endpoints) ? (endpoints as Record<string, unknown>[]) : []).flatMap((one) => {
    const { address, port, transport } = one;
    if (typeof address !== "string" || isIP(address) === 0 || typeof port !== "number") return [];
    const host = address.includes(":") ? `[${address}]` : address;
    return [{ uri: `sip:${host}:${port};transport=${String(transport).toLowerCase()}` }];
  });
}
