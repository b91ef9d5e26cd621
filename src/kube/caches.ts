/**
 * The copies of the cluster's objects, and over them the answers to this process' own writes until the watch brings
 * them: what was written is read back at once.
 */
import { keyOf, splitKey, type Key, type RawObject } from "../api/index.ts";
import { labels, MANAGED_BY } from "../render/layout.ts";
import type { Snapshot } from "../model/types.ts";
import type { OperatorShell } from "./operator.ts";

/** Resource versions grow; compared as numbers (Kubernetes 1.35 documents that, etcd always did it). */
const isNewer = (left: RawObject, right: RawObject): boolean =>
  BigInt(left.metadata.resourceVersion ?? "0") > BigInt(right.metadata.resourceVersion ?? "0");

export class Caches {
  readonly #shell: OperatorShell;
  /** "kind/namespace/name" -> answer to the last write */
  readonly #written = new Map<string, RawObject>();
  readonly #lists = new Map<string, readonly RawObject[]>();

  constructor(shell: OperatorShell) {
    this.#shell = shell;
  }

  get(kind: string, namespace: string, name: string): RawObject | undefined {
    const cached = this.#cached(kind, namespace, name);
    const id = `${kind}/${namespace}/${name}`;
    return cached ? this.#newest(cached, id) : this.#written.get(id);
  }

  #newest(cached: RawObject, id: string): RawObject {
    const written = this.#written.get(id);
    return written && isNewer(written, cached) ? written : cached;
  }

  #cached(kind: string, namespace: string, name: string): RawObject | undefined {
    for (const { objects } of this.#shell.reflectors(kind)) {
      const object = objects.get(`${namespace}/${name}`);
      if (object) return object;
    }
    return undefined;
  }

  /** All objects of a kind, sorted by key; the same array as long as nothing changed. */
  list(kind: string): readonly RawObject[] {
    let list = this.#lists.get(kind);
    if (!list) {
      const objects = this.#shell.reflectors(kind).flatMap((reflector) => [...reflector.objects.entries()]);
      const sorted = objects.toSorted(([a], [b]) => (a < b ? -1 : 1));
      list = sorted.map(([key, object]) => this.#newest(object, `${kind}/${key}`));
      this.#lists.set(kind, list);
    }
    return list;
  }

  wrote(answer: RawObject): void {
    const { managedFields: _, ...metadata } = answer.metadata as RawObject["metadata"] & { managedFields?: unknown };
    const object = { ...answer, metadata };
    const cached = this.#cached(object.kind, metadata.namespace, metadata.name);
    if (cached && !isNewer(object, cached)) return;
    this.#written.set(`${object.kind}/${keyOf(object)}`, object);
    this.#lists.delete(object.kind);
  }
  forget(kind: string, key: Key): void {
    this.#written.delete(`${kind}/${key}`);
    this.#lists.delete(kind);
  }

  /** To be called for each event of the shell. */
  changed(object: RawObject, deleted: boolean): void {
    this.#lists.delete(object.kind);
    const id = `${object.kind}/${keyOf(object)}`;
    const written = this.#written.get(id);
    if (written && (deleted ? written.metadata.uid === object.metadata.uid : !isNewer(written, object)))
      this.#written.delete(id);
  }

  owned(kind: string, router: Key): readonly RawObject[] {
    const { namespace, name } = splitKey(router);
    return this.list(kind).filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[labels.router] === name,
    );
  }

  snapshot(): Snapshot {
    return {
      routers: this.list("SipRouter"),
      backends: this.list("PbxBackend"),
      services: this.list("Service"),
      endpointSlices: this.list("EndpointSlice"),
      // the router's own control Secret is nobody's reference
      secrets: this.list("Secret").filter(({ metadata }) => metadata.labels?.[labels.managedBy] !== MANAGED_BY),
      names: new Map(),
    };
  }
}
