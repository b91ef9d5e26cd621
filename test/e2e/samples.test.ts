/** The samples as they are shipped, with PBXes in pods: every route, changes under way, pods that end, and nothing left behind. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PbxBackend, RawObject, SipRouter } from "../../src/api/index.ts";
import { until } from "./support/until.ts";
import { Caller } from "./support/caller.ts";
import { addressOf } from "./support/kubectl.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("samples");
const stranger = new Caller(at, "stranger");
const pbxes = new Caller(at, "pbxes");
// at an address of their own: what comes from a trunk goes to no trunk
const trunks = new Caller(at, "trunks");
const isTrunk = (name: string): boolean => name.startsWith("trunk-");
const samples = (file: string): RawObject[] =>
  loadAll(readFileSync(join(import.meta.dirname, `../../config/samples/${file}.yaml`), "utf8")) as RawObject[];
const names = [...(samples("backends") as PbxBackend[]).map(({ metadata }) => metadata.name), "freepbx-3"];
const ports = Object.fromEntries(names.map((name, index) => [name, 5061 + index]));
const [sample] = samples("router") as SipRouter[];

/** A number called through each pod of the router, by somebody who is no backend. */
const throughAll = async (number: string): Promise<string[]> => {
  const pods = (await at.routerPods("edge")).map(addressOf);
  return (await Promise.all(pods.map((to) => stranger.calls({ number, to })))).flat();
};
const bothSay = (answer: string): string[] => [answer, answer];

describe("the samples", () => {
  beforeAll(async () => {
    const [inside, outside] = await Promise.all([pbxes.start(ports), trunks.start(ports), stranger.start()]);
    const spec = { ...sample?.spec, drain: { timeoutSeconds: 5 } };
    const addressed = names.map((name) =>
      at.backend(name, { address: isTrunk(name) ? outside : inside, port: ports[name] }),
    );
    await at.apply(...addressed, { ...sample, spec });
    await at.ready("edge");
  });
  beforeEach(() => at.keepOnFailure());

  test("every number reaches its PBX through each pod, and a stranger reaches no trunk", async () => {
    expect(await throughAll("1001")).toEqual(bothSay("200 freepbx-1"));
    expect(await throughAll("2002")).toEqual(bothSay("200 asterisk-1"));
    expect(await throughAll("3003")).toEqual(bothSay("200 special"));
    expect(await throughAll("00442071234567")).toEqual(bothSay("403 router"));
    const to = await at.serviceAddress("edge");
    const answered = await pbxes.calls({ number: "00442071234567", calls: 6, to });
    expect(new Set(answered)).toEqual(new Set(["200 trunk-1", "200 trunk-2"]));
  });

  test("an exchanged PBX and a changed route count without a restart", async () => {
    const before = await at.identities("edge");
    const exchange = { op: "replace", path: "/spec/dispatcherSets/0/backends/0", value: { name: "freepbx-3" } };
    await at.effectOf(() => at.kube.patch("siprouter", "edge", [exchange]), 60_000, "edge");
    expect(await throughAll("1001")).toEqual(bothSay("200 freepbx-3"));
    const route = { op: "add", path: "/spec/routes/2/match/extensions/-", value: "1500" };
    await at.effectOf(() => at.kube.patch("siprouter", "edge", [route]), 60_000, "edge");
    expect(await throughAll("1500")).toEqual(bothSay("200 special"));
    expect(await at.identities("edge")).toEqual(before);
  });

  test("a pod that is deleted and a Kamailio that ends come back with what is wanted", async () => {
    const [victim] = await at.routerPods("edge");
    await at.kube.run(["delete", "pod", victim?.metadata.name ?? "", "--wait=true"]);
    await at.podsReady("siprouter.dev/router=edge", 2);
    await at.ready("edge");
    expect(await throughAll("1500")).toEqual(bothSay("200 special"));
    const [crashed] = await at.routerPods("edge");
    await at.kube.exec(crashed?.metadata.name ?? "", ["sh", "-c", "kill 1"]);
    await until(
      "it was restarted",
      async () => (await at.identities("edge")).some((one) => one.endsWith(" 1")),
      60_000,
    );
    await at.podsReady("siprouter.dev/router=edge", 2);
    await at.ready("edge");
    expect(await throughAll("1500")).toEqual(bothSay("200 special"));
  });

  test("a deleted router leaves nothing", async () => {
    await at.kube.run(["delete", "siprouter", "edge"]);
    const left = (): Promise<string> =>
      at.kube.run(["get", "deploy,rs,pods,svc,cm,sa,pdb,secrets", "-l", "siprouter.dev/router=edge", "-o", "name"]);
    await until("everything of it is gone", async () => (await left()) === "", 60_000);
    expect(await left()).toBe("");
  });
});
