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

  /** @param onForget told of a Secret that nobody names any more: its copy is gone */
  constructor(shell: OperatorShell, onForget: (key: Key) => void) {
    this.#shell = shell;
    this.#onForget = onForget;
  }

  /** Follows an object's references. Returns what to wait for, or undefined when everything named is there already. */
  follow(object: RawObject): Promise<void> | undefined {
    const user = `${object.kind}/${keyOf(object)}`;
    const keys = referencedSecrets(object).map((name) => `${object.metadata.namespace}/${name}`);
    const before = this.#used.get(user) ?? [];
    this.#used.set(user, keys);
    const waiting: Promise<void>[] = [];
    for (const key of keys) {
      const watched = this.#watched.get(key) ?? this.#watch(object.metadata.namespace, key);
      watched.users.add(user);
      if (!watched.reflector.isSynced) waiting.push(watched.reflector.synced);
    }
    for (const key of before) if (!keys.includes(key)) this.#release(key, user);
    return waiting.length > 0 ? Promise.all(waiting).then(() => undefined) : undefined;
  }

  /** The object is gone. */
  drop(object: RawObject): void {
    const user = `${object.kind}/${keyOf(object)}`;
    for (const key of this.#used.get(user) ?? []) this.#release(key, user);
    this.#used.delete(user);
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
