/** Phones of two makes, baresip and Linphone, with one PBX. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { contactsOf, pbxObjects, secretOf } from "./support/asterisk.ts";
import { Linphone, linphoneObjects } from "./support/linphone.ts";
import { type Phone, talk } from "./support/phone.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("linphone");
let ann: Phone, lin: Linphone;

describe("phones of two makes", () => {
  beforeAll(async () => {
    await at.apply(
      ...linphoneObjects("linphone-1002", 620),
      ...pbxObjects({ name: "linphone-pbx", extensions: ["1001", "1002"] }),
      at.backend("linphone-pbx", { service: { name: "linphone-pbx" } }),
      at.router({
        dispatcherSets: [{ name: "pbx", backends: [{ name: "linphone-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await at.podsReady("pbx=linphone-pbx", 1);
    await at.ready();
    const router = await at.serviceAddress();
    ann = await at.phone({ extension: "1001", secret: secretOf("1001"), router, tone: 440 });
    lin = await Linphone.of(at.kube, "linphone-1002", 620);
    lin.type(`register sip:1002@pbx.example sip:${router} ${secretOf("1002")}`);
    await Promise.all([ann.isRegistered(), lin.says("successful")]);
  });
  beforeEach(() => at.keepOnFailure());
  afterAll(() => lin.close());

  test("both register by Path through the router", async () => {
    expect((await contactsOf(at.kube, "linphone-pbx")).toSorted()).toEqual(["1001", "1002"]);
  });

  test("each calls the other and is heard, and either ends it", async () => {
    lin.type("call sip:1001@pbx.example");
    await lin.says("connected");
    expect(await talk(lin, ann)).toBe(true);
    lin.type("terminate");
    await ann.event("CALL_CLOSED");
    await ann.dial("1002");
    await lin.says(/ncoming|ringing|contacting/i);
    lin.type("answer");
    await ann.event("CALL_ESTABLISHED");
    expect(await talk(ann, lin)).toBe(true);
    await ann.command("hangup");
    expect(await lin.says(/ended|terminated/i)).not.toBe("");
  });
});
