/**
 * Writes of the objects a router owns: server-side apply, prune, and the Secret that is made once.
 *
 * An object whose applied form is what it was at the last apply, and whose cached copy still holds it, is not sent. An
 * object of that name that belongs to somebody else is never touched.
 */
import { decodeSecretData, encodeSecretData, keyOf } from "../api/index.ts";
import type { Key, ObjectRef, RawObject } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import { FIELD_MANAGER, labels, MANAGED_BY } from "../render/layout.ts";
import type { Caches } from "./caches.ts";
import type { Connection } from "./connection.ts";
import { digest, project } from "./drift.ts";
import { isStatus } from "./failure.ts";
import { kindInfo, ownedKinds, pathOf } from "./kinds.ts";
import type { Log } from "../log.ts";

export const APPLY = "application/apply-patch+yaml";
export const MERGE = "application/merge-patch+json";

/** digest of the form that was applied: what was left out since then shows by it, also after a restart */
const APPLIED = "siprouter.dev/applied";

interface OwnerReference {
  readonly uid?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly controller?: boolean;
}

const controllerOf = (object: RawObject): OwnerReference | undefined =>
  (object.metadata.ownerReferences as OwnerReference[] | undefined)?.find(({ controller }) => controller === true);

/** Ours: controlled by the same owner; or left without an owner (`--cascade=orphan`) but with our labels. */
const isOurs = (live: RawObject, wanted: RawObject): boolean => {
  const owner = controllerOf(live);
  if (owner) return owner.uid === controllerOf(wanted)?.uid;
  const of = (object: RawObject, label: string): string | undefined => object.metadata.labels?.[label];
  return of(live, labels.managedBy) === MANAGED_BY && of(live, labels.router) === of(wanted, labels.router);
};

const notOwned = (live: RawObject, wanted: RawObject): OperatorError => {
  const owner = controllerOf(live);
  const router = controllerOf(wanted)?.name ?? wanted.metadata.labels?.[labels.router] ?? "";
  const whose = owner ? `belongs to ${owner.kind} ${owner.name} (uid ${owner.uid})` : "was not made by this operator";
  return new OperatorError(
    "SIPR_NOT_OWNED",
    `${live.kind} ${keyOf(live)} is needed by SipRouter ${router} but exists already and ${whose}; it was left as it is`,
    { remedy: `Rename the SipRouter, or delete or rename the ${live.kind}.` },
  );
};

const versionOf = ({ metadata }: RawObject): string => `${metadata.uid} ${metadata.resourceVersion}`;

type Generate = (present?: Readonly<Record<string, string>>) => Record<string, string>;

export class Applier {
  readonly #connection: Connection;
  readonly #caches: Caches;
  readonly #log: Log;
  /** "kind/namespace/name" -> digests of the form last applied and of what the API server made of it */
  readonly #applied = new Map<
    string,
    { readonly form: string; readonly held: string; readonly uid: string | undefined }
  >();

  /** "kind/namespace/name" -> the last pair of a wanted form and a version of the object that was found to hold it */
  readonly #holds = new Map<string, { readonly wanted: RawObject; readonly version: string }>();

  /** "kind/namespace/name" -> ends with the last apply that was asked for */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(connection: Connection, caches: Caches, log: Log) {
    this.#connection = connection;
    this.#caches = caches;
    this.#log = log;
  }

  async apply(objects: readonly RawObject[]): Promise<void> {
    for (const object of objects) await this.#inTurn(object);
  }

  /** Two forms of one object are written one after the other, in the order in which they were asked for. */
  async #inTurn(object: RawObject): Promise<void> {
    const id = `${object.kind}/${keyOf(object)}`;
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.then(() => this.#applyOne(object));
    const settled = turn.catch(() => undefined);
    this.#turns.set(id, settled);
    try {
      await turn;
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id);
    }
  }

  /** The object is gone: nothing is remembered of it. */
  forget(object: RawObject): void {
    const id = `${object.kind}/${keyOf(object)}`;
    this.#applied.delete(id);
    this.#holds.delete(id);
  }

  async #applyOne(wanted: RawObject): Promise<void> {
    const { kind, metadata } = wanted;
    const id = `${kind}/${keyOf(wanted)}`;
    const cached = this.#caches.get(kind, metadata.namespace, metadata.name);
    const holds = this.#holds.get(id);
    const version = cached === undefined ? "" : versionOf(cached);
    if (cached && holds?.wanted === wanted && holds.version === version) return;
    const form = digest(wanted);
    if (cached && isOurs(cached, wanted) && cached.metadata.annotations?.[APPLIED] === form) {
      const last = this.#applied.get(id);
      // after a restart nothing is remembered: then the live object must hold the very values
      const held = last?.form === form && last.uid === cached.metadata.uid ? last.held : form;
      if (digest(project(wanted, cached)) === held) return void this.#holds.set(id, { wanted, version });
    }
    // what the label selector does not show may exist nevertheless
    const live = cached ?? (await this.#read(wanted));
    if (live && !isOurs(live, wanted)) throw notOwned(live, wanted);
    const marked = { ...wanted, metadata: { ...metadata, annotations: { ...metadata.annotations, [APPLIED]: form } } };
    const answer = await this.#caches.write(kind, keyOf(wanted), this.#send(marked, live?.metadata.uid));
    this.#applied.set(id, { form, held: digest(project(wanted, answer)), uid: answer.metadata.uid });
    if (answer.metadata.resourceVersion !== live?.metadata.resourceVersion) {
      this.#log.info({ kind, object: keyOf(wanted), action: live ? "update" : "create" }, "applied");
    }
  }

  /** `uid` makes it a conflict, not a takeover, when the object was replaced since it was read. */
  async #send(wanted: RawObject, uid: string | undefined): Promise<RawObject> {
    const { namespace, name } = wanted.metadata;
    const path = pathOf(kindInfo(wanted.kind), namespace, name);
    const body = uid === undefined ? wanted : { ...wanted, metadata: { ...wanted.metadata, uid } };
    const query = { fieldManager: FIELD_MANAGER, force: true };
    const options = { query, body, contentType: APPLY };
    try {
      return (await this.#connection.request("PATCH", path, options)) as RawObject;
    } catch (error) {
      if (!isStatus(error, 409) || uid === undefined) throw error;
      const live = await this.#read(wanted);
      if (live && !isOurs(live, wanted)) throw notOwned(live, wanted);
      this.#caches.forget(wanted.kind, keyOf(wanted));
      return (await this.#connection.request("PATCH", path, { ...options, body: wanted })) as RawObject;
    }
  }

  async #read(object: RawObject): Promise<RawObject | undefined> {
    const { namespace, name } = object.metadata;
    try {
      return (await this.#connection.request("GET", pathOf(kindInfo(object.kind), namespace, name))) as RawObject;
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async prune(router: Key, keep: readonly ObjectRef[]): Promise<void> {
    const kept = new Set(keep.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`));
    for (const kind of [...ownedKinds, "Service"]) {
      // Pods are the Deployment's
      if (kind === "Pod") continue;
      for (const object of this.#caches.owned(kind, router)) {
        const isOwn =
          object.metadata.labels?.[labels.managedBy] === MANAGED_BY && controllerOf(object)?.kind === "SipRouter";
        if (!isOwn || object.metadata.deletionTimestamp !== undefined || kept.has(`${kind}/${keyOf(object)}`)) continue;
        await this.#delete(object);
      }
    }
  }

  async #delete(object: RawObject): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const body = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background", preconditions: { uid } };
    try {
      await this.#connection.request("DELETE", pathOf(kindInfo(object.kind), namespace, name), { body });
      this.#log.info(
        { kind: object.kind, object: keyOf(object), action: "delete" },
        "removed what is no longer needed",
      );
    } catch (error) {
      // gone, or another object of that name by now
      if (!isStatus(error, 404, 409)) throw error;
    }
    this.#caches.forget(object.kind, keyOf(object));
    this.forget(object);
  }

  async ensureSecret(secret: RawObject, generate: Generate): Promise<Record<string, string>> {
    const { namespace, name } = secret.metadata;
    const live = this.#caches.get("Secret", namespace, name) ?? (await this.#read(secret));
    if (live) return this.#adopt(live, secret, generate);
    const data = generate({});
    const body = {
      ...secret,
      type: "Opaque",
      data: encodeSecretData(data),
    };
    try {
      const path = pathOf(kindInfo("Secret"), namespace);
      this.#caches.wrote(
        (await this.#connection.request("POST", path, { query: { fieldManager: FIELD_MANAGER }, body })) as RawObject,
      );
      this.#log.info({ kind: "Secret", object: keyOf(secret), action: "create" }, "applied");
      return data;
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      const other = await this.#read(secret);
      if (!other) throw error;
      return this.#adopt(other, secret, generate);
    }
  }

  /**
   * A key that is missing, or that follows from another one and is of an older version, is made; an orphan gets its owner
   * back, and one that lost its labels these: it is watched by them.
   */
  async #adopt(live: RawObject, wanted: RawObject, generate: Generate): Promise<Record<string, string>> {
    if (!isOurs(live, wanted)) throw notOwned(live, wanted);
    const data = decodeSecretData(live);
    const made = generate(data);
    const changed = Object.keys(made).filter((key) => data[key] !== made[key]);
    const wantedLabels = wanted.metadata.labels ?? {};
    const labelled = Object.entries(wantedLabels).every(([name, value]) => live.metadata.labels?.[name] === value);
    if (changed.length === 0 && controllerOf(live) && labelled) return data;
    const { namespace, name } = live.metadata;
    const body = {
      metadata: {
        resourceVersion: live.metadata.resourceVersion,
        labels: wantedLabels,
        ownerReferences: wanted.metadata.ownerReferences,
      },
      data: encodeSecretData(Object.fromEntries(changed.map((key) => [key, made[key] ?? ""]))),
    };
    const path = pathOf(kindInfo("Secret"), namespace, name);
    const answer = (await this.#connection.request("PATCH", path, {
      query: { fieldManager: FIELD_MANAGER },
      body,
      contentType: MERGE,
    })) as RawObject;
    this.#caches.wrote(answer);
    this.#log.info({ kind: "Secret", object: keyOf(live), action: "update", keys: changed }, "applied");
    return decodeSecretData(answer);
  }
}
