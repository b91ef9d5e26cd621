/**
 * Secrets that a resource names, watched one by one (field selector metadata.name, as the kubelet does).
 *
 * Not all Secrets of the namespaces: the operator would hold every password of the cluster in memory, and a Role could
 * not be narrowed. A watch of one name is authorized by a rule with `resourceNames`, costs the API server next to
 * nothing (Secrets are indexed by name in its watch cache), and brings a rotated certificate at once.
 */
import { keyOf } from "../api/index.ts";
import type { Key, RawObject } from "../api/index.ts";
import { referencedSecrets } from "../model/references.ts";
import { labels } from "../render/layout.ts";
import { kindInfo } from "./kinds.ts";
import type { OperatorShell } from "./operator.ts";
import type { Reflector } from "./reflector.ts";

interface Watched {
  readonly reflector: Reflector;
  readonly users: Set<string>;
}

export class SecretReferences {
  readonly #shell: OperatorShell;
  readonly #onForget: (key: Key) => void;
  /** "namespace/name" of the Secret */
  readonly #watched = new Map<Key, Watched>();
  /** "kind/namespace/name" of the user -> Secrets */
  readonly #used = new Map<string, readonly Key[]>();
  /** "kind/namespace/name" of the user -> Secrets among them that the operator makes */
  readonly #made = new Map<string, Set<Key>>();

  /** @param onForget told of a Secret that nobody names any more: its copy is gone */
  constructor(shell: OperatorShell, onForget: (key: Key) => void) {
    this.#shell = shell;
    this.#onForget = onForget;
  }

  /** Follows an object's references. Returns what to wait for, or undefined when everything named is there already. */
  follow(object: RawObject): Promise<void> | undefined {
    const user = `${object.kind}/${keyOf(object)}`;
    const { namespace } = object.metadata;
    const named = referencedSecrets(object).map((name) => `${namespace}/${name}`);
    const keys = [...new Set([...named, ...(this.#made.get(user) ?? [])])];
    const before = this.#used.get(user) ?? [];
    this.#used.set(user, keys);
    const waiting = keys.flatMap((key) => this.#use(namespace, key, user) ?? []);
    for (const key of before) if (!keys.includes(key)) this.#release(key, user);
    return waiting.length > 0 ? Promise.all(waiting).then(() => undefined) : undefined;
  }

  /** A Secret that is made for its router is followed like those that the router names, as long as the router is there. */
  followOwn(secret: RawObject): Promise<void> | undefined {
    const { namespace, labels: marks } = secret.metadata;
    const user = `SipRouter/${namespace}/${marks?.[labels.router]}`;
    const used = this.#used.get(user);
    if (used === undefined) return undefined;
    const key = keyOf(secret);
    this.#made.set(user, (this.#made.get(user) ?? new Set()).add(key));
    if (!used.includes(key)) this.#used.set(user, [...used, key]);
    return this.#use(namespace, key, user);
  }

  /** The object is gone. */
  drop(object: RawObject): void {
    const user = `${object.kind}/${keyOf(object)}`;
    for (const key of this.#used.get(user) ?? []) this.#release(key, user);
    this.#used.delete(user);
    this.#made.delete(user);
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
