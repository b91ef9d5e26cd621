/**
 * The operator outside the cluster, `run --kubeconfig` from the checkout, as the README has it; calls from this machine and from a
 * pod. In a namespace of its own: the suite's operator serves another one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { PbxBackend, SipRouter } from "../../src/api/index.ts";
import { OperatorProcess } from "../integration/kube/process.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { Caller } from "./support/caller.ts";
import { imageOf, keeps } from "./support/environment.ts";
import { answerTo, assertReaches, peerTowards } from "./support/host.ts";
import { addressOf, Kubectl } from "./support/kubectl.ts";
import { Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const namespace = `${inject("namespace")}-outside`;
const cluster = new Kubectl("default");
// the first that is registered is the last that is done
afterAll(async () => {
  if (!keeps()) await cluster.run(["delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s"]);
});
const at = new Scenario("outside", namespace);
const pbxes = new Caller(at, "pbxes");
const samples = (file: string): object[] =>
  loadAll(readFileSync(join(import.meta.dirname, `../../config/samples/${file}.yaml`), "utf8")) as object[];
const names = [...(samples("backends") as PbxBackend[]).map(({ metadata }) => metadata.name), "freepbx-3"];
const ports = Object.fromEntries(names.map((name, index) => [name, 5061 + index]));
const [sample] = samples("router") as SipRouter[];

let operator: OperatorProcess;
let phone: SipPeer;
const startOperator = (): Promise<OperatorProcess> =>
  new OperatorProcess(
    process.env["KUBECONFIG"] ?? "",
    ...["--namespace", namespace, "--kamailio-image", imageOf("kamailio")],
  ).started();
const throughAll = async (number: string): Promise<string[]> => {
  const pods = (await at.routerPods("edge")).map(addressOf);
  return Promise.all(pods.map((pod) => answerTo(phone, pod, number)));
};

describe("the operator outside the cluster", () => {
  beforeAll(async () => {
    await cluster.run(["create", "namespace", namespace]);
    const address = await pbxes.start(ports);
    const spec = { ...sample?.spec, drain: { timeoutSeconds: 5 } };
    operator = await startOperator();
    await at.apply(...names.map((name) => at.backend(name, { address, port: ports[name] })), { ...sample, spec });
    const [pod = ""] = await until("a router's pod has an address", async () => {
      const found = (await at.routerPods("edge")).map(addressOf).filter((one) => one !== "");
      return found.length > 0 && found;
    });
    await until("its control port is open", () => assertReaches(pod).then(() => true), 60_000);
    await at.ready("edge");
    phone = await peerTowards(pod);
  });
  afterAll(async () => {
    await phone?.close();
    await operator?.end();
  });
  beforeEach(() => at.keepOnFailure());

  test("calls from this machine, and from a pod, go where the samples say", async () => {
    expect(await throughAll("1001")).toEqual(["200 freepbx-1", "200 freepbx-1"]);
    expect(await throughAll("2002")).toEqual(["200 asterisk-1", "200 asterisk-1"]);
    expect(await throughAll("00442071234567")).toEqual(["403 router", "403 router"]);
    const to = await at.serviceAddress("edge");
    expect(await pbxes.calls({ number: "1001", to })).toEqual(["200 freepbx-1"]);
  });

  test("an edited backend counts in each pod, without a restart", async () => {
    const before = await at.identities("edge");
    const port = { op: "replace", path: "/spec/port", value: ports["freepbx-3"] };
    await at.effectOf(() => at.kube.patch("pbxbackend", "freepbx-1", [port]), 60_000, "edge");
    await until("calls go to it", async () => (await throughAll("1001")).every((answer) => answer === "200 freepbx-3"));
    expect(await at.identities("edge")).toEqual(before);
  });

  test("calls go on while the operator is gone; started again, it takes over, and replaces what is missing", async () => {
    const before = await at.identities("edge");
    await operator.end();
    expect(await throughAll("1001")).toEqual(["200 freepbx-3", "200 freepbx-3"]);
    operator = await startOperator();
    await at.ready("edge");
    expect(await at.identities("edge")).toEqual(before);
    const [victim] = await at.routerPods("edge");
    await at.kube.run(["delete", "pod", victim?.metadata.name ?? "", "--wait=true"]);
    await at.podsReady("siprouter.dev/router=edge", 2);
    await at.ready("edge");
    expect(await throughAll("1001")).toEqual(["200 freepbx-3", "200 freepbx-3"]);
  });

  test("a deleted router leaves nothing", async () => {
    await at.kube.run(["delete", "siprouter", "edge"]);
    const left = (): Promise<string> =>
      at.kube.run(["get", "deploy,rs,pods,svc,cm,sa,pdb,secrets", "-l", "siprouter.dev/router=edge", "-o", "name"]);
    await until("everything of it is gone", async () => (await left()) === "", 60_000);
    expect(await left()).toBe("");
  });
});
