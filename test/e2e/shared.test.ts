/** Two replicas behind one advertised address: phones on TCP are connected to either, and the PBX reaches them through any. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { consoleOf, pbxObjects, secretOf, soundFlows } from "./support/asterisk.ts";
import { addressOf } from "./support/kubectl.ts";
import { type Phone, talk } from "./support/phone.ts";
import { inOrder, Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const at = new Scenario("shared");
const name = `shared.${at.kube.namespace}.svc.cluster.local`;
const extensions = ["1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009"];
interface Connected {
  readonly extension: string;
  readonly phone: Phone;
  /** what Path calls the replica that the phone is connected to */
  readonly replica: string;
}
let ann: Connected, bob: Connected, cid: Connected;

const replicaOf = async (extension: string): Promise<string> => {
  const log = await at.kube.run(["logs", "deploy/shared-pbx"]);
  const registers = log.split("<--- ").filter((text) => /^CSeq: \d+ REGISTER/m.test(text));
  const own = registers.findLast((text) => text.includes(`\nFrom: <sip:${extension}@`) && text.includes("\nPath: "));
  return /^Path: .*;o=([0-9a-f]+)/m.exec(own ?? "")?.[1] ?? "";
};

async function connect(extension: string): Promise<Connected> {
  const tone = 300 + 70 * extensions.indexOf(extension);
  const phone = await at.phone({ extension, secret: secretOf(extension), router: name, transport: "tcp", tone });
  await phone.isRegistered();
  const replica = await until(`${extension} has a Path`, async () => replicaOf(extension));
  return { extension, phone, replica };
}

/** Connections are spread at random: as many phones as it takes until there is one at each replica, and three of them. */
async function connectAll(): Promise<Connected[]> {
  const all: Connected[] = [];
  for (const extension of extensions) {
    if (all.length >= 3 && new Set(all.map(({ replica }) => replica)).size > 1) break;
    all.push(await connect(extension));
  }
  return all;
}

describe("phones on TCP at two replicas of one address", () => {
  beforeAll(async () => {
    await at.apply(
      ...pbxObjects({ name: "shared-pbx", extensions }),
      at.backend("shared-pbx", { service: { name: "shared-pbx" } }),
      at.router({
        ...inOrder,
        replicas: 2,
        listeners: [
          { name: "udp", transport: "UDP", port: 5060 },
          { name: "tcp", transport: "TCP", port: 5060 },
        ],
        advertise: { address: name },
        topologyHiding: { enabled: true },
        dispatcherSets: [{ name: "pbx", backends: [{ name: "shared-pbx" }] }],
        routes: [{ name: "phones", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await at.podsReady("pbx=shared-pbx", 1);
    await at.ready();
    const all = await connectAll();
    const [one] = all;
    const other = all.find(({ replica }) => replica !== one?.replica);
    const third = all.find((each) => each !== one && each !== other);
    if (one === undefined || other === undefined || third === undefined) throw new Error("all are at one replica");
    [ann, bob, cid] = [one, other, third];
  });
  beforeEach(() => at.keepOnFailure());

  const call = async (caller: Connected, called: Connected): Promise<void> => {
    await called.phone.after(() => caller.phone.dial(called.extension));
    expect(await talk(caller.phone, called.phone)).toBe(true);
  };

  test("the PBX's OPTIONS reach all of them", async () => {
    await until(
      "all are available",
      async () => {
        const contacts = await consoleOf(at.kube, "shared-pbx", "pjsip show contacts");
        const available = [...contacts.matchAll(/Contact:\s+(\d+)\/sip.* Avail /g)].map(([, extension]) => extension);
        return [ann, bob, cid].every(({ extension }) => available.includes(extension));
      },
      60_000,
    );
  });

  test("each calls the other: they hear each other, hold, and either side hangs up", async () => {
    for (const [caller, called] of [
      [ann, bob],
      [bob, ann],
      [cid, bob],
      [cid, ann],
    ] as const)
      for (const ends of [caller, called]) {
        await call(caller, called);
        await called.phone.command("hold");
        expect(await caller.phone.hearsNot(called.phone)).toBe(true);
        await called.phone.resume();
        expect(await caller.phone.hears(called.phone)).toBe(true);
        await until("sound flows both ways on both legs", () => soundFlows(at.kube, "shared-pbx"));
        await ends.phone.command("hangup");
        await (ends === caller ? called : caller).phone.event("CALL_CLOSED");
      }
  });

  test("blind transfer", async () => {
    await call(ann, bob);
    await cid.phone.after(() => ann.phone.command("transfer", `sip:${cid.extension}@pbx.example`));
    expect(await talk(bob.phone, cid.phone)).toBe(true);
    await cid.phone.command("hangup");
    await bob.phone.event("CALL_CLOSED");
  });

  test("no message names a pod of the router", async () => {
    const pods = (await at.routerPods()).map(addressOf);
    for (const { phone } of [ann, bob, cid]) {
      const trace = await phone.trace();
      expect(pods.filter((pod) => trace.includes(`${pod}:`) || trace.includes(`${pod};`))).toEqual([]);
    }
  });
});
