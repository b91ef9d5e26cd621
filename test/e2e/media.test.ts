/** Calls whose media passes through RTPEngine: nobody sends media to anybody else. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/until.ts";
import { pbxObjects, secretOf, soundFlows } from "./support/asterisk.ts";
import { type Phone, talk } from "./support/phone.ts";
import { rtpengine } from "./support/rtpengine.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("media");
let ann: Phone, bob: Phone, proxy: string;

describe("a router with a media proxy", () => {
  beforeAll(async () => {
    await at.apply(rtpengine("media-rtpengine"), ...pbxObjects({ name: "media-pbx", extensions: ["1001", "1002"] }));
    [proxy = ""] = await at.podsReady("rtpengine=media-rtpengine", 1);
    await at.apply(
      at.backend("media-pbx", { service: { name: "media-pbx" } }),
      at.router({
        dispatcherSets: [{ name: "pbx", backends: [{ name: "media-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
        mediaProxy: { rtpengine: { addresses: [`udp:${proxy}:2223`] } },
      }),
    );
    await at.podsReady("pbx=media-pbx", 1);
    await at.ready();
    const router = await at.serviceAddress();
    const phone = (extension: string, tone: number) => ({ extension, secret: secretOf(extension), router, tone });
    [ann, bob] = await at.phones(phone("1001", 440), phone("1002", 620));
    await Promise.all([ann.isRegistered(), bob.isRegistered()]);
  });
  beforeEach(() => at.keepOnFailure());

  test("phones hear each other through it, also after hold", async () => {
    await bob.after(() => ann.dial("1002"));
    expect(await talk(ann, bob)).toBe(true);
    await ann.command("hold");
    expect(await bob.hearsNot(ann)).toBe(true);
    await ann.resume();
    expect(await bob.hears(ann)).toBe(true);
    await until("sound flows both ways on both legs", () => soundFlows(at.kube, "media-pbx"));
    for (const phone of [ann, bob]) expect([...(await phone.mediaAddresses())]).toEqual([proxy]);
    await ann.command("hangup");
    await bob.event("CALL_CLOSED");
  });

  test("without it calls are refused, and the router says so", async () => {
    await at.kube.run(["delete", "pod", "media-rtpengine", "--now"]);
    await ann.dial("1901");
    expect((await ann.event("CALL_CLOSED")).param).toMatch(/^503/);
    const reason = await until(
      "Available is false",
      async () =>
        (await at.status()).conditions?.find(({ type, status }) => type === "Available" && status === "False")?.reason,
      60_000,
    );
    expect(reason).toBe("MediaProxyDown");
  });
});
