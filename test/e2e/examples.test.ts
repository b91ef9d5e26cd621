/**
 * The examples as they are shipped, with addresses of their own: PBXes, trunks, phones and strangers in pods. What each of them
 * promises is seen by who calls.
 */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Authority } from "../support/sip/certificates.ts";
import { Caller } from "./support/caller.ts";
import { applyExample, backendsOf, isTrunk, partsOfExamples, type Replacement, secretOf } from "./support/example.ts";
import { addressOf } from "./support/kubectl.ts";
import { type Phone } from "./support/phone.ts";
import { rtpengine } from "./support/rtpengine.ts";
import { LABEL, Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const at = new Scenario("examples");
const stranger = new Caller(at, "stranger");
const pbxes = new Caller(at, "pbxes");
const trunks = new Caller(at, "trunks");
const parts = Object.entries(partsOfExamples());
const inside = Object.fromEntries(parts.filter(([name]) => !isTrunk(name)));
const outside = Object.fromEntries(parts.filter(([name]) => isTrunk(name)));
let insideAddress: string, outsideAddress: string;

/** Applies an example and waits for its routers; the addresses of the pods of each. */
async function start(
  example: string,
  routers: readonly string[],
  more: readonly Replacement[] = [],
): Promise<string[][]> {
  const addresses = backendsOf(example).flatMap(({ metadata: { name } }) => {
    const backend = { kind: "PbxBackend", name };
    return [
      { ...backend, path: "/spec/address", value: isTrunk(name) ? outsideAddress : insideAddress },
      { ...backend, path: "/spec/port", value: (outside[name] ?? inside[name])?.port },
    ];
  });
  const selector = `siprouter.dev/router in (${routers.join()})`;
  // another example's router of the same name
  await until("no older pod is there", async () => (await at.kube.list("pods", selector)).length === 0, 60_000);
  await applyExample(at, example, [...addresses, ...more]);
  await Promise.all(routers.map((router) => at.ready(router)));
  return Promise.all(routers.map(async (router) => (await at.routerPods(router)).map(addressOf)));
}

/** A number, or one of a domain, called through a pod: by a stranger, or by one of the PBXes. */
async function call(from: Caller, to: string | undefined, number: string): Promise<string> {
  const [user = "", domain] = number.split("@");
  return (await from.calls({ number: user, to: to ?? "", ...(domain === undefined ? {} : { domain }) })).join();
}
/** All at once: what each number was answered. */
const calls = async (from: Caller, to: string | undefined, ...numbers: readonly string[]): Promise<string[]> =>
  Promise.all(numbers.map((number) => call(from, to, number)));

describe("the examples", () => {
  beforeAll(async () => {
    [insideAddress, outsideAddress] = await Promise.all([pbxes.start(inside), trunks.start(outside), stranger.start()]);
  });
  beforeEach(async () => {
    at.keepOnFailure();
    const mine = ["-l", `${LABEL}=${at.name}`];
    await at.kube.run(["delete", "siprouters,pbxbackends", ...mine, "--timeout=60s"]);
    await at.removePhones();
    await Promise.all([pbxes.comeBack(), trunks.comeBack()]);
  });

  test("first-call: a range of extensions", async () => {
    const [[pod] = []] = await start("first-call", ["edge"]);
    expect(await call(stranger, pod, "101")).toBe("200 office");
    expect(await call(stranger, pod, "999")).toBe("404 router");
  });

  test("multi-tenant: the same extensions, each company's own PBXes and line", async () => {
    const [pods = []] = await start("multi-tenant", ["shared"]);
    expect(pods.length).toBe(2);
    for (const pod of pods)
      expect(
        await calls(stranger, pod, ...["1001@a", "1001@b", "1001@c", "00441234@a"].map((to) => `${to}.example.com`)),
      ).toEqual(["200 company-a-1", "200 company-b-1", "404 router", "403 router"]);
    const [pod] = pods;
    expect(await calls(pbxes, pod, "00441234@a.example.com", "+441234@b.example.com")).toEqual([
      "200 company-a-trunk",
      "200 company-b-trunk",
    ]);
    await pbxes.dies("company-a-1");
    expect(await calls(stranger, pod, "1001@a.example.com", "1001@b.example.com")).toEqual([
      "200 company-a-2",
      "200 company-b-1",
    ]);
  });

  test("regions: own PBXes and own line first, those of the other region as backup", async () => {
    const [[eu] = [], [us] = []] = await start("regions", ["edge-eu", "edge-us"]);
    for (const pod of [eu, us]) {
      const [one, two, ...others] = await calls(stranger, pod, "2001", "+442079460000", "3001", "+33140000000");
      expect([one, two].toSorted()).toEqual(["200 london-1", "200 london-2"]);
      expect(others).toEqual(["200 new-york-1", "403 router"]);
    }
    const abroad = (): Promise<string[]> => Promise.all([eu, us].map((pod) => call(pbxes, pod, "+33140000000")));
    expect(await abroad()).toEqual(["200 trunk-eu", "200 trunk-us"]);
    await Promise.all([trunks.dies("trunk-eu"), pbxes.dies("london-1"), pbxes.dies("london-2")]);
    expect(await abroad()).toEqual(["200 trunk-us", "200 trunk-us"]);
    for (const pod of [eu, us]) expect(await call(stranger, pod, "2001")).toBe("200 new-york-1");
  });

  test("trunks: in order, each with its password and with the number as it expects it", async () => {
    const [[pod] = []] = await start("trunks", ["office"]);
    expect(await calls(pbxes, pod, "02079460000", "0049301234", "112", "5551234")).toEqual([
      "200 main-trunk +442079460000",
      "200 main-trunk +49301234",
      "200 main-trunk 112",
      "404 router",
    ]);
    expect(await calls(stranger, pod, "112", "201")).toEqual(["403 router", "200 office-pbx"]);
    await trunks.dies("main-trunk");
    expect(await call(pbxes, pod, "0049301234")).toBe("200 spare-trunk +49301234");
  });

  test("registrar-office: phones reach each other through either pod, and voicemail when the first PBX is down", async () => {
    const [[first, second] = []] = await start("registrar-office", ["office"]);
    const [ann, bob] = await at.phones(
      phone("registrar-office", "101", `${first}`, 440),
      phone("registrar-office", "102", `${second}`, 620),
    );
    await Promise.all([ann.isRegistered(), bob.isRegistered()]);
    const each = [
      [ann, "102"],
      [bob, "101"],
    ] as const;
    for (const [from, number] of each)
      await until(`both pods know ${number}`, async () => (await called(from, number)) === "baresip");
    expect(await call(stranger, first, `101@${office}`)).toBe("none");
    await pbxes.dies("pbx-1");
    expect(await called(bob, "103")).toBe("pbx-2");
    expect(await called(bob, "00441234")).toBe("trunk");
  });

  test("registrar-tenants: 1001 of two companies are two phones, each called in its own domain", async () => {
    const [[first, second] = []] = await start("registrar-tenants", ["hosted"]);
    const of = (tenant: string, router: string | undefined, tone: number) => ({
      ...{ extension: "1001", tenant, router: `${router}`, tone, domain: `${tenant}.example.com`, interval: 200 },
      secret: secretOf("registrar-tenants", `company-${tenant}-phones`)["1001"] ?? "",
    });
    const [ann, bob] = await at.phones(of("a", first, 440), of("b", second, 620));
    await Promise.all([ann.isRegistered(), bob.isRegistered()]);
    expect(await called(ann, "1500")).toBe("company-a-pbx");
    expect(await called(bob, "1500")).toBe("company-b-pbx");
    expect(await called(ann, "1001@b.example.com")).toMatch(/^403/);
    // and the other way, through the pod where the called one registered as well
    expect(await called(bob, "1001@a.example.com")).toMatch(/^403/);
  });

  test("tls-rtpengine: a phone by TLS; the PBXes see the router and its media proxies only", async () => {
    const name = `secure.${at.kube.namespace}.svc.cluster.local`;
    const authority = new Authority("Examples");
    const { certificate, key } = authority.issue(name);
    await at.apply(
      {
        ...{ apiVersion: "v1", kind: "Secret", metadata: { name: "edge-tls" }, type: "kubernetes.io/tls" },
        stringData: { "tls.crt": certificate, "tls.key": key },
      },
      ...proxies.map(rtpengine),
    );
    const proxyAddresses = (await Promise.all(proxies.map((proxy) => at.podsReady(`rtpengine=${proxy}`, 1)))).flat();
    const router = { kind: "SipRouter", name: "secure" };
    await start(
      "tls-rtpengine",
      ["secure"],
      [
        { ...router, path: "/spec/advertise/address", value: name },
        {
          ...router,
          path: "/spec/mediaProxy/rtpengine/addresses",
          value: proxyAddresses.map((one) => `udp:${one}:2223`),
        },
      ],
    );
    const ann = await at.phone({
      ...phone("tls-rtpengine", "1001", `${name}:5061`, 440),
      ...{ transport: "tls", authority: authority.own.certificate },
    });
    await ann.isRegistered();
    for (const pbx of ["pbx-1", "pbx-2"])
      await until(`${pbx} has the phone`, async () => (await pbxes.logOf(pbx)).includes("REGISTER"));
    expect(await called(ann, "1002")).toBe("pbx-1");
    for (const address of await ann.mediaAddresses()) expect(proxyAddresses).toContain(address);
    expect(await call(stranger, await at.serviceAddress("secure"), "1002")).toBe("none");
  });
});

const office = "office.example.com";
const proxies = ["examples-rtpengine-1", "examples-rtpengine-2"];
const domains = { "registrar-office": office, "tls-rtpengine": "example.com" };
const users = { "registrar-office": "phones", "tls-rtpengine": "subscribers" };

/** A phone with the password that the example has for it. */
const phone = (example: keyof typeof domains, extension: string, router: string, tone: number) => ({
  ...{ extension, router, tone, domain: domains[example], interval: 200 },
  secret: secretOf(example, users[example])[extension] ?? "",
});
/** A phone calls and hangs up; the name of the PBX or trunk that answered, "baresip" of a phone. */
async function called(from: Phone, number: string): Promise<string> {
  const before = (await from.trace()).length;
  await from.dial(number);
  const { type, param } = await Promise.race([from.event("CALL_ESTABLISHED"), from.event("CALL_CLOSED")]);
  if (type !== "CALL_ESTABLISHED") return `${param}`;
  await from.command("hangup");
  return /^Server: (\S+)/m.exec((await from.trace()).slice(before))?.[1] ?? "";
}
