/** A sidecar per pod, three of them: reloaded without reading back. */
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { backendsOf } from "./backends.ts";
import { measure, NET, type Fleet, type Result } from "./measure.ts";
import { Sidecar, type Destination } from "./sidecar.ts";

const PODS = [1, 2, 3].map((index) => `${NET}.7.${index}`);

/** @param reloadDelta undefined: as Kamailio has it; then only the ten changes in 100 ms */
export const measureSidecars = async (
  server: TestApiServer,
  destinations: readonly Destination[],
  changes: number,
  reloadDelta?: number,
): Promise<Result> => {
  let wake: () => void = () => undefined;
  const latest = new Map<string, ReadonlyMap<string, Destination>>();
  const onReload = (ip: string, known: ReadonlyMap<string, Destination>): void => {
    latest.set(ip, known);
    wake();
  };
  const sidecars = PODS.map((ip) => new Sidecar(ip, onReload));
  const backends = backendsOf(server);
  await backends.apply(destinations);
  const fleet: Fleet = {
    what: reloadDelta === undefined ? "sidecar, default reload_delta" : `sidecar, reload_delta ${reloadDelta}`,
    timed: reloadDelta !== undefined,
    ...backends,
    async change({ name, port }) {
      const has = (): boolean => PODS.every((ip) => latest.get(ip)?.get(name)?.port === port);
      const began = performance.now();
      const done = new Promise<number>((resolve) => {
        wake = () => {
          if (has()) resolve(performance.now() - began);
        };
      });
      await backends.write(name, port);
      return done;
    },
    states: async () =>
      Promise.all(
        sidecars.map(
          async (one) => new Map([...(await one.states())].map(([uri, flags]) => [uri, flags.startsWith("A")])),
        ),
      ),
  };
  try {
    for (const one of sidecars) await one.start(server.kubeConfig, destinations, reloadDelta);
    return await measure(fleet, destinations, changes);
  } finally {
    for (const one of sidecars) await one.stop();
  }
};
