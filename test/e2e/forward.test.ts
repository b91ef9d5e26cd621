/** Phones that register through the router with the PBX that owns their extension: the mode Forward. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { consoleOf, contactsOf, mediaOf, pbxObjects, secretOf, soundFlows } from "./support/asterisk.ts";
import { type Phone, talk } from "./support/phone.ts";
import { inOrder, Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const at = new Scenario("forward");
let ann: Phone, bob: Phone, cid: Phone;

/** A call from ann to bob in which both hear each other. */
const annCallsBob = async (): Promise<void> => {
  await bob.after(() => ann.dial("1002"));
  await Promise.all([ann.event("CALL_ESTABLISHED"), bob.event("CALL_ESTABLISHED")]);
  expect(await talk(ann, bob)).toBe(true);
};
const noCallIsLeft = (): Promise<true> =>
  until("the PBX has no call left", async () => (await mediaOf(at.kube, "forward-pbx")).length === 0);

describe("phones of a PBX", () => {
  beforeAll(async () => {
    await at.apply(
      ...pbxObjects({ name: "forward-pbx", extensions: ["1001", "1002", "1003"] }),
      at.backend("forward-pbx", { service: { name: "forward-pbx" } }),
      at.router({
        ...inOrder,
        dispatcherSets: [{ name: "pbx", backends: [{ name: "forward-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await at.podsReady("pbx=forward-pbx", 1);
    await at.ready();
    const router = await at.serviceAddress();
    const phone = (extension: string, tone: number) => ({ extension, secret: secretOf(extension), router, tone });
    [ann, bob, cid] = await at.phones(phone("1001", 440), phone("1002", 620), {
      ...phone("1003", 850),
      answer: "manual",
    });
  });
  beforeEach(() => at.keepOnFailure());
  // a test that failed leaves no call to the next one
  afterEach(() => consoleOf(at.kube, "forward-pbx", "channel request hangup all"));

  test("they register at the PBX, by Path through the router", async () => {
    await Promise.all([ann, bob, cid].map((phone) => phone.isRegistered()));
    expect((await contactsOf(at.kube, "forward-pbx")).toSorted()).toEqual(["1001", "1002", "1003"]);
  });

  test("a wrong password registers nobody", async () => {
    const eve = await at.phone({ extension: "1009", secret: "wrong", router: await at.serviceAddress(), tone: 300 });
    await until("it is refused", async () => /^SIP\/2\.0 40[13]/m.test(await eve.trace()));
    expect(await contactsOf(at.kube, "forward-pbx")).not.toContain("1009");
  });

  test("both sides of a call hear each other, and either side ends it", async () => {
    await annCallsBob();
    const legs = await mediaOf(at.kube, "forward-pbx");
    expect(legs.map(({ received, sent }) => received > 0 && sent > 0)).toEqual([true, true]);
    await ann.command("hangup");
    await bob.event("CALL_CLOSED");
    await noCallIsLeft();
    await ann.after(() => bob.dial("1001"));
    await Promise.all([ann.event("CALL_ESTABLISHED"), bob.event("CALL_ESTABLISHED")]);
    expect(await talk(ann, bob)).toBe(true);
    await ann.command("hangup");
    await bob.event("CALL_CLOSED");
    await noCallIsLeft();
  });

  test.each(["the caller", "the called phone"])("hold by %s stops the sound, resume brings it back", async (who) => {
    await annCallsBob();
    const [holder, held] = who === "the caller" ? [ann, bob] : [bob, ann];
    await holder.command("hold");
    expect(await held.hearsNot(holder)).toBe(true);
    await holder.resume();
    expect(await held.hears(holder)).toBe(true);
    await until("sound flows both ways on both legs", () => soundFlows(at.kube, "forward-pbx"));
    await held.command("hangup");
    await holder.event("CALL_CLOSED");
    await noCallIsLeft();
  });

  test("a phone that refuses a call is busy to the caller", async () => {
    await cid.after(() => ann.dial("1003"));
    await cid.event("CALL_INCOMING");
    await cid.command("hangup");
    expect((await ann.event("CALL_CLOSED")).param).toBe("486 Busy Here");
    await bob.dial("1911");
    expect((await bob.event("CALL_CLOSED")).param).toMatch(/^503/);
  });

  test("a caller who gives up stops the ringing", async () => {
    await cid.after(() => ann.dial("1003"));
    await cid.event("CALL_INCOMING");
    await ann.command("hangup");
    expect((await cid.event("CALL_CLOSED")).type).toBe("CALL_CLOSED");
    await noCallIsLeft();
  });

  test("blind transfer", async () => {
    await annCallsBob();
    await cid.after(() => ann.command("transfer", "sip:1003@pbx.example"));
    await cid.event("CALL_INCOMING");
    await cid.command("accept");
    await ann.event("CALL_CLOSED");
    expect(await talk(bob, cid)).toBe(true);
    await cid.command("hangup");
    await bob.event("CALL_CLOSED");
    await noCallIsLeft();
  });

  test("attended transfer", async () => {
    await annCallsBob();
    const first = await ann.callId();
    await ann.command("hold");
    await cid.after(() => ann.dial("1003"));
    await cid.event("CALL_INCOMING");
    await cid.command("accept");
    expect(await talk(ann, cid)).toBe(true);
    await ann.transferTo("1002", first);
    expect(await talk(bob, cid)).toBe(true);
    await bob.command("hangup");
    await cid.event("CALL_CLOSED");
    await noCallIsLeft();
  });
});
