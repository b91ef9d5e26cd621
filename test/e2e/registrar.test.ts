/** The router as registrar: phones of two makes call each other, through either replica, also one that was started later. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/until.ts";
import { consoleOf, pbxObjects, secretOf } from "./support/asterisk.ts";
import { addressOf } from "./support/kubectl.ts";
import { type Phone, talk } from "./support/phone.ts";
import { inOrder, Scenario } from "./support/scenario.ts";

const at = new Scenario("registrar");
const users = ["1001", "1002", "1003", "1004"];
let ann: Phone, bob: Phone, cid: Phone;

describe("a registrar with two replicas", () => {
  beforeAll(async () => {
    await at.apply(
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "registrar-users" },
        stringData: Object.fromEntries(users.map((user) => [user, secretOf(user)])),
      },
      ...pbxObjects({
        name: "registrar-pbx",
        extensions: ["1001"],
        authenticates: false,
        fixedContact: `registrar.${at.kube.namespace}.svc.cluster.local`,
      }),
      at.backend("registrar-pbx", { service: { name: "registrar-pbx" } }),
      at.router({
        ...inOrder,
        replicas: 2,
        authentication: { mode: "Digest", realm: "pbx.example", credentialsSecretName: "registrar-users" },
        registration: { mode: "Registrar", maxExpiresSeconds: 300 },
        dispatcherSets: [{ name: "pbx", backends: [{ name: "registrar-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await at.podsReady("pbx=registrar-pbx", 1);
    await at.ready();
    const [first = "", second = ""] = (await at.routerPods()).map(addressOf);
    const phone = (extension: string, tone: number, router: string) => ({
      extension,
      secret: secretOf(extension),
      router,
      tone,
      interval: 200,
    });
    [ann, bob, cid] = await at.phones(phone("1001", 440, first), phone("1002", 620, second), phone("1003", 850, first));
    await Promise.all([ann, bob, cid].map((one) => one.isRegistered()));
  });
  beforeEach(() => at.keepOnFailure());

  test("a phone at one replica calls a phone at the other", async () => {
    const began = Date.now();
    await until(
      "bob is known to the other replica",
      async () => {
        await bob.after(() => ann.dial("1002"));
        const { type } = await Promise.race([ann.event("CALL_ESTABLISHED"), ann.event("CALL_CLOSED")]);
        return type === "CALL_ESTABLISHED";
      },
      90_000,
    );
    console.log("known after", Date.now() - began);
    expect(await talk(ann, bob)).toBe(true);
    await bob.command("hangup");
    await ann.event("CALL_CLOSED");
    await ann.after(() => bob.dial("1001"));
    expect(await talk(ann, bob)).toBe(true);
    await bob.command("hangup");
    await ann.event("CALL_CLOSED");
  });

  test("phones transfer without a PBX", async () => {
    await bob.after(() => ann.dial("1002"));
    expect(await talk(ann, bob)).toBe(true);
    await cid.after(() => ann.command("transfer", "sip:1003@pbx.example"));
    expect(await talk(bob, cid)).toBe(true);
    await bob.command("hangup");
    await cid.event("CALL_CLOSED");
  });

  test("the PBX reaches a phone at the fixed address, whichever replica it asks", async () => {
    for (const time of [1, 2, 3]) {
      await ann.after(() => consoleOf(at.kube, "registrar-pbx", "channel originate PJSIP/1001 application Wait 5"));
      expect((await ann.event("CALL_ESTABLISHED")).type, `call ${time}`).toBe("CALL_ESTABLISHED");
      await ann.command("hangup");
    }
  });

  test("a replica that was started later knows the phones", async () => {
    const before = await at.routerPods();
    await at.kube.run(["delete", "pod", before[1]?.metadata.name ?? "", "--wait=true"]);
    await at.podsReady("siprouter.dev/router=registrar", 2);
    await at.ready();
    const old = before.map(addressOf);
    const router = (await at.routerPods()).map(addressOf).find((address) => !old.includes(address)) ?? "";
    const dan = await at.phone({ extension: "1004", secret: secretOf("1004"), router, tone: 1000 });
    await dan.isRegistered();
    await ann.after(() => dan.dial("1001"));
    expect(await talk(dan, ann)).toBe(true);
    await dan.command("hangup");
    await ann.event("CALL_CLOSED");
  });
});
