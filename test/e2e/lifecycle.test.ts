/** The operator is killed, slowed down, upgraded, rolled back and removed, while calls go on. */
import { beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { until } from "./support/until.ts";
import { Caller } from "./support/caller.ts";
import { chartBefore, imageOf } from "./support/environment.ts";
import { applyRelease, helm, RELEASE } from "./support/helm.ts";
import { isReady } from "./support/kubectl.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("lifecycle");
const pbxes = new Caller(at, "pbxes");
const OPERATOR = "app.kubernetes.io/name=sip-router-operator,app.kubernetes.io/component=operator";

const routeTo = (set: string): Promise<string> =>
  at.kube.patch("siprouter", at.name, [{ op: "replace", path: "/spec/routes/0/set", value: set }]);
const answers = async (number = "1001"): Promise<string> => (await pbxes.calls({ number })).join();
const release = () => applyRelease(at.kube.namespace, { image: imageOf("operator"), crds: inject("ownsCrds") });
/** An older operator: its chart and its image; with its definitions when it is installed as such. */
const olderRelease = (crds = inject("ownsCrds")) => {
  const chart = chartBefore();
  const image = imageOf("operatorBefore");
  return applyRelease(at.kube.namespace, { image, crds, ...(chart === undefined ? {} : { chart }) });
};
/** Routes to the other set, and waits until every pod does; what a call is answered then. */
const change = async (meanwhile = async (): Promise<unknown> => undefined): Promise<string> => {
  // not what a call is answered: a pod that drains says 503
  const { routes } = (await at.kube.get("siprouter", at.name))["spec"] as { routes: { set: string }[] };
  const set = routes[0]?.set === "one" ? "two" : "one";
  await at.effectOf(() => routeTo(set).then(meanwhile), 120_000);
  return `200 ${set}`;
};
/** Waits until this release's operator serves: when a change of its own has arrived, what it renders anew is rolled out. */
const served = async (): Promise<void> => {
  await change();
  await at.ready();
};
const definitions = async (): Promise<string> =>
  JSON.stringify((await at.kube.get("crd", "pbxbackends.siprouter.dev"))["spec"]);
/** Calls without a pause while something is done; those that were not answered. */
const failedDuring = async (act: () => Promise<unknown>): Promise<string[]> => {
  const stop = new AbortController();
  const failed: string[] = [];
  const calling = (async () => {
    while (!stop.signal.aborted)
      failed.push(
        ...(await pbxes.calls({ number: "1001", calls: 20, perSecond: 10 })).filter(
          (answer) => !answer.startsWith("200 "),
        ),
      );
  })();
  await act().finally(() => stop.abort());
  await calling;
  return failed;
};
const conditionOf = async (type: string) =>
  (await at.status()).conditions?.find((condition) => condition.type === type);
interface Role {
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
}

describe("the operator's life", () => {
  beforeAll(async () => {
    const address = await pbxes.start({ one: 5061, two: 5062 });
    await at.apply(
      at.backend("lifecycle-one", { address, port: 5061 }),
      at.backend("lifecycle-two", { address, port: 5062 }),
      at.router({
        replicas: 2,
        dispatcherSets: [
          { name: "one", backends: [{ name: "lifecycle-one" }] },
          { name: "two", backends: [{ name: "lifecycle-two" }] },
        ],
        routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "one" }],
      }),
    );
    await at.ready();
  });
  beforeEach(() => at.keepOnFailure());

  test("killed while it brings a change to the pods, it finishes the change when it is back", async () => {
    const before = await at.identities();
    let changed = "";
    const failed = await failedDuring(async () => {
      changed = await change(() => at.kube.run(["delete", "pods", "-l", OPERATOR, "--grace-period=0", "--force"]));
    });
    expect(failed).toEqual([]);
    expect(await answers()).toBe(changed);
    expect(await at.identities()).toEqual(before);
  });

  test("without a right that it needs it says which, and the routers serve as before; with it, the change arrives", async () => {
    const [role] = (await at.kube.list("roles")).filter(
      ({ metadata }) => metadata.name === RELEASE,
    ) as unknown as Role[];
    const index = role?.rules.findIndex(
      ({ resources, verbs }) => resources.includes("pods") && verbs.includes("patch"),
    );
    const verbs = role?.rules[index ?? 0]?.verbs.filter((verb) => verb !== "patch");
    await at.kube.patch("role", RELEASE, [{ op: "replace", path: `/rules/${index}/verbs`, value: verbs }]);
    const set = (await answers()) === "200 one" ? "two" : "one";
    await routeTo(set);
    const said = await until(
      "it says what it may not do",
      async () => (await conditionOf("Programmed"))?.message.includes("cannot patch") && conditionOf("Programmed"),
      60_000,
    );
    expect(said).toMatchObject({ status: "False", reason: "Progressing" });
    // before the files come unasked, or after
    expect(await answers()).toMatch(/^200 (one|two)$/);
    await release();
    await until("the change has arrived", async () => (await answers()) === `200 ${set}`, 60_000);
    await at.ready();
  });

  test("upgrade from an older version, rollback and upgrade again: every call is answered", async () => {
    const before = await at.identities();
    let changed = "";
    const failed = await failedDuring(async () => {
      await olderRelease();
      await served();
      await release();
      await served();
      const newer = await definitions();
      // back as docs/upgrade.md says: the newer definitions stay
      await olderRelease(false);
      await served();
      expect(await definitions()).toBe(newer);
      await release();
      changed = await change();
      await at.ready();
    });
    // pods that are replaced, as another version renders another configuration, refuse new calls while they drain
    const rolled = (await at.identities()).join() !== before.join();
    expect(failed.filter((answer) => !rolled || answer !== "503 router")).toEqual([]);
    expect(await answers()).toBe(changed);
  });

  test("uninstalled, it leaves the resources and the routers serve; installed again, it takes over without a restart", async () => {
    await at.ready();
    const before = await at.identities();
    let changed = "";
    const failed = await failedDuring(async () => {
      await helm(at.kube.namespace, ["uninstall", RELEASE, "--wait", "--timeout", "120s"]);
      expect(await at.kube.pods(OPERATOR)).toEqual([]);
      expect((await at.kube.list("siprouters")).map(({ metadata }) => metadata.name)).toContain(at.name);
      await release();
      await until("it is ready", async () => (await at.kube.pods(OPERATOR)).every(isReady));
      changed = await change();
    });
    expect(failed).toEqual([]);
    expect(await answers()).toBe(changed);
    expect(await at.identities()).toEqual(before);
  });
});
