/**
 * Which routers and backends a change concerns. `referencesOf` is pure; the index keeps what every router and backend
 * names, so that one change costs the same among a thousand routers.
 */
import { keyOf, splitKey, type Key, type RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";
import { referencedSecrets } from "../model/references.ts";
import { isLabelSelector, matchesSelector, type LabelSelector } from "../model/selector.ts";
import { labels } from "../render/layout.ts";
import { sameJson } from "../status/index.ts";

export interface Concerned {
  readonly routers: ReadonlySet<Key>;
  readonly backends: ReadonlySet<Key>;
  /** routers whose pods or own objects changed: what runs and the status may differ, the configuration does not */
  readonly observed: ReadonlySet<Key>;
}

/** What one SipRouter or PbxBackend names, in its own namespace. A spec that is not valid names what can be recognised. */
export interface References {
  readonly backends: ReadonlySet<string>;
  readonly selectors: readonly LabelSelector[];
  readonly services: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export function referencesOf(object: RawObject): References {
  const spec = record(object.spec);
  const sets = list(spec["dispatcherSets"]).map(record);
  const names = sets.flatMap((set) => list(set["backends"]).map((member) => record(member)["name"]));
  const service = record(spec["service"])["name"];
  return {
    backends: setOf(names.filter((name) => typeof name === "string")),
    selectors: sets.map((set) => set["selector"]).filter(isLabelSelector),
    services: setOf(object.kind === "PbxBackend" && typeof service === "string" ? [service] : []),
    secrets: setOf(referencedSecrets(object)),
  };
}
/** Most of ten thousand backends name nothing: they have one set in common. */
const setOf = (names: readonly string[]): ReadonlySet<string> => (names.length === 0 ? none : new Set(names));

/**
 * Only `status`, or metadata that nobody reads here, changed: what the change asks for is at most a look at the status.
 */
export function isStatusOnly({ object, previous }: Change): boolean {
  if (object === undefined || previous === undefined) return false;
  const sameMeta =
    object.metadata.deletionTimestamp === previous.metadata.deletionTimestamp &&
    object.metadata.uid === previous.metadata.uid &&
    object.metadata.generation === previous.metadata.generation &&
    sameJson(object.metadata.labels, previous.metadata.labels);
  return sameMeta && sameJson({ ...object, metadata: 0, status: 0 }, { ...previous, metadata: 0, status: 0 });
}

export interface Mapper {
  /** Takes the change into the index and says whom it concerns. */
  concerned(change: Change): Concerned;
  /** routers that name the backend or select it */
  usersOf(backend: RawObject): ReadonlySet<Key>;
  /** What the router names in this form concerns it too: another one than its own spec is served; undefined: its own is. */
  serve(router: RawObject, served: RawObject | undefined): void;
  /** backends, of those that exist, that the router names or selects */
  backendsOf(router: Key): readonly Key[];
}

/** Many keys of one kind, by what they name: "namespace/name" -> keys. */
class Reverse {
  readonly #users = new Map<Key, Set<Key>>();
  get(named: Key): ReadonlySet<Key> {
    return this.#users.get(named) ?? none;
  }
  add(named: Key, user: Key): void {
    const users = this.#users.get(named) ?? new Set();
    users.add(user);
    this.#users.set(named, users);
  }
  remove(named: Key, user: Key): void {
    const users = this.#users.get(named);
    users?.delete(user);
    if (users?.size === 0) this.#users.delete(named);
  }
}
const none: ReadonlySet<Key> = new Set();

type Labels = Readonly<Record<string, string>>;
const unlabelled: Labels = {};
const labelsOf = ({ metadata }: RawObject): Labels => metadata.labels ?? unlabelled;

const unionOf = (one: References, other: References | undefined): References =>
  other === undefined
    ? one
    : {
        backends: one.backends.union(other.backends),
        selectors: [...one.selectors, ...other.selectors],
        services: one.services.union(other.services),
        secrets: one.secrets.union(other.secrets),
      };

export function createMapper(): Mapper {
  const known = new Map<string, References>();
  const byBackend = new Reverse();
  const byService = new Reverse();
  const bySecret = new Reverse();
  /** namespace -> routers with selectors */
  const selecting = new Map<string, Map<Key, readonly LabelSelector[]>>();
  /** of each, its labels: all that a selector reads, and less to keep than the object */
  const backends = new Map<Key, Labels>();

  /** routers that are served by another spec than their own */
  const servedBy = new Map<Key, RawObject>();

  const learn = (kind: string, namespace: string, name: string, object: RawObject | undefined): void => {
    const key = `${namespace}/${name}`;
    const id = `${kind} ${key}`;
    const before = known.get(id);
    const other = kind === "SipRouter" ? servedBy.get(key) : undefined;
    const after = object && unionOf(referencesOf(object), other && referencesOf(other));
    if (before !== undefined) {
      for (const one of before.backends) byBackend.remove(`${namespace}/${one}`, key);
      for (const one of before.services) byService.remove(`${namespace}/${one}`, key);
      for (const one of before.secrets) bySecret.remove(`${namespace}/${one}`, id);
    }
    for (const one of after?.backends ?? []) byBackend.add(`${namespace}/${one}`, key);
    for (const one of after?.services ?? []) byService.add(`${namespace}/${one}`, key);
    for (const one of after?.secrets ?? []) bySecret.add(`${namespace}/${one}`, id);
    if (after === undefined) known.delete(id);
    else known.set(id, after);
    if (kind === "PbxBackend") {
      if (object === undefined) backends.delete(key);
      else backends.set(key, labelsOf(object));
      return;
    }
    const selectors = selecting.get(namespace) ?? new Map<Key, readonly LabelSelector[]>();
    if (after !== undefined && after.selectors.length > 0) selectors.set(key, after.selectors);
    else selectors.delete(key);
    if (selectors.size > 0) selecting.set(namespace, selectors);
    else selecting.delete(namespace);
  };

  const usersOfLabelled = (key: Key, labelled: Labels): ReadonlySet<Key> => {
    const users = new Set(byBackend.get(key));
    for (const [router, selectors] of selecting.get(splitKey(key).namespace) ?? [])
      if (selectors.some((selector) => matchesSelector(selector, labelled))) users.add(router);
    return users;
  };
  const usersOf = (backend: RawObject): ReadonlySet<Key> => usersOfLabelled(keyOf(backend), labelsOf(backend));

  const usersOfName = (key: Key): ReadonlySet<Key> => {
    const labelled = backends.get(key);
    return labelled === undefined ? byBackend.get(key) : usersOfLabelled(key, labelled);
  };

  const backendsOf = (router: Key, references: References | undefined): readonly Key[] => {
    if (references === undefined) return [];
    const { namespace } = splitKey(router);
    const named = [...references.backends].map((name) => `${namespace}/${name}`).filter((key) => backends.has(key));
    if (references.selectors.length === 0) return named;
    const selected = [...backends]
      .filter(([key]) => key.startsWith(`${namespace}/`))
      .filter(([, labelled]) => references.selectors.some((selector) => matchesSelector(selector, labelled)))
      .map(([key]) => key);
    return [...named, ...selected];
  };

  const concerned = (change: Change): Concerned => {
    const { kind, namespace, name, object, previous } = change;
    const key = `${namespace}/${name}`;
    const routers = new Set<Key>();
    const touched = new Set<Key>();
    const observed = new Set<Key>();
    const touchBackend = (backend: Key): void => {
      touched.add(backend);
      for (const user of usersOfName(backend)) routers.add(user);
    };
    if (kind === "SipRouter") {
      const before = known.get(`SipRouter ${key}`);
      if (object === undefined) servedBy.delete(key);
      learn(kind, namespace, name, object);
      routers.add(key);
      for (const one of [...backendsOf(key, before), ...backendsOf(key, known.get(`SipRouter ${key}`))])
        touched.add(one);
    } else if (kind === "PbxBackend") {
      touchBackend(key);
      if (previous !== undefined) for (const user of usersOf(previous)) routers.add(user);
      learn(kind, namespace, name, object);
      touchBackend(key);
    } else if (kind === "Service" || kind === "EndpointSlice") {
      const services = kind === "Service" ? [name] : serviceNames(object, previous);
      for (const service of services)
        for (const backend of byService.get(`${namespace}/${service}`)) touchBackend(backend);
    } else if (kind === "Secret") {
      for (const id of bySecret.get(key)) {
        const [userKind, user] = id.split(" ") as [string, Key];
        if (userKind === "SipRouter") routers.add(user);
        else touchBackend(user);
      }
    }
    const owner = object?.metadata.labels?.[labels.router] ?? previous?.metadata.labels?.[labels.router];
    if (owner !== undefined && kind !== "SipRouter" && kind !== "PbxBackend") {
      if (kind === "Pod" || kind === "EndpointSlice") observed.add(`${namespace}/${owner}`);
      else routers.add(`${namespace}/${owner}`);
    }
    return { routers, backends: touched, observed };
  };
  const serve = (router: RawObject, served: RawObject | undefined): void => {
    const { namespace, name } = router.metadata;
    const key = `${namespace}/${name}`;
    if (servedBy.get(key)?.spec === served?.spec) return;
    if (served === undefined) servedBy.delete(key);
    else servedBy.set(key, served);
    learn("SipRouter", namespace, name, router);
  };
  return { concerned, usersOf, serve, backendsOf: (router) => backendsOf(router, known.get(`SipRouter ${router}`)) };
}

const serviceNames = (...objects: readonly (RawObject | undefined)[]): ReadonlySet<string> =>
  new Set(objects.flatMap((object) => object?.metadata.labels?.["kubernetes.io/service-name"] ?? []));
