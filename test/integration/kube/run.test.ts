/** `run` as a process: health, metrics, two instances of which one leads, and how it ends. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "./process.ts";

let server: TestApiServer;
const processes: OperatorProcess[] = [];
const run = (...args: string[]): OperatorProcess => {
  const made = new OperatorProcess(server.kubeconfigPath, ...args);
  processes.push(made);
  return made;
};

beforeAll(async () => {
  server = await startApiServer();
});
afterEach(() => Promise.all(processes.splice(0).map((one) => one.end("SIGKILL"))));
afterAll(() => server.stop());

const holder = async (): Promise<string> =>
  (
    await server.kubectl(
      ["-n", "default", "get", "lease", "sip-router-operator", "-o", "jsonpath={.spec.holderIdentity}"],
      { allowFailure: true },
    )
  ).stdout;

describe("health", () => {
  test("without the definitions it lives, is not ready and says why; with them it starts by itself", async () => {
    const operator = run();
    const notReady = await until("the reason", async () => {
      const { status, text } = await operator.get("/readyz");
      return status === 503 && text.includes("does not serve siprouters.siprouter.dev") && text;
    });
    expect(notReady).toContain("the caches are not filled yet");
    expect((await operator.get("/healthz")).status).toBe(200);
    expect(await operator.complaint("warn")).toMatchObject({
      message: "watch interrupted, trying again",
      err: { code: "SIPR_CRD_MISSING", remedy: expect.stringContaining("kubectl apply -f crds/") },
    });
    await server.installCrds();
    await operator.started();
    await until("ready", async () => (await operator.get("/readyz")).status === 200);
    const { text } = await operator.get("/metrics");
    for (const name of [
      "workqueue_depth",
      "controller_runtime_reconcile_total",
      "leader_election_master_status",
      "siprouter_watches_failing",
      "process_cpu_seconds_total",
    ])
      expect(text).toContain(`# TYPE ${name} `);
    expect(text).toContain('leader_election_master_status{name="sip-router-operator"} 1');
    expect(await operator.end("SIGTERM")).toBe(0);
  });

  test.each([
    [["--context", "nowhere"], /SIPR_USAGE.*nowhere/],
    [["--log-level", "loud"], /SIPR_USAGE.*loud/],
    [["--metrics-port", "x"], /SIPR_USAGE.*x/],
    [["--kubeconfig", "/nowhere"], /SIPR_USAGE.*\/nowhere/],
  ])("%j is refused with a code and a remedy", async (args, message) => {
    const operator = run(...args);
    expect(await operator.ended()).toBe(1);
    expect(operator.plain.join("\n")).toMatch(message);
  });

  test("a port that is taken is named", async () => {
    const first = run();
    await first.get("/healthz");
    const port = String(first.logged("starting")?.["port"]);
    const second = run("--metrics-port", port);
    expect(await second.ended()).toBe(1);
    expect(second.plain.join("\n")).toMatch(new RegExp(`SIPR_PORT_IN_USE.*${port}[^]*--metrics-port`));
  });
});

describe("--leader-elect", () => {
  test("one of two acts; when it is ended the other takes over at once", async () => {
    const first = await run("--leader-elect").started();
    const second = run("--leader-elect");
    await until("it stands by", () => second.logged("standing by") !== undefined);
    expect((await second.get("/readyz")).status).toBe(200);
    expect((await second.get("/metrics")).text).not.toContain(
      'leader_election_master_status{name="sip-router-operator"} 1',
    );
    expect(await first.end("SIGTERM")).toBe(0);
    await second.started();
    expect(await holder()).not.toBe("");
    expect(await second.end("SIGTERM")).toBe(0);
    expect(await holder()).toBe("");
  });

  test("an instance that lost the lease ends with an error, so that it is started again", async () => {
    const operator = await run("--leader-elect").started();
    await server.kubectl([
      "-n",
      "default",
      "patch",
      "lease",
      "sip-router-operator",
      "--type=merge",
      "-p",
      '{"spec":{"holderIdentity":"somebody"}}',
    ]);
    expect(await operator.ended()).toBe(1);
    expect(operator.plain.join("\n")).toContain("SIPR_LEADERSHIP_LOST");
    expect(await holder()).toBe("somebody");
  });
});
