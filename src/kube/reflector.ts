/**
 * Keeps a copy of one collection: list, then watch, for ever. What happened while the watch was down is found by
 * comparing the next list with the copy, deletes included. Errors never end it: they are reported once, and tried again
 * with backoff and jitter.
 *
 * client-node's own informer ends on the first error that is not 410, takes no bookmarks (so that every expired version
 * costs a full list) and lists in one piece; hence this loop.
 */
import type { RawObject } from "../api/index.ts";
import { backoffMs, pause } from "./backoff.ts";
import type { Connection, WatchEvent } from "./connection.ts";
import { copyOf, keepSpec } from "./copies.ts";
import { ApiError, apiError, isStatus, parseRequest } from "./failure.ts";
import type { KindInfo } from "./kinds.ts";
import { apiVersionOf, pathOf } from "./kinds.ts";

export type ReflectorEvent =
  | { readonly type: "ADDED" | "MODIFIED"; readonly object: RawObject; readonly previous: RawObject | undefined }
  | { readonly type: "DELETED"; readonly object: RawObject; readonly previous: RawObject | undefined };

export interface ReflectorOptions {
  readonly connection: Connection;
  readonly info: KindInfo;
  /** absent: all namespaces */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** a watch on which nothing arrives for so long is opened again, milliseconds; bookmarks come about once a minute */
  readonly quietMs?: number;
  readonly baseDelayMs?: number;
  readonly maxDelayMs?: number;
  readonly onEvent: (event: ReflectorEvent) => void;
  /** called when the first try fails, when the error changes, and with undefined when it works again */
  readonly onError?: (error: Error | undefined) => void;
}

const PAGE = 500;
const keyIn = (object: RawObject): string => `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
const versionOf = (object: RawObject): string => object.metadata.resourceVersion ?? "";

interface List {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly RawObject[];
}

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #path: string;
  readonly #apiVersion: string;
  readonly #stopping = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #objects = new Map<string, RawObject>();
  #version = "";
  #failures = 0;
  #error: Error | undefined;
  #running: Promise<void> | undefined;
  #isSynced = false;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#path = pathOf(options.info, options.namespace);
    this.#apiVersion = apiVersionOf(options.info);
  }

  /** Resolves when the first list is in, or when it is stopped. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }
  get isSynced(): boolean {
    return this.#isSynced;
  }
  /** What keeps it from working at this moment. */
  get error(): Error | undefined {
    return this.#error;
  }
  get objects(): ReadonlyMap<string, RawObject> {
    return this.#objects;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#synced.resolve();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        if (this.#version === "") await this.#relist();
        await this.#watch(signal);
        // a server that ends every watch at once must not be asked in a tight loop
        this.#failures = performance.now() - began < 1000 ? this.#failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) break;
        this.#failed(error);
      }
      if (this.#failures > 0) {
        const { baseDelayMs = 200, maxDelayMs = 30_000 } = this.#options;
        const asked = this.#error instanceof ApiError ? (this.#error.retryAfterSeconds ?? 0) * 1000 : 0;
        await pause(Math.max(asked, backoffMs(this.#failures, baseDelayMs, maxDelayMs, Math.random())), signal);
      }
    }
  }

  #failed(error: unknown): void {
    if (isStatus(error, 410) && this.#version !== "") {
      this.#version = "";
      this.#failures = 0;
      return;
    }
    // an answer that refuses makes the copy doubtful: list anew; a broken connection only continues where it was
    if (!isStatus(error, 0)) this.#version = "";
    this.#failures += 1;
    this.#report(error instanceof Error ? error : new Error(String(error)));
  }

  #report(error: Error | undefined): void {
    const changed = this.#error?.message !== error?.message;
    this.#error = error;
    if (changed) this.#options.onError?.(error);
  }

  #query(): Record<string, string | undefined> {
    return { labelSelector: this.#options.labelSelector, fieldSelector: this.#options.fieldSelector };
  }

  async #relist(): Promise<void> {
    const found = new Map<string, RawObject>();
    let version = "";
    let next: string | undefined;
    do {
      const list = (await this.#options.connection.request("GET", this.#path, {
        query: { ...this.#query(), limit: PAGE, continue: next },
        signal: this.#stopping.signal,
      })) as List;
      for (const item of list.items ?? []) {
        const object = this.#copy(item);
        found.set(keyIn(object), object);
      }
      version = list.metadata?.resourceVersion ?? "";
      next = list.metadata?.continue === "" ? undefined : list.metadata?.continue;
    } while (next !== undefined);
    this.#version = version;
    this.#replace(found);
    this.#report(undefined);
    this.#isSynced = true;
    this.#synced.resolve();
  }

  #replace(found: Map<string, RawObject>): void {
    const old = this.#objects;
    this.#objects = found;
    for (const [key, previous] of old) {
      if (!found.has(key)) this.#options.onEvent({ type: "DELETED", object: previous, previous });
    }
    for (const [key, object] of found) {
      const previous = old.get(key);
      if (!previous) this.#options.onEvent({ type: "ADDED", object, previous });
      else if (previous.metadata.uid !== object.metadata.uid) {
        this.#options.onEvent({ type: "DELETED", object: previous, previous });
        this.#options.onEvent({ type: "ADDED", object, previous: undefined });
      } else if (versionOf(previous) !== versionOf(object))
        this.#options.onEvent({ type: "MODIFIED", object, previous });
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let refused: Error | undefined;
    const streaming = this.#options.connection.watch(this.#path, {
      query: {
        ...this.#query(),
        resourceVersion: this.#version,
        allowWatchBookmarks: true,
        // spread, so that not all watches of all instances end together
        timeoutSeconds: Math.floor(240 + Math.random() * 240),
      },
      signal,
      quietMs: this.#options.quietMs ?? 150_000,
      onEvent: (event) => {
        refused = this.#take(event) ?? refused;
      },
    });
    await streaming;
    if (refused) throw refused;
    if (!signal.aborted) this.#report(undefined);
  }

  /** Returns the error that an ERROR event carries. */
  #take(event: WatchEvent): Error | undefined {
    if (event.type === "ERROR") {
      const code = (event.object as { code?: number } | null)?.code ?? 500;
      return apiError(parseRequest("GET", this.#path, true), code, event.object);
    }
    this.#failures = 0;
    this.#report(undefined);
    const raw = event.object as RawObject;
    this.#version = versionOf(raw) || this.#version;
    if (event.type === "BOOKMARK") return undefined;
    const copy = this.#copy(raw);
    const key = keyIn(copy);
    const previous = this.#objects.get(key);
    const object = keepSpec(copy, previous);
    if (event.type === "DELETED") {
      this.#objects.delete(key);
      if (previous) this.#options.onEvent({ type: "DELETED", object, previous });
    } else if (!previous || versionOf(previous) !== versionOf(object)) {
      this.#objects.set(key, object);
      this.#options.onEvent({ type: previous ? "MODIFIED" : "ADDED", object, previous });
    }
    return undefined;
  }

  /** Items of a list lack apiVersion and kind. */
  #copy(object: RawObject): RawObject {
    return copyOf({ ...object, apiVersion: this.#apiVersion, kind: this.#options.info.kind });
  }
}
