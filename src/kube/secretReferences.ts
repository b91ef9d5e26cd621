/**
 * Secrets that concern the operator: its own by their label, in one watch of each place that is served; those that a
 * resource names one by one (field selector metadata.name, as the kubelet does).
 *
 * Not all Secrets of the namespaces: the operator would hold every password of the cluster in memory, and a Role could
 * not be narrowed. A watch of one name is authorized by a rule with `resourceNames`, costs the API server next to
 * nothing (Secrets are indexed by name in its watch cache), and brings a rotated certificate at once. A Role that is
 * narrowed so refuses the watch by label: then the operator's own are watched by name, too.
 */
import { keyOf } from "../api/index.ts";
import type { Key, RawObject } from "../api/index.ts";
import { controlSecretName, namedSecrets } from "../model/references.ts";
import { labels, MANAGED_BY } from "../render/layout.ts";
import { kindInfo } from "./kinds.ts";
import type { OperatorShell } from "./operator.ts";
import type { Reflector } from "./reflector.ts";

interface Watched {
  readonly reflector: Reflector;
  readonly users: Set<string>;
}

/** What one SipRouter or PbxBackend needs. */
interface User {
  readonly namespace: string;
  named: readonly Key[];
  /** that the operator makes for it */
  readonly own: Set<Key>;
  /** that have the name of one of these and are somebody else's */
  readonly foreign: Set<Key>;
  /** of all of them, those that are watched by name */
  watched: readonly Key[];
}

export class SecretReferences {
  readonly #shell: OperatorShell;
  readonly #onForget: (key: Key) => void;
  /** "namespace/name" of the Secret */
  readonly #watched = new Map<Key, Watched>();
  /** "kind/namespace/name" of the user */
  readonly #users = new Map<string, User>();
  /** namespaces whose own Secrets are watched by label; "": all */
  readonly #labelled = new Set<string>();

  /** @param onForget told of a Secret that nobody names any more: its copy is gone */
  constructor(shell: OperatorShell, onForget: (key: Key) => void) {
    this.#shell = shell;
    this.#onForget = onForget;
  }

  /** Watches the operator's own Secrets by their label in these namespaces, or in all. */
  watchOwn(namespaces: readonly string[]): void {
    for (const place of namespaces.length > 0 ? namespaces : [""]) {
      const reflector = this.#shell.watch({
        info: kindInfo("Secret"),
        namespace: place === "" ? undefined : place,
        labelSelector: `${labels.managedBy}=${MANAGED_BY}`,
        onForbidden: () => {
          if (!this.#labelled.delete(place)) return;
          this.#shell.forget("Secret", reflector);
          for (const [id, user] of this.#users) void this.#watchFor(id, user);
        },
      });
      this.#labelled.add(place);
      reflector.start();
    }
  }

  /** Follows an object's references. Returns what to wait for, or undefined when everything named is there already. */
  follow(object: RawObject): Promise<void> | undefined {
    const id = `${object.kind}/${keyOf(object)}`;
    const { namespace } = object.metadata;
    const keyIn = (name: string): Key => `${namespace}/${name}`;
    const known = this.#users.get(id);
    const named = namedSecrets(object).map(keyIn);
    // as most of ten thousand backends
    if (known === undefined && named.length === 0 && object.kind !== "SipRouter") return undefined;
    const user = known ?? { namespace, named, own: new Set(), foreign: new Set(), watched: [] };
    this.#users.set(id, user);
    user.named = named;
    if (object.kind === "SipRouter") user.own.add(keyIn(controlSecretName(object)));
    return this.#watchFor(id, user);
  }

  /** A Secret that is made for its router is followed like those that the router names, as long as the router is there. */
  followOwn(secret: RawObject): Promise<void> | undefined {
    const { id, user } = this.#routerOf(secret);
    user?.own.add(keyOf(secret));
    return user && this.#watchFor(id, user);
  }

  /** Somebody else's Secret has the name of this one: when it goes, the router is told. */
  followForeign(secret: RawObject): void {
    const { id, user } = this.#routerOf(secret);
    user?.foreign.add(keyOf(secret));
    if (user) void this.#watchFor(id, user);
  }

  #routerOf({ metadata }: RawObject): { readonly id: string; readonly user: User | undefined } {
    const id = `SipRouter/${metadata.namespace}/${metadata.labels?.[labels.router]}`;
    return { id, user: this.#users.get(id) };
  }

  /** The object is gone. */
  drop(object: RawObject): void {
    const id = `${object.kind}/${keyOf(object)}`;
    for (const key of this.#users.get(id)?.watched ?? []) this.#release(key, id);
    this.#users.delete(id);
  }

  #watchFor(id: string, user: User): Promise<void> | undefined {
    const byLabel = this.#labelled.has("") || this.#labelled.has(user.namespace);
    const keys = [...new Set([...user.named, ...user.foreign, ...(byLabel ? [] : user.own)])];
    const waiting = keys.flatMap((key) => this.#use(user.namespace, key, id) ?? []);
    for (const key of user.watched) if (!keys.includes(key)) this.#release(key, id);
    user.watched = keys;
    return waiting.length > 0 ? Promise.all(waiting).then(() => undefined) : undefined;
  }

  #use(namespace: string, key: Key, user: string): Promise<void> | undefined {
    const { reflector, users } = this.#watched.get(key) ?? this.#watch(namespace, key);
    users.add(user);
    return reflector.isSynced ? undefined : reflector.synced;
  }

  #watch(namespace: string, key: Key): Watched {
    const name = key.slice(namespace.length + 1);
    const reflector = this.#shell.watch({
      info: kindInfo("Secret"),
      namespace,
      fieldSelector: `metadata.name=${name}`,
    });
    const watched = { reflector, users: new Set<string>() };
    this.#watched.set(key, watched);
    reflector.start();
    return watched;
  }

  #release(key: Key, user: string): void {
    const watched = this.#watched.get(key);
    if (!watched?.users.delete(user) || watched.users.size > 0) return;
    this.#watched.delete(key);
    this.#shell.forget("Secret", watched.reflector);
    this.#onForget(key);
  }
}
