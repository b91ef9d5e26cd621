/** A name in `advertise`, as a user runs it: Kamailio looks it up when it starts. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { callOnce } from "../../support/sip/caller.ts";
import { header } from "../../support/sip/message.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { kamailio5 } from "../../support/sip/programs.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const router = { host: "127.66.5.1", port: 5060 };
let folders: StandaloneFolders;
let standalone: Standalone;
let phone: SipPeer, pbx: SipPeer;

const advertising = (name: string): string => `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx}
spec: {address: 127.66.5.11}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  replicas: 1
  advertise: {address: ${name}}
  dispatcherSets: [{name: pbx, backends: [{name: pbx}]}]
  routes: [{name: all, match: {extensions: ["1000-1999"]}, set: pbx}]
  drain: {timeoutSeconds: 0}
`;

beforeEach(async () => {
  folders = new StandaloneFolders();
  pbx = await SipPeer.listen({ host: "127.66.5.11", port: 5060 });
  phone = await SipPeer.listen({ host: "127.66.5.20", port: 5070 });
});
afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const peer of [phone, pbx]) await peer.close();
  folders.remove();
});

test("a name that Kamailio 5.6 cannot look up: no pod is ready, instead of one that listens elsewhere; a good name serves", async () => {
  folders.write("router.yaml", advertising("no-such-name.invalid"));
  standalone = new Standalone(folders, {
    addresses: [router.host],
    kamailio: `${kamailio5().folder}/kamailio`,
  });
  await until("a pod has failed, and says why", () => {
    const { reason, message } = folders.condition("SipRouter", "edge", "Programmed");
    return reason === "NoPods" && message.includes("doesn't listen on it");
  });
  expect(standalone.events.map(({ event }) => event)).not.toContain("ready");

  folders.write("router.yaml", advertising("localhost"));
  await standalone.ready();
  expect((await callOnce(phone, router, "1000")).status).toBe(200);
  const [invite] = pbx.requests("INVITE");
  expect(invite && header(invite, "record-route")).toContain("localhost");
});
