/** `kubectl sip` with the rights that docs/cli.md names for an operator, and no way to the pods but the API server. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Caller } from "./support/caller.ts";
import { Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const at = new Scenario("cli");
const caller = new Caller(at);
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "e2e-cli-"));
const kubeconfig = join(folder, "kubeconfig");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
const sip = (...args: readonly string[]): Promise<Result> =>
  new Promise((done) => {
    const all = [join(root, "src/kubectl-sip.ts"), ...args, "--kubeconfig", kubeconfig, "-n", at.kube.namespace];
    execFile(process.execPath, all, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
const json = async <Shape>(...args: readonly string[]): Promise<Shape> => {
  const { out, err } = await sip(...args, "-o", "json");
  if (out === "") throw new Error(err);
  return JSON.parse(out) as Shape;
};

/** The rights of the ClusterRole sip-operator and the token of one router, for a ServiceAccount. */
async function makeUser(): Promise<void> {
  const roles = loadAll(readFileSync(join(root, "config/rbac/users/roles.yaml"), "utf8")) as {
    metadata: { name: string };
    rules: object[];
  }[];
  const rbac = "rbac.authorization.k8s.io";
  const rights = {
    "cli-operator": roles.find(({ metadata }) => metadata.name === "sip-operator")?.rules,
    "cli-control": [{ apiGroups: [""], resources: ["secrets"], resourceNames: ["cli-control"], verbs: ["get"] }],
  };
  await at.apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "ann" } },
    ...Object.entries(rights).flatMap(([name, rules]) => [
      { apiVersion: `${rbac}/v1`, kind: "Role", metadata: { name }, rules },
      {
        apiVersion: `${rbac}/v1`,
        kind: "RoleBinding",
        metadata: { name },
        roleRef: { apiGroup: rbac, kind: "Role", name },
        subjects: [{ kind: "ServiceAccount", name: "ann", namespace: at.kube.namespace }],
      },
    ]),
  );
  const view = await at.kube.run(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
  const { clusters } = JSON.parse(view) as { clusters: { name: string }[] };
  const token = (await at.kube.run(["create", "token", "ann"])).trim();
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters,
    users: [{ name: "ann", user: { token } }],
    contexts: [{ name: "ann", context: { cluster: clusters[0]?.name, user: "ann" } }],
    "current-context": "ann",
  };
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
}

describe("kubectl sip", () => {
  beforeAll(async () => {
    const address = await caller.start({ "cli-pbx": 5070 });
    await at.apply(
      at.backend("cli-pbx", { address, port: 5070 }),
      at.router({
        replicas: 2,
        dispatcherSets: [{ name: "pbx", backends: [{ name: "cli-pbx" }] }],
        routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await makeUser();
    await at.ready();
  });
  beforeEach(() => at.keepOnFailure());

  test("status, dump and stats: both pods answer, through the API server", async () => {
    expect(await sip("status")).toMatchObject({ code: 0, out: expect.stringContaining("pods 2/2") });
    expect(await sip("dump")).toMatchObject({ code: 0, out: expect.stringContaining("pods 2/2"), err: "" });
    const stats = await json<{ notAnswering: unknown[]; pods: unknown[] }>("stats", "--no-rate");
    expect([stats.notAnswering, stats.pods.length]).toEqual([[], 2]);
  });

  test("ping: the PBX answers both pods", async () => {
    expect(await sip("ping")).toMatchObject({ code: 0, out: expect.stringContaining("all 2 answered"), err: "" });
  });

  test("calls and end: a call that runs is listed, and over once it is ended", async () => {
    const running = caller.calls({ number: "1234", talkMs: 30_000 });
    const { calls } = await until("one call is answered", async () => {
      const found = await json<{ calls: { id: string; state: string; backend: string }[] }>("calls");
      return found.calls[0]?.state === "Answered" && found;
    });
    expect(calls.map(({ backend }) => backend)).toEqual(["cli-pbx"]);
    expect(await sip("end", calls[0]?.id ?? "")).toMatchObject({ code: 0, err: "" });
    await until("no call", async () => (await json<{ total: number }>("calls")).total === 0);
    await running;
  });

  test("a pod that is gone is not asked; the one in its place is", async () => {
    const [victim] = await at.routerPods();
    await at.kube.run(["delete", "pod", victim?.metadata.name ?? ""]);
    await at.podsReady("siprouter.dev/router=cli", 2);
    await until("both answer", async () => {
      const { code, out } = await sip("dump");
      return code === 0 && out.includes("pods 2/2");
    });
  });
});
