/** The PBX of a phone dies: the phone registers at its backup, and calls and is called there. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/until.ts";
import { contactsOf, pbxObjects, secretOf } from "./support/asterisk.ts";
import { type Phone, talk } from "./support/phone.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("failover");
const pbxes = ["failover-a", "failover-b"] as const;
let ann: Phone, bob: Phone;

describe("a PBX with a backup", () => {
  beforeAll(async () => {
    await at.apply(
      ...pbxes.flatMap((name) => pbxObjects({ name, extensions: ["1001", "1002"] })),
      ...pbxes.map((name) => at.backend(name, { address: `${name}.${at.kube.namespace}.svc.cluster.local` })),
      at.router({
        dispatcherSets: [{ name: "pbx", backends: [{ name: "failover-a" }, { name: "failover-b", priority: 1 }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
        failover: { timeoutSeconds: 1 },
      }),
    );
    await Promise.all(pbxes.map((name) => at.podsReady(`pbx=${name}`, 1)));
    await at.ready();
    const router = await at.serviceAddress();
    const phone = (extension: string, tone: number) => ({ extension, secret: secretOf(extension), router, tone });
    [ann, bob] = await at.phones({ ...phone("1001", 440), interval: 10 }, { ...phone("1002", 620), interval: 10 });
    await Promise.all([ann.isRegistered(), bob.isRegistered()]);
  });
  beforeEach(() => at.keepOnFailure());

  test("phones register at the first, and talk through it", async () => {
    expect(await contactsOf(at.kube, "failover-a")).toHaveLength(2);
    expect(await contactsOf(at.kube, "failover-b")).toEqual([]);
    await bob.after(() => ann.dial("1002"));
    expect(await talk(ann, bob)).toBe(true);
    await ann.command("hangup");
    await bob.event("CALL_CLOSED");
  });

  test("when it is gone they are at the backup with their next REGISTER, and talk through that", async () => {
    await at.kube.run(["scale", "deployment", "failover-a", "--replicas=0"]);
    await until(
      "both are known to the backup",
      async () => (await contactsOf(at.kube, "failover-b")).length === 2,
      60_000,
    );
    await bob.after(() => ann.dial("1002"));
    expect(await talk(ann, bob)).toBe(true);
    expect((await at.status()).sets?.[0]).toMatchObject({ active: 1, destinations: 2 });
    await bob.command("hangup");
    await ann.event("CALL_CLOSED");
  });

  test("when it is back they return to it, under its new address", async () => {
    await at.kube.run(["scale", "deployment", "failover-a", "--replicas=1"]);
    await at.podsReady("pbx=failover-a", 1);
    await until("both are back", async () => (await contactsOf(at.kube, "failover-a")).length === 2, 90_000);
    await ann.after(() => bob.dial("1001"));
    expect(await talk(ann, bob)).toBe(true);
    await bob.command("hangup");
    await ann.event("CALL_CLOSED");
  });
});
