/**
 * Leader election by a Lease, with the fields and rules of client-go's `leaderelection`, so that its tools and other
 * instances understand it. A lease is only taken over when it did not change for its whole duration by this machine's
 * own clock.
 */
import { backoffMs, pause } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { microTime } from "./events.ts";
import { isStatus } from "./failure.ts";
import { apiVersionOf, kindInfo, pathOf } from "./kinds.ts";
import type { Log } from "../log.ts";

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}
interface Lease {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion?: string };
  readonly spec?: LeaseSpec;
}

export interface LeaderOptions {
  readonly connection: Connection;
  readonly log: Log;
  readonly namespace: string;
  readonly name: string;
  /** unique per process */
  readonly identity: string;
  /** a lease that was not renewed for so long is free */
  readonly durationSeconds?: number;
  /** the holder gives up when it could not renew for so long */
  readonly renewDeadlineSeconds?: number;
  readonly retrySeconds?: number;
}

export class LeaderElection {
  readonly #options: Required<LeaderOptions>;
  readonly #path: string;
  readonly #lost = Promise.withResolvers<string>();
  readonly #stopping = new AbortController();
  #observed: { readonly version: string; readonly atMs: number } | undefined;
  #lease: Lease | undefined;
  #renewing: Promise<void> | undefined;
  #leading = false;

  constructor(options: LeaderOptions) {
    this.#options = { durationSeconds: 15, renewDeadlineSeconds: 10, retrySeconds: 2, ...options };
    this.#path = pathOf(kindInfo("Lease"), options.namespace, options.name);
  }

  get isLeader(): boolean {
    return this.#leading;
  }
  /** Resolves with the reason when leadership is lost (never by {@link release}). */
  get lost(): Promise<string> {
    return this.#lost.promise;
  }

  /** Waits until this instance leads (true), or until the signal is aborted (false). Then renews until lost or released. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    let said = "";
    let failures = 0;
    while (!signal.aborted) {
      try {
        const holder = await this.#try();
        failures = 0;
        if (holder === this.#options.identity) {
          this.#leading = true;
          this.#options.log.info({ lease: this.#options.name, identity: holder }, "leading");
          this.#renewing = this.#renew().catch((error: unknown) => this.#lose(String(error)));
          return true;
        }
        if (holder !== said) this.#options.log.info({ lease: this.#options.name, holder }, "standing by");
        said = holder;
      } catch (error) {
        if (failures === 0)
          this.#options.log.warn(
            { lease: this.#options.name, err: error },
            "the lease could not be read or taken, trying again",
          );
        failures += 1;
      }
      await pause(
        backoffMs(1, this.#options.retrySeconds * 1000, this.#options.retrySeconds * 1000, Math.random()),
        signal,
      );
    }
    return false;
  }

  /** Gives the lease back, so that another instance need not wait until it expires. */
  async release(): Promise<void> {
    this.#stopping.abort();
    await this.#renewing;
    if (!this.#leading || !this.#lease) return;
    this.#leading = false;
    const now = microTime(Date.now());
    const spec = { ...this.#lease.spec, holderIdentity: "", leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
    try {
      await this.#write("PUT", this.#path, { ...this.#lease, spec });
      this.#options.log.info({ lease: this.#options.name }, "lease released");
    } catch (error) {
      this.#options.log.warn({ lease: this.#options.name, err: error }, "the lease was not released and will expire");
    }
  }

  async #renew(): Promise<void> {
    const { retrySeconds, renewDeadlineSeconds } = this.#options;
    let renewedMs = performance.now();
    while (!this.#stopping.signal.aborted) {
      await pause(retrySeconds * 1000, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      const left = renewDeadlineSeconds * 1000 - (performance.now() - renewedMs);
      const holder = await this.#tryWithin(Math.max(left, 1));
      if (holder === this.#options.identity) renewedMs = performance.now();
      else if (holder !== undefined) return this.#lose(`the lease is held by ${holder || "nobody"}`);
      else if (performance.now() - renewedMs >= renewDeadlineSeconds * 1000) {
        return this.#lose(`the lease was not renewed for ${renewDeadlineSeconds} s`);
      }
    }
  }

  /** undefined: no answer in time, or an error */
  async #tryWithin(milliseconds: number): Promise<string | undefined> {
    const limit = AbortSignal.timeout(Math.ceil(milliseconds));
    try {
      return await this.#try(limit);
    } catch (error) {
      this.#options.log.warn({ lease: this.#options.name, err: error }, "the lease was not renewed, trying again");
      return undefined;
    }
  }

  #lose(reason: string): void {
    this.#leading = false;
    this.#options.log.error({ lease: this.#options.name }, `leadership lost: ${reason}`);
    this.#lost.resolve(reason);
  }

  /** Takes or renews the lease where that is allowed; returns who holds it. */
  async #try(signal?: AbortSignal): Promise<string> {
    const { identity } = this.#options;
    const lease = await this.#read(signal);
    if (!lease) return this.#create(signal);
    const version = lease.metadata.resourceVersion ?? "";
    if (this.#observed?.version !== version) this.#observed = { version, atMs: performance.now() };
    const holder = lease.spec?.holderIdentity ?? "";
    const validMs = (lease.spec?.leaseDurationSeconds ?? this.#options.durationSeconds) * 1000;
    const free = holder === "" || performance.now() - this.#observed.atMs >= validMs;
    if (this.#leading && holder !== identity) return holder;
    if (holder !== identity && !free) return holder;
    const own = holder === identity;
    const now = microTime(Date.now());
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: this.#options.durationSeconds,
      acquireTime: own ? (lease.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + (own ? 0 : 1),
    };
    return this.#write("PUT", this.#path, { ...lease, spec: { ...lease.spec, ...spec } }, signal);
  }

  async #read(signal: AbortSignal | undefined): Promise<Lease | undefined> {
    try {
      return (await this.#options.connection.request("GET", this.#path, signal ? { signal } : {})) as Lease;
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  #create(signal: AbortSignal | undefined): Promise<string> {
    const { identity, name, namespace, durationSeconds } = this.#options;
    const now = microTime(Date.now());
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: durationSeconds,
      acquireTime: now,
      renewTime: now,
      leaseTransitions: 0,
    };
    const info = kindInfo("Lease");
    const lease = { apiVersion: apiVersionOf(info), kind: "Lease", metadata: { name, namespace }, spec };
    return this.#write("POST", pathOf(info, namespace), lease, signal);
  }

  /** A conflict means that another instance was faster: who holds it then is read again. */
  async #write(method: "POST" | "PUT", path: string, body: object, signal?: AbortSignal): Promise<string> {
    try {
      const answer = (await this.#options.connection.request(method, path, {
        body,
        ...(signal ? { signal } : {}),
      })) as Lease;
      this.#lease = answer;
      this.#observed = { version: answer.metadata.resourceVersion ?? "", atMs: performance.now() };
      return answer.spec?.holderIdentity ?? "";
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      return (await this.#read(signal))?.spec?.holderIdentity ?? "";
    }
  }
}
