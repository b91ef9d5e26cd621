/** The cluster in a folder keeps the promises of the Cluster interface. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "vitest";
import { createLocalCluster, type LocalCluster } from "../../../src/standalone/localCluster.ts";
import { expectSecretIsKept } from "../../support/secretContract.ts";

let folder: string;
let cluster: LocalCluster | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "local-"));
  mkdirSync(join(folder, "resources"));
});
afterEach(async () => {
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Another operator on the same folders. */
async function connect(): Promise<LocalCluster> {
  await cluster?.stop();
  cluster = createLocalCluster({
    resources: join(folder, "resources"),
    state: join(folder, "state"),
    pool: { addresses: ["127.25.1.1"] },
    baseEnv: {},
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    onResourceErrors: () => undefined,
  });
  await cluster.start();
  return cluster;
}

test("a Secret is made once; a key that was lost is made again by those that are there, and stored", async () => {
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "edge-control", namespace: "default" } };
  await expectSecretIsKept(secret, connect, (key) => {
    const file = join(folder, "state/objects/default/Secret/edge-control.json");
    const stored = JSON.parse(readFileSync(file, "utf8")) as { data: Record<string, string> };
    const { [key]: _lost, ...data } = stored.data;
    writeFileSync(file, JSON.stringify({ ...stored, data }));
    return connect();
  });
});
