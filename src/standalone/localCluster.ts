/**
 * standalone: the {@link Cluster} without a cluster. User objects from a folder of YAML, the operator's own objects in the state
 * folder, Deployments as local processes.
 *
 * STATE/lock, STATE/status/…yaml, STATE/events.jsonl, STATE/objects/… (owner only), STATE/pods/<namespace>/<pod>/.
 * Status, objects and pods are read by `kubectl sip --state`, too (`src/cli/fleet/stateFleet.ts`).
 */
import { join } from "node:path";
import { decodeSecretData, encodeSecretData, refOf, type Key, type ObjectRef, type RawObject } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import type { Change, Cluster, EventInput, PodView, WorkloadView } from "../cluster/index.ts";
import type { Log } from "../log.ts";
import { snapshotOf } from "../model/snapshot.ts";
import type { Snapshot } from "../model/types.ts";
import { claimsOf, type Pool } from "./addresses.ts";
import { createDeployments, podObject, type Deployments } from "./deployments.ts";
import { OwnedObjects, routerOf } from "./ownedObjects.ts";
import { describeRef, type ParsedResources, type ResourceError } from "./resources.ts";
import { createRunner, mountedObjects, type PodStatus, type Runner } from "./runner/index.ts";
import { StatusFiles } from "./statusFiles.ts";
import { UserObjects } from "./userObjects.ts";
import { watchResources, type ResourceWatch } from "./watchFolder.ts";

export interface LocalClusterOptions {
  readonly resources: string;
  readonly state: string;
  readonly pool: Pool;
  /** replaces the program of every Kamailio container */
  readonly kamailio?: string;
  /** environment of the processes beneath the containers' own: PATH and the like */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly log: Log;
  /** after every reading of the folder that found other errors than the one before */
  readonly onResourceErrors: (errors: readonly ResourceError[]) => void;
}

export interface LocalCluster extends Cluster {
  /** drains and ends every process; `stop` alone leaves them serving */
  endAll(): Promise<void>;
}

/** Kinds that get a file below STATE/status. */
const withStatus = new Set(["SipRouter", "PbxBackend"]);
const now = (): Date => new Date();

export const createLocalCluster = (options: LocalClusterOptions): LocalCluster => new FolderCluster(options);

class FolderCluster implements LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #user = new UserObjects(now);
  readonly #owned: OwnedObjects;
  readonly #statusFiles: StatusFiles;
  readonly #runner: Runner;
  readonly #deployments: Deployments;
  readonly #listeners: ((change: Change) => void)[] = [];
  #watch: ResourceWatch | undefined;
  #lastErrors = "[]";
  #remembered: readonly RawObject[] = [];
  #snapshot: Snapshot | undefined;
  #starting: Promise<void> | undefined;
  #started = false;
  #reconcileTimer: NodeJS.Immediate | undefined;

  constructor(options: LocalClusterOptions) {
    const { state, pool, kamailio, baseEnv } = options;
    const log = (message: string): void => options.log.warn({}, message);
    this.#options = options;
    this.#owned = new OwnedObjects(state);
    this.#statusFiles = new StatusFiles(state);
    this.#runner = createRunner({
      workDir: join(state, "pods"),
      objects: {
        get: (kind, namespace, name) =>
          this.#owned.get({ kind, namespace, name }) ?? this.#user.get({ kind, namespace, name }),
      },
      ...(kamailio === undefined ? {} : { program: kamailio }),
      baseEnv,
      onChange: (status, gone) => this.#podChanged(status, gone),
      log,
    });
    this.#deployments = createDeployments({
      runner: this.#runner,
      owned: this.#owned,
      pool,
      claims: () => claimsOf(this.#user.list()),
      log,
    });
  }

  start(): Promise<void> {
    return (this.#starting ??= this.#start());
  }

  async #start(): Promise<void> {
    await this.#owned.load();
    this.#remembered = await this.#statusFiles.read();
    for (const object of this.#remembered) this.#user.remember(object);
    const onUpdate = (resources: ParsedResources): void => this.#resourcesChanged(resources);
    const onError = this.#warn("the resources folder could not be read, or not be taken over");
    this.#watch = await watchResources(this.#options.resources, { onUpdate, onError });
    await this.#runner.load();
    this.#started = true;
    await this.#collectGarbage();
    await this.#runner.syncVolumes();
    this.#deployments.reconcile();
  }

  async stop(): Promise<void> {
    this.#watch?.stop();
    clearImmediate(this.#reconcileTimer);
    this.#started = false;
    await this.#runner.release();
    await this.#statusFiles.flush();
  }

  endAll(): Promise<void> {
    return this.#deployments.endAll();
  }

  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  snapshot(): Snapshot {
    return (this.#snapshot ??= snapshotOf(this.#user.list()));
  }

  pods(router: Key): readonly PodView[] {
    return this.#deployments.pods(router);
  }

  workload(router: Key): WorkloadView | undefined {
    return this.#deployments.workload(router);
  }

  owned(kind: string, namespace: string, name: string): RawObject | undefined {
    return this.#owned.get({ kind, namespace, name });
  }

  async apply(objects: readonly RawObject[]): Promise<void> {
    for (const object of objects) await this.#store(object);
    this.#reconcileSoon();
  }

  async prune(router: Key, keep: readonly ObjectRef[]): Promise<void> {
    const kept = new Set(keep.map(describeRef));
    for (const object of this.#owned.of(router))
      if (!kept.has(describeRef(refOf(object)))) await this.#remove(refOf(object));
  }

  async ensureSecret(
    secret: RawObject,
    generate: Parameters<Cluster["ensureSecret"]>[1],
  ): ReturnType<Cluster["ensureSecret"]> {
    const existing = this.#owned.get(refOf(secret));
    const present = existing === undefined ? {} : decodeSecretData(existing);
    const made = generate(present);
    const changed = Object.entries(made).filter(([key, value]) => present[key] !== value);
    if (existing !== undefined && changed.length === 0) return present;
    const data = { ...present, ...made };
    await this.#store({ ...(existing ?? secret), data: encodeSecretData(data) });
    return data;
  }

  /** The store has every object. */
  followSecret(): Promise<void> {
    return Promise.resolve();
  }

  touchPod(pod: PodView): Promise<void> {
    return this.#runner.syncVolumes((record) => record.uid === pod.uid);
  }

  async writeStatus(ref: ObjectRef, status: object): Promise<void> {
    const object = this.#user.setStatus(ref, status);
    this.#snapshot = undefined;
    if (object !== undefined) await this.#statusFiles.write(object);
  }

  emit(ref: ObjectRef, event: EventInput): void {
    this.#options.log.info({ object: describeRef(ref), reason: event.reason, type: event.type }, event.message);
    void this.#statusFiles.event(ref, event, now()).catch(() => undefined);
  }

  #resourcesChanged(resources: ParsedResources): void {
    const errors = JSON.stringify(resources.errors);
    if (errors !== this.#lastErrors) this.#options.onResourceErrors(resources.errors);
    this.#lastErrors = errors;
    // A file that is broken since the start holds objects that an earlier instance knew: they go on.
    if (resources.errors.length === 0) this.#remembered = [];
    const present = new Set(resources.objects.map((object) => describeRef(refOf(object))));
    const kept = this.#remembered.filter((object) => !present.has(describeRef(refOf(object))));
    const changes = this.#user.update([...resources.objects, ...kept]);
    if (changes.length === 0) return;
    for (const change of changes) {
      if (withStatus.has(change.kind))
        void this.#writeFile(change).catch(this.#warn("a status file could not be written"));
      if (this.#started) this.#tell(change);
    }
    this.#snapshot = undefined;
    if (!this.#started) return;
    void this.#syncVolumesOf(changes)
      .then(() => this.#collectGarbage())
      .catch(this.#warn("a change of the resources could not be taken over"));
    this.#reconcileSoon();
  }

  #warn(message: string): (error: unknown) => void {
    return (error) => this.#options.log.warn({ err: error }, message);
  }

  #writeFile(change: Change): Promise<void> {
    return change.object === undefined ? this.#statusFiles.remove(change) : this.#statusFiles.write(change.object);
  }

  #podChanged(status: PodStatus, gone: boolean): void {
    const object = podObject(status);
    const ref = refOf(object);
    this.#tell(gone ? { ...ref, previous: object } : { ...ref, object });
    this.#reconcileSoon();
  }

  #tell(change: Change): void {
    this.#snapshot = undefined;
    for (const listener of this.#listeners) listener(change);
  }

  /** Soon, once for many changes. */
  #reconcileSoon(): void {
    if (!this.#started || this.#reconcileTimer !== undefined) return;
    this.#reconcileTimer = setImmediate(() => {
      this.#reconcileTimer = undefined;
      this.#deployments.reconcile();
    });
  }

  async #syncVolumesOf(changes: readonly Change[]): Promise<void> {
    const ids = new Set(changes.filter(({ kind }) => kind === "ConfigMap" || kind === "Secret").map(describeRef));
    if (ids.size === 0) return;
    await this.#runner.syncVolumes((record) => mountedObjects(record).some((ref) => ids.has(describeRef(ref))));
  }

  async #store(object: RawObject): Promise<void> {
    if (this.#user.get(refOf(object)) !== undefined) throw notOwned(object);
    const change = await this.#owned.put(object);
    if (change === undefined) return;
    this.#tell(change);
    await this.#syncVolumesOf([change]);
  }

  async #remove(ref: ObjectRef): Promise<void> {
    const change = await this.#owned.remove(ref);
    if (change !== undefined) this.#tell(change);
    this.#reconcileSoon();
  }

  /** What the garbage collector of a cluster does: objects whose owner is gone go too. */
  async #collectGarbage(): Promise<void> {
    for (const object of this.#owned.list()) {
      const { namespace, ownerReferences = [] } = object.metadata;
      const owners = ownerReferences as { kind: string; name: string }[];
      const isOwned = owners.some(({ kind, name }) => this.#user.get({ kind, name, namespace }) !== undefined);
      if (owners.length > 0 && !isOwned) await this.#remove(refOf(object));
    }
  }
}

const notOwned = (object: RawObject): OperatorError =>
  new OperatorError(
    "SIPR_NOT_OWNED",
    `${describeRef(refOf(object))} is needed by SipRouter ${routerOf(object) ?? ""} but the resources folder has an object of that name; it was left as it is`,
    { remedy: `Rename the SipRouter, or remove or rename the ${object.kind}.` },
  );
