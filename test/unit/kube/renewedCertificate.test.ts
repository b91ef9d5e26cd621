import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, expect, test } from "vitest";
import { createConnection } from "../../../src/kube/connection.ts";
import { loadKubeConfig } from "../../../src/kube/kubeConfig.ts";
import { makeCertificate } from "../../../src/server/certificate.ts";
import { until } from "../../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "renewed-certificate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a client certificate that was renewed counts once the server no longer takes the one before", async () => {
  let takes = "first";
  let dialled = 0;
  const server = createSecureServer({
    ...makeCertificate("server", Date.now()),
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on("session", () => (dialled += 1));
  server.on("stream", (stream) => {
    const socket = stream.session?.socket as TLSSocket | undefined;
    const name = socket?.getPeerCertificate().subject.CN;
    stream.respond({ ":status": name === takes ? 200 : 401, "content-type": "application/json" });
    stream.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const [cert, key] = [join(folder, "cert"), join(folder, "key")];
  const renew = (name: string): void => {
    const made = makeCertificate(name, Date.now());
    writeFileSync(cert, made.cert);
    writeFileSync(key, made.key);
  };
  renew("first");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const file = join(folder, "config");
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: url, "insecure-skip-tls-verify": true } }],
      users: [{ name: "u", user: { "client-certificate": cert, "client-key": key } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      "current-context": "c",
    }),
  );
  const connection = createConnection(loadKubeConfig({ kubeconfig: file }, "", { env: {} }));
  const ask = (): Promise<boolean> =>
    connection.request("GET", "/version").then(
      () => true,
      () => false,
    );
  expect([await ask(), await ask(), dialled]).toEqual([true, true, 1]);
  renew("second");
  takes = "second";
  expect(await ask()).toBe(false);
  await until("the renewed certificate is used", ask, 10_000);
  connection.close();
  server.close();
});
