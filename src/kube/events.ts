/**
 * Kubernetes Events (events.k8s.io/v1). What repeats within ten minutes becomes a series of one Event; an object may
 * cause a burst of 10 and then one Event per 30 s. Never in the way of the main work: failures are only logged.
 */
import { createHash, randomBytes } from "node:crypto";
import type { ObjectRef, RawObject } from "../api/index.ts";
import type { EventInput } from "../cluster/index.ts";
import { MERGE } from "./apply.ts";
import type { Connection } from "./connection.ts";
import { isStatus } from "./failure.ts";
import { apiVersionOf, kindInfo, pathOf } from "./kinds.ts";
import type { Log } from "../log.ts";

const WINDOW_MS = 10 * 60_000;
const SERIES_MS = 10_000;
const SWEEP_MS = 60_000;
const BURST = 10;
const REFILL_MS = 30_000;
const NOTE_BYTES = 1000;
const CONTROLLER = "siprouter.dev/operator";

/** MicroTime: RFC 3339 with six decimals. */
export const microTime = (milliseconds: number): string => new Date(milliseconds).toISOString().replace("Z", "000Z");

interface Recent {
  readonly name: string;
  readonly namespace: string;
  count: number;
  lastMs: number;
  /** the same as it is written down */
  lastTime: string;
  timer: NodeJS.Timeout | undefined;
  created: Promise<boolean>;
}

export interface EventOptions {
  readonly connection: Connection;
  readonly log: Log;
  /** of this process: pod name or host name */
  readonly instance: string;
  readonly find: (ref: ObjectRef) => RawObject | undefined;
  /** milliseconds by a clock that nobody sets */
  readonly clock?: () => number;
}

export class EventRecorder {
  readonly #options: EventOptions;
  readonly #clock: () => number;
  readonly #recent = new Map<string, Recent>();
  readonly #budget = new Map<string, { tokens: number; atMs: number }>();
  readonly #pending = new Set<Promise<unknown>>();
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(options: EventOptions) {
    this.#options = options;
    this.#clock = options.clock ?? ((): number => performance.now());
  }

  emit(ref: ObjectRef, event: EventInput): void {
    const now = this.#clock();
    const time = microTime(Date.now());
    const object = this.#options.find(ref);
    const uid = object?.metadata.uid ?? "";
    const id = [uid || `${ref.kind}/${ref.namespace}/${ref.name}`, event.type, event.reason, event.message].join("\n");
    const recent = this.#recent.get(id);
    if (recent && now - recent.lastMs < WINDOW_MS) {
      recent.count += 1;
      recent.lastMs = now;
      recent.lastTime = time;
      recent.timer ??= setTimeout(() => this.#track(this.#series(recent)), SERIES_MS).unref();
      return;
    }
    this.#sweep(now);
    if (!this.#allowed(`${ref.kind}/${ref.namespace}/${ref.name}`, now)) return;
    const digest = createHash("sha256").update(id).digest("hex").slice(0, 8);
    const name = `${ref.name.slice(0, 220)}.${digest}${randomBytes(4).toString("hex")}`;
    const made: Recent = {
      name,
      namespace: ref.namespace,
      count: 1,
      lastMs: now,
      lastTime: time,
      timer: undefined,
      created: Promise.resolve(false),
    };
    made.created = this.#create(made, ref, object, event);
    this.#recent.set(id, made);
    this.#track(made.created);
  }

  /** Sends what is counted but not yet sent. */
  async flush(): Promise<void> {
    for (const recent of this.#recent.values()) if (recent.timer) this.#track(this.#series(recent));
    await Promise.all(this.#pending);
  }

  #track(work: Promise<unknown>): void {
    this.#pending.add(work);
    void work.finally(() => this.#pending.delete(work));
  }

  /** What is remembered in vain goes from time to time: looked through for each Event, it would cost more than the Event. */
  #sweep(now: number): void {
    if (now - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = now;
    for (const [id, { lastMs, timer }] of this.#recent)
      if (!timer && now - lastMs >= WINDOW_MS) this.#recent.delete(id);
    for (const [id, { atMs }] of this.#budget) if (now - atMs >= BURST * REFILL_MS) this.#budget.delete(id);
  }

  #allowed(id: string, now: number): boolean {
    const last = this.#budget.get(id) ?? { tokens: BURST, atMs: now };
    const tokens = Math.min(BURST, last.tokens + (now - last.atMs) / REFILL_MS);
    const allowed = tokens >= 1;
    this.#budget.set(id, { tokens: allowed ? tokens - 1 : tokens, atMs: now });
    return allowed;
  }

  async #create(recent: Recent, ref: ObjectRef, object: RawObject | undefined, event: EventInput): Promise<boolean> {
    const info = kindInfo("Event");
    const body = {
      apiVersion: apiVersionOf(info),
      kind: "Event",
      metadata: { name: recent.name, namespace: ref.namespace },
      eventTime: recent.lastTime,
      reportingController: CONTROLLER,
      reportingInstance: this.#options.instance.slice(0, 128),
      action: "Reconcile",
      reason: event.reason.slice(0, 128),
      type: event.type,
      note: event.message.slice(0, NOTE_BYTES),
      regarding: {
        apiVersion: apiVersionOf(kindInfo(ref.kind)),
        kind: ref.kind,
        namespace: ref.namespace,
        name: ref.name,
        uid: object?.metadata.uid,
        resourceVersion: object?.metadata.resourceVersion,
      },
    };
    return this.#attempt(() => this.#options.connection.request("POST", pathOf(info, ref.namespace), { body }));
  }

  async #series(recent: Recent): Promise<void> {
    clearTimeout(recent.timer);
    recent.timer = undefined;
    if (!(await recent.created)) return;
    const series = { count: recent.count, lastObservedTime: recent.lastTime };
    const path = pathOf(kindInfo("Event"), recent.namespace, recent.name);
    await this.#attempt(() =>
      this.#options.connection.request("PATCH", path, { body: { series }, contentType: MERGE }),
    );
  }

  async #attempt(send: () => Promise<unknown>): Promise<boolean> {
    try {
      await send();
      return true;
    } catch (error) {
      // a namespace that is being deleted takes no new objects
      if (!isStatus(error, 404)) this.#options.log.debug({ err: error }, "an Event was not recorded");
      return false;
    }
  }
}
