import { afterEach, expect, test, vi } from "vitest";
import { startProbes } from "../../../src/standalone/runner/probes.ts";
import type { Container } from "../../../src/standalone/runner/types.ts";

let stop = (): void => {};
afterEach(() => {
  stop();
  vi.useRealTimers();
});

test("a container whose probe fails is not ready, also when the time of day is set back meanwhile", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const probe = { exec: { command: ["false"] }, periodSeconds: 0.2, failureThreshold: 2 };
  const container = { name: "kamailio", image: "kamailio:test", readinessProbe: probe } as Container;
  const told = Promise.withResolvers<boolean>();
  const target = {
    ip: "127.0.0.1",
    env: { PATH: "/usr/bin:/bin" },
    localise(argument: string) {
      // at each try
      vi.setSystemTime(Date.now() - 3_600_000);
      return argument;
    },
  };
  stop = startProbes(container, target, { onReady: (ready) => told.resolve(ready), onDead: () => {} });
  expect(await told.promise).toBe(false);
});
