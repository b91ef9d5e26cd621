/** A TLS listener from a Secret, as a user runs it: calls, rotation, a Secret that cannot be used. */
import { connect, type DetailedPeerCertificate } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { call, callOnce, within } from "../../support/sip/caller.ts";
import { Authority, type KeyPair } from "../../support/sip/certificates.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.22.5.1", "127.22.5.2"];
const router = { host: "127.22.5.1", port: 5061 };
const authority = new Authority("test authority");
const [first, second] = [authority.issue("edge.example.com"), authority.issue("edge.example.com")];
let folders: StandaloneFolders;
let standalone: Standalone;
let phone: SipPeer, pbx: SipPeer;

const indented = (text: string): string => text.trimEnd().replaceAll("\n", "\n    ");
const secret = ({ certificate, key }: KeyPair): string =>
  ["apiVersion: v1", "kind: Secret", "metadata: {name: edge-tls}", "type: kubernetes.io/tls", "stringData:"]
    .concat(`  tls.crt: |\n    ${indented(certificate)}`, `  tls.key: |\n    ${indented(key)}`)
    .concat(`  ca.crt: |\n    ${indented(authority.own.certificate)}`, "")
    .join("\n");

beforeEach(async () => {
  folders = new StandaloneFolders();
  pbx = await SipPeer.listen({
    host: "127.22.6.1",
    port: 5061,
    transport: "TLS",
    identity: authority.issue("pbx.example.com"),
  });
  phone = await SipPeer.listen({ host: "127.22.6.20", port: 5071, transport: "TLS", identity: first });
  folders.write("secret.yaml", secret(first));
  folders.write(
    "router.yaml",
    `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx}
spec: {address: 127.22.6.1, transport: TLS}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  listeners:
    - {name: udp, transport: UDP, port: 5060}
    - {name: tls, transport: TLS, port: 5061, tls: {secretName: edge-tls}}
  dispatcherSets: [{name: pbx, backends: [{name: pbx}]}]
  routes: [{name: all, match: {extensions: ["1000-1999"]}, set: pbx}]
  drain: {timeoutSeconds: 0}
`,
  );
  standalone = new Standalone(folders, { addresses });
});
afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const peer of [phone, pbx]) await peer.close();
  folders.remove();
});

const shown = (host: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: 5061, rejectUnauthorized: false }, () => {
      const { serialNumber }: DetailedPeerCertificate = socket.getPeerCertificate(true);
      socket.destroy();
      resolve(serialNumber);
    });
    socket.once("error", reject);
  });

test("a rotated certificate is shown by every replica without a restart, while a call goes on", async () => {
  await standalone.ready();
  const pids = folders.pids();
  const before = await Promise.all(addresses.map(shown));
  const { reply, dialog } = await call(phone, router, "1000");
  expect(reply.status).toBe(200);

  const from = standalone.events.length;
  folders.write("secret.yaml", secret(second));
  await standalone.event("changed", ({ event }) => event === "changed", from);
  const after = await Promise.all(addresses.map(shown));
  expect(new Set(before).size).toBe(1);
  expect(new Set(after).size).toBe(1);
  expect(after).not.toEqual(before);

  expect((await (await within(phone, router, dialog, "BYE", 2)).final()).status).toBe(200);
  expect(pbx.requests("BYE").length).toBe(1);
  expect(folders.pids()).toEqual(pids);
});

test("a key that does not belong to the certificate is told, and what was shown goes on", async () => {
  await standalone.ready();
  const before = await Promise.all(addresses.map(shown));
  folders.write("secret.yaml", secret({ certificate: first.certificate, key: second.key }));
  await until("the router says so", () => folders.condition("SipRouter", "edge", "ResolvedRefs").status === "False");
  expect(folders.condition("SipRouter", "edge", "ResolvedRefs")).toMatchObject({
    reason: "SecretInvalid",
    message: expect.stringContaining("tls.key is not the key of tls.crt"),
  });
  expect(await Promise.all(addresses.map(shown))).toEqual(before);
  expect((await callOnce(phone, router, "1000")).status).toBe(200);
});
