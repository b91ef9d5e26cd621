/** A router at the edge: phones over TLS, TCP and UDP, and neither side learns an address of the other. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/until.ts";
import { Authority } from "../support/sip/certificates.ts";
import { pbxObjects, secretOf, soundFlows } from "./support/asterisk.ts";
import { type Phone, talk } from "./support/phone.ts";
import { inOrder, Scenario } from "./support/scenario.ts";

const at = new Scenario("edge");
const name = `edge.${at.kube.namespace}.svc.cluster.local`;
const authority = new Authority("End-to-end tests");
let ann: Phone, bob: Phone, cid: Phone, pbx: string;

const headersOf = (message: string): string => message.split(/\r?\n\r?\n/)[0] ?? "";
/** Headers of the messages that a phone received. */
const heardBy = async (phone: Phone): Promise<string[]> =>
  (await phone.trace())
    .split("#\n")
    .filter((text) => (text.split("\n")[0] ?? "").includes(`-> ${phone.address}:`))
    .map((text) => headersOf(text.slice(text.indexOf("\n") + 1)));
/**
 * Headers of the messages that the PBX received, without REGISTER: it has to know where its phones are, and writes that into To
 * and From of what it sends them.
 */
const heardByPbx = async (): Promise<string[]> =>
  (await at.kube.run(["logs", "deploy/edge-pbx"]))
    .split("<--- ")
    .filter((text) => text.startsWith("Received SIP "))
    .map((text) => headersOf(text.slice(text.indexOf("\n") + 1)))
    .filter((headers) => !/^CSeq: \d+ REGISTER/m.test(headers))
    .map((headers) => headers.replaceAll(/^(To|From): .*$/gm, ""));

describe("a router with TLS and topology hiding", () => {
  beforeAll(async () => {
    const { certificate, key } = authority.issue(name);
    await at.apply(
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "edge-tls" },
        type: "kubernetes.io/tls",
        stringData: { "tls.crt": certificate, "tls.key": key },
      },
      ...pbxObjects({ name: "edge-pbx", extensions: ["1001", "1002", "1003"] }),
      at.backend("edge-pbx", { service: { name: "edge-pbx" } }),
      at.router({
        ...inOrder,
        listeners: [
          { name: "udp", transport: "UDP", port: 5060 },
          { name: "tcp", transport: "TCP", port: 5060 },
          { name: "tls", transport: "TLS", port: 5061, tls: { secretName: "edge-tls" } },
        ],
        // phones that check certificates find the name of theirs in Record-Route
        advertise: { address: name },
        topologyHiding: { enabled: true },
        dispatcherSets: [{ name: "pbx", backends: [{ name: "edge-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    [pbx = ""] = await at.podsReady("pbx=edge-pbx", 1);
    await at.ready();
    const router = await at.serviceAddress();
    const phone = (extension: string, tone: number) => ({ extension, secret: secretOf(extension), router, tone });
    [ann, bob, cid] = await at.phones(
      { ...phone("1001", 440), router: `${name}:5061`, transport: "tls", authority: authority.own.certificate },
      phone("1002", 620),
      { ...phone("1003", 850), transport: "tcp" },
    );
    await Promise.all([ann, bob, cid].map((one) => one.isRegistered()));
  });
  beforeEach(() => at.keepOnFailure());

  const call = async (caller: Phone, called: Phone, number: string): Promise<void> => {
    await called.after(() => caller.dial(number));
    expect(await talk(caller, called)).toBe(true);
    await called.command("hold");
    expect(await caller.hearsNot(called)).toBe(true);
    await called.resume();
    expect(await caller.hears(called)).toBe(true);
    await until("sound flows both ways on both legs", () => soundFlows(at.kube, "edge-pbx"));
    await called.command("hangup");
    await caller.event("CALL_CLOSED");
  };
  test("a phone on TLS calls a phone on UDP, and is called", async () => {
    await call(ann, bob, "1002");
    await call(bob, ann, "1001");
    expect((await ann.trace()).includes("TLS ")).toBe(true);
  });
  test("a phone on TCP calls a phone on TLS, and is called", async () => {
    await call(cid, ann, "1001");
    await call(ann, cid, "1003");
    expect((await cid.trace()).includes("TCP ")).toBe(true);
  });
  test("blind transfer", async () => {
    await bob.after(() => ann.dial("1002"));
    expect(await talk(ann, bob)).toBe(true);
    await cid.after(() => ann.command("transfer", "sip:1003@pbx.example"));
    expect(await talk(bob, cid)).toBe(true);
    await cid.command("hangup");
    await bob.event("CALL_CLOSED");
  });
  test("no phone has seen the PBX's address in a header, and the PBX none of theirs", async () => {
    for (const phone of [ann, bob, cid]) {
      const heard = await heardBy(phone);
      expect(heard.length).toBeGreaterThan(10);
      expect(heard.filter((headers) => headers.includes(pbx))).toEqual([]);
    }
    const phones = await heardByPbx();
    expect(phones.length).toBeGreaterThan(20);
    const addresses = [ann, bob, cid].map((phone) => `${phone.address}`);
    expect(phones.filter((headers) => addresses.some((address) => headers.includes(address)))).toEqual([]);
  });
});
