/**
 * The lifecycle shell: the one file that extends `Operator` of @dot-i/k8s-operator (init, start, stop, event types).
 * Its own watch ends the process on an error or on a quiet watch and misses what was deleted meanwhile, so
 * `watchResource` and `stop` are overridden with {@link Reflector}s.
 */
import type { KubeConfig } from "@kubernetes/client-node";
import * as loaded from "@dot-i/k8s-operator";
import type operatorPackage from "@dot-i/k8s-operator";
import type { OperatorLogger, ResourceEvent } from "@dot-i/k8s-operator";
import type { RawObject } from "../api/index.ts";
import type { Connection } from "./connection.ts";
import { isStatus } from "./failure.ts";
import type { KindInfo } from "./kinds.ts";
import { apiVersionOf } from "./kinds.ts";
import type { Log } from "../log.ts";
import { Reflector } from "./reflector.ts";

// a CommonJS package with a default export: what is the default of its import, all of it or that, depends on the loader
const { default: Operator, ResourceEventType } = (
  "ResourceEventType" in loaded.default ? loaded.default : loaded
) as typeof operatorPackage;

export interface Selector {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WatchSpec extends Selector {
  readonly info: KindInfo;
  readonly namespace?: string | undefined;
  /** told, instead of the log, that it is not permitted: there is another way */
  readonly onForbidden?: () => void;
}

export interface ShellOptions {
  readonly kubeConfig: KubeConfig;
  readonly connection: Connection;
  readonly watches: readonly WatchSpec[];
  readonly log: Log;
  readonly quietMs?: number | undefined;
  /** in the order of the API server's events of a collection; `previous` is the copy that was replaced */
  readonly onEvent: (event: ResourceEvent, previous: RawObject | undefined) => void;
}

const plainLogger = (log: Log): OperatorLogger => ({
  debug: (message) => log.debug({}, message),
  info: (message) => log.info({}, message),
  warn: (message) => log.warn({}, message),
  error: (message) => log.error({}, message),
});

const eventType = {
  ADDED: ResourceEventType.Added,
  MODIFIED: ResourceEventType.Modified,
  DELETED: ResourceEventType.Deleted,
} as const;

export class OperatorShell extends Operator {
  readonly #options: ShellOptions;
  readonly #reflectors = new Map<string, Reflector[]>();
  readonly #stopped: Promise<void>[] = [];

  constructor(options: ShellOptions) {
    super(plainLogger(options.log));
    this.#options = options;
    this.kubeConfig = options.kubeConfig;
  }

  protected override async init(): Promise<void> {
    for (const { info, namespace, ...selector } of this.#options.watches) {
      await this.watchResource(info.group, info.version, info.plural, () => Promise.resolve(), namespace, {
        ...selector,
        kind: info.kind,
      });
    }
  }

  /** Starts a watch and returns at once; see {@link synced}. */
  protected override watchResource(
    group: string,
    version: string,
    plural: string,
    onEvent: (event: ResourceEvent) => Promise<void>,
    namespace?: string,
    more: Selector & { readonly kind?: string } = {},
  ): Promise<void> {
    this.watch({ info: { kind: more.kind ?? plural, group, version, plural }, namespace, ...more }, onEvent).start();
    return Promise.resolve();
  }

  /** A reflector that is stopped with the shell; the caller starts it. */
  watch(spec: WatchSpec, onEvent: (event: ResourceEvent) => Promise<void> = () => Promise.resolve()): Reflector {
    const { info, namespace, labelSelector, fieldSelector, onForbidden } = spec;
    const id = `${info.plural}.${apiVersionOf(info)}`;
    const where = { resource: id, namespace: namespace ?? "*" };
    const { log } = this.#options;
    const reflector = new Reflector({
      connection: this.#options.connection,
      info,
      namespace,
      labelSelector,
      fieldSelector,
      ...(this.#options.quietMs === undefined ? {} : { quietMs: this.#options.quietMs }),
      onError: (error) => {
        if (onForbidden && isStatus(error, 403)) onForbidden();
        else if (error) log.warn({ ...where, err: error }, "watch interrupted, trying again");
        else log.info(where, "watching");
      },
      onEvent: ({ type, object, previous }) => {
        const { name, namespace: ns, resourceVersion = "" } = object.metadata;
        const meta = { id, name, namespace: ns, resourceVersion, apiVersion: object.apiVersion, kind: object.kind };
        const event = { meta, type: eventType[type], object: object as unknown as ResourceEvent["object"] };
        this.#options.onEvent(event, previous);
        onEvent(event).catch((error: unknown) => log.error({ ...where, err: error }, "an event handler failed"));
      },
    });
    this.#reflectors.set(info.kind, [...(this.#reflectors.get(info.kind) ?? []), reflector]);
    return reflector;
  }

  /** Ends one reflector made by {@link watch}. */
  forget(kind: string, reflector: Reflector): void {
    this.#reflectors.set(
      kind,
      (this.#reflectors.get(kind) ?? []).filter((other) => other !== reflector),
    );
    this.#stopped.push(reflector.stop());
  }

  reflectors(kind: string): readonly Reflector[] {
    return this.#reflectors.get(kind) ?? [];
  }
  all(): readonly Reflector[] {
    return [...this.#reflectors.values()].flat();
  }

  /** Resolves when the first list of everything watched at this moment is in; waits as long as that takes. */
  async synced(): Promise<void> {
    await Promise.all(this.all().map((reflector) => reflector.synced));
  }

  override stop(): void {
    // the copies stay readable: an empty cache would look as if everything had been deleted
    for (const reflector of this.all()) this.#stopped.push(reflector.stop());
  }
  /** {@link stop}, and waits until every watch has ended. */
  async stopAndWait(): Promise<void> {
    this.stop();
    await Promise.all(this.#stopped);
  }
}
