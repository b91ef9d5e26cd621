/**
 * Change-to-effect: from sending the write of a PbxBackend to the API server until the last of three replicas has been
 * read back with it, beside a sidecar per pod that rewrites the file and reloads it without reading back.
 *
 *   node hack/bench/change.ts                 prints a table and writes .cache/bench/change.json
 *
 * BENCH_CHANGES (200) and BENCH_DESTINATIONS (3,200) make it shorter. Some destinations do not answer: afterwards no replica may have forgotten that.
 */
import { createSocket, type Socket } from "node:dgram";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { CustomObjectsApi, CoreV1Api, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import { createControl } from "../../src/kamailio/control.ts";
import { parseDispatcherAnswer } from "../../src/kamailio/parse.ts";
import { OperatorProcess } from "../../test/integration/kube/process.ts";
import { startApiServer } from "../../test/support/apiserver.ts";
import { startNodeAgent } from "../../test/support/nodeAgent.ts";
import { Sidecar, uriOf, type Destination } from "./change/sidecar.ts";

const CHANGES = Number(process.env["BENCH_CHANGES"] ?? 200);
const PODS = ["127.75.8.1", "127.75.8.2", "127.75.8.3"];
const SIDECAR_PODS = ["127.75.7.1", "127.75.7.2", "127.75.7.3"];
/** of a destination: it answers OPTIONS at both, so that a changed one is alive */
const [PORT, OTHER_PORT] = [5060, 5070];

interface Result {
  readonly what: string;
  readonly destinations: number;
  readonly changes: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** known by all replicas not to answer before the changes */
  readonly dead: number;
  /** of these, how often one was taken for alive afterwards: looked at after every twentieth change */
  readonly forgotten: number;
  readonly lostOfTen: number;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const percentile = (values: readonly number[], part: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
};
const summary = (times: readonly number[]) => ({
  p50: percentile(times, 0.5),
  p95: percentile(times, 0.95),
  p99: percentile(times, 0.99),
  max: Math.max(...times),
});

/** Answers OPTIONS of these addresses; the others stay silent. */
const answerOptions = async (addresses: readonly string[]): Promise<() => void> => {
  const sockets: Socket[] = [];
  for (const address of addresses)
    for (const port of [PORT, OTHER_PORT]) {
      const socket = createSocket("udp4");
      socket.on("message", (data, from) => {
        const lines = data.toString("latin1").split("\r\n");
        const kept = lines.filter((line) => /^(via|from|call-id|cseq|to|v|f|i|t):/i.test(line));
        const answer = ["SIP/2.0 200 OK", ...kept.map((line) => (/^(to|t):/i.test(line) ? `${line};tag=x` : line))];
        socket.send([...answer, "Content-Length: 0", "", ""].join("\r\n"), from.port, from.address);
      });
      await new Promise<void>((resolve) => void socket.bind(port, address, resolve));
      sockets.push(socket);
    }
  return () => {
    for (const socket of sockets) socket.close();
  };
};

const server = await startApiServer({ crds: true });
const folder = mkdtempSync(join(tmpdir(), "bench-change-"));
const custom = server.kubeConfig.makeApiClient(CustomObjectsApi);
const core = server.kubeConfig.makeApiClient(CoreV1Api);
const kind = { group: "siprouter.dev", version: "v1alpha1", namespace: "default" };
const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

const setPort = (name: string, port: number): Promise<unknown> =>
  custom.patchNamespacedCustomObject({ ...kind, plural: "pbxbackends", name, body: { spec: { port } } }, merge);

/** every fifth, the first excepted, does not answer */
const isDead = (index: number): boolean => index % 5 === 1;
const destinationsOf = (count: number): readonly Destination[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `pbx-${index}`,
    address: `127.75.9.${index + 1}`,
    port: PORT,
  }));

interface Fleet {
  readonly what: string;
  /** false: only the ten changes in 100 ms */
  readonly timed: boolean;
  /** resolves when all three have the destination */
  change(one: Destination): Promise<void>;
  /** per pod: URI -> answers or not */
  states(): Promise<readonly ReadonlyMap<string, boolean>[]>;
}

/** Each change is awaited, then the next; alive destinations are moved to the other port and back. */
const measure = async (fleet: Fleet, destinations: readonly Destination[]): Promise<Result> => {
  const silent = destinations.filter((_, index) => isDead(index)).map(uriOf);
  const movable = destinations.filter((_, index) => !isDead(index));
  const now = new Map(movable.map((one) => [one.name, one.port]));
  const known = async (): Promise<string[]> => {
    const all = await fleet.states();
    return silent.filter((uri) => all.every((states) => states.get(uri) === false));
  };
  let dead = await known();
  for (let tries = 0; dead.length < silent.length && tries < 15; tries += 1) {
    await wait(1000);
    dead = await known();
  }
  const knows = async (): Promise<number> =>
    (await fleet.states()).reduce((sum, states) => sum + dead.filter((uri) => states.get(uri) !== false).length, 0);
  const times: number[] = [];
  let forgotten = 0;
  for (let index = 0; index < (fleet.timed ? CHANGES : 0); index += 1) {
    const one = movable[index % movable.length] as Destination;
    const port = now.get(one.name) === PORT ? OTHER_PORT : PORT;
    now.set(one.name, port);
    const began = performance.now();
    await fleet.change({ ...one, port });
    times.push(performance.now() - began);
    if (index % 20 === 0) forgotten += await knows();
    await wait(30);
  }
  await wait(6000);
  const ten = Array.from({ length: 10 }, (_, index) => movable[index % movable.length] as Destination);
  const writes: Promise<unknown>[] = [];
  for (const one of ten) {
    const port = 6001 + writes.length;
    now.set(one.name, port);
    writes.push(setPort(one.name, port));
    await wait(10);
  }
  await Promise.all(writes);
  await wait(4000);
  // writes to one object may overtake each other: what the API server has in the end counts
  const wanted = await Promise.all(
    [...new Set(ten)].map(async ({ name, address }) => {
      const object = (await custom.getNamespacedCustomObject({ ...kind, plural: "pbxbackends", name })) as {
        spec: { port: number };
      };
      return uriOf({ address, port: object.spec.port });
    }),
  );
  const missing = (await fleet.states()).map((states) => wanted.filter((uri) => !states.has(uri)).length);
  return {
    what: fleet.what,
    destinations: destinations.length,
    changes: times.length,
    dead: dead.length,
    ...summary(times),
    forgotten,
    lostOfTen: Math.max(...missing),
  };
};

const measureOperator = async (destinations: readonly Destination[]): Promise<Result> => {
  const node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  const operator = await new OperatorProcess(server.kubeconfigPath).started();
  const control = createControl();
  try {
    await custom.createNamespacedCustomObject({
      ...kind,
      plural: "siprouters",
      body: {
        apiVersion: "siprouter.dev/v1alpha1",
        kind: "SipRouter",
        metadata: { name: "edge" },
        spec: {
          replicas: 3,
          drain: { timeoutSeconds: 1 },
          healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 1 },
          dispatcherSets: [{ name: "pbx", id: 1, backends: destinations.map(({ name }) => ({ name })) }],
          routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
        },
      },
    });
    const ready = await server.kubectl(["wait", "--for=condition=Ready", "siprouter/edge", "--timeout=30s"], {
      allowFailure: true,
    });
    if (ready.code !== 0) {
      const { stdout } = await server.kubectl(["get", "siprouters,pods,events", "-o", "yaml"]);
      throw new Error(
        `the router is not Ready:\n${stdout}\n${operator.lines
          .slice(-20)
          .map((line) => JSON.stringify(line))
          .join("\n")}`,
      );
    }
    const { data } = await core.readNamespacedSecret({ namespace: "default", name: "edge-control" });
    const token = Buffer.from(data?.["token"] ?? "", "base64").toString("utf8");
    const states = async (): Promise<readonly ReadonlyMap<string, boolean>[]> =>
      Promise.all(
        PODS.map(async (host) => {
          const answer = await control.call({ host, port: 9060, token }, "dispatcher.list");
          return new Map(parseDispatcherAnswer(answer).map(({ uri, state }) => [uri, state === "Active"]));
        }),
      );
    const change = async ({ name, port }: Destination): Promise<void> => {
      // the operator logs each pod that it has read back
      const from = operator.lines.length;
      await setPort(name, port);
      const pods = new Set<unknown>();
      while (pods.size < 3) {
        for (const line of operator.lines.slice(from))
          if (line.message === "the pod was changed and read back") pods.add(line["pod"]);
        if (pods.size < 3) await wait(1);
      }
    };
    return await measure({ what: "operator", timed: true, change, states }, destinations);
  } finally {
    await custom.deleteNamespacedCustomObject({ ...kind, plural: "siprouters", name: "edge" }).catch(() => undefined);
    control.close();
    await operator.end();
    await node.stop();
  }
};

const measureSidecars = async (destinations: readonly Destination[], reloadDelta?: number): Promise<Result> => {
  let wake: () => void = () => undefined;
  const latest = new Map<string, ReadonlyMap<string, Destination>>();
  const sidecars = SIDECAR_PODS.map((ip) => new Sidecar(ip, (of, known) => {
    latest.set(of, known);
    wake();
  })); // prettier-ignore
  try {
    for (const one of sidecars) await one.start(server.kubeConfig, destinations, reloadDelta);
    const change = async ({ name, port }: Destination): Promise<void> => {
      const has = (): boolean => SIDECAR_PODS.every((ip) => latest.get(ip)?.get(name)?.port === port);
      const done = new Promise<void>((resolve) => {
        wake = () => {
          if (has()) resolve();
        };
      });
      await setPort(name, port);
      await done;
    };
    const states = async (): Promise<readonly ReadonlyMap<string, boolean>[]> =>
      Promise.all(
        sidecars.map(
          async (one) => new Map([...(await one.states())].map(([uri, flags]) => [uri, flags.startsWith("A")])),
        ),
      );
    const what = reloadDelta === undefined ? "sidecar, default reload_delta" : `sidecar, reload_delta ${reloadDelta}`;
    return await measure({ what, timed: reloadDelta !== undefined, change, states }, destinations);
  } finally {
    for (const one of sidecars) await one.stop();
  }
};

const row = (cells: readonly string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(32) : cell.padStart(12))).join("");
const results: Result[] = [];
try {
  for (const count of (process.env["BENCH_DESTINATIONS"] ?? "3,200").split(",").map(Number)) {
    const destinations = destinationsOf(count);
    const stopAnswers = await answerOptions(
      destinations.filter((_, index) => !isDead(index)).map((one) => one.address),
    );
    const bodies = destinations.map(({ name, address, port }) => ({
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "PbxBackend",
      metadata: { name },
      spec: { address, port },
    }));
    const apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: bodies });
    for (const run of [
      () => measureOperator(destinations),
      () => measureSidecars(destinations, 0),
      () => measureSidecars(destinations),
    ]) {
      await server.kubectl(apply, { input });
      results.push(await run());
      say(JSON.stringify(results.at(-1)));
    }
    stopAnswers();
  }
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
say(row(["", "destinations", "p50 ms", "p95 ms", "p99 ms", "max ms", "dead", "forgotten", "lost of 10"]));
for (const one of results)
  say(
    row([
      one.what,
      String(one.destinations),
      ...[one.p50, one.p95, one.p99, one.max].map((time) => time.toFixed(1)),
      String(one.dead),
      String(one.forgotten),
      String(one.lostOfTen),
    ]),
  );
const out = join(import.meta.dirname, "../../.cache/bench");
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "change.json"), `${JSON.stringify(results, null, 2)}\n`);
say(`written: ${join(out, "change.json")}`);
