/** The secure port: metrics for tokens of the API server only, with the permissions of config/metrics and no more. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { Authority } from "../../support/sip/certificates.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "./process.ts";

const config = (file: string): string => new URL(`../../../config/${file}`, import.meta.url).pathname;
let server: TestApiServer;
let operator: OperatorProcess;
let port: number;

const token = async (account: string): Promise<string> =>
  (await server.kubectl(["-n", "default", "create", "token", account])).stdout.trim();
/** Status code, or the text of a 200. */
const scrape = (authorization?: string, path = "/metrics"): Promise<number | string> =>
  new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        path,
        rejectUnauthorized: false,
        agent: false,
        headers: authorization === undefined ? {} : { authorization },
      },
      (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
        answer.on("end", () => resolve(answer.statusCode === 200 ? text : (answer.statusCode ?? 0)));
      },
    );
    sent.on("error", reject);
    sent.end();
  });

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  const apply = (file: string) => server.kubectl(["apply", "-f", config(file)]);
  for (const file of ["manager/namespace.yaml", "manager/service-account.yaml"]) await apply(file);
  for (const file of ["rbac/cluster/role.yaml", "rbac/cluster/role-binding.yaml"]) await apply(file);
  await server.kubectl(["apply", "-k", config("metrics")]);
  for (const name of ["prometheus", "stranger"])
    await server.kubectl(["-n", "default", "create", "serviceaccount", name]);
  await server.kubectl(
    "create clusterrolebinding prometheus --clusterrole=sip-metrics-reader --serviceaccount=default:prometheus".split(
      " ",
    ),
  );
  const kubeconfig = await server.serviceAccountKubeconfig("sip-router-system", "sip-router-operator");
  operator = await new OperatorProcess(kubeconfig, "--metrics-secure-port", "0").started();
  port = await until("its port", () => operator.logged("starting")?.["securePort"] as number | undefined);
});
afterAll(async () => {
  await operator.end();
  await server.stop();
});

test("who may get /metrics reads them, another user is refused, and so is who shows no token or a false one", async () => {
  expect(await scrape(`Bearer ${await token("prometheus")}`)).toContain("# TYPE siprouter_destinations gauge");
  expect(await scrape(`Bearer ${await token("stranger")}`)).toBe(403);
  expect(await scrape(`Bearer ${await token("stranger")}`, "/metrics?x=1")).toBe(403);
  for (const header of [
    undefined,
    "Bearer false",
    "Bearer ",
    "Basic eDp4",
    "Bearer a b",
    `Bearer ${"x".repeat(20_000)}`,
  ])
    expect(await scrape(header).catch(() => "closed"), header?.slice(0, 20)).toSatisfy((answer) =>
      [401, 431, "closed"].includes(answer as number),
    );
});

test("health needs no token on either port, and neither token nor user is in the log", async () => {
  expect(await scrape(undefined, "/healthz")).toBe("ok\n");
  expect((await operator.get("/readyz")).status).toBe(200);
  const shown = await token("stranger");
  await scrape(`Bearer ${shown}`);
  expect(JSON.stringify(operator.lines)).not.toContain(shown);
});

test("its own certificate is a whole one", async () => {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const certificate = new X509Certificate(socket.getPeerCertificate(true).raw);
  socket.destroy();
  expect(certificate.subjectAltName).toBe("DNS:sip-router-operator");
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.validToDate.getTime()).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000);
});

test("a certificate that is given is shown, and its renewal without a restart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "metrics-tls-"));
  const authority = new Authority("test authority");
  const write = (): void => {
    const { certificate, key } = authority.issue("metrics.test");
    writeFileSync(join(folder, "tls.key"), key, { mode: 0o600 });
    writeFileSync(join(folder, "tls.crt"), certificate);
  };
  write();
  const another = new OperatorProcess(
    server.kubeconfigPath,
    ...["--metrics-secure-port", "0", "--metrics-cert-dir", folder],
  );
  try {
    const at = await until("its port", () => another.logged("starting")?.["securePort"] as number | undefined, 60_000);
    const shown = async (): Promise<string> => {
      const ca = authority.own.certificate;
      const socket = connect({ host: "127.0.0.1", port: at, servername: "metrics.test", ca });
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const first = await shown();
    write();
    await until("the new one", async () => (await shown()) !== first, 30_000);
  } finally {
    await another.end("SIGKILL");
    rmSync(folder, { recursive: true });
  }
});
