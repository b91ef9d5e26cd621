import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { createMapper, isStatusOnly } from "../../../src/controller/mapping.ts";
import type { Change } from "../../../src/cluster/index.ts";
import { backend, router, setOf } from "../../support/controllerBench.ts";

const changed = (object: RawObject, previous?: RawObject): Change => ({
  kind: object.kind,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
  object,
  ...(previous === undefined ? {} : { previous }),
});
const removed = (previous: RawObject): Change => ({
  kind: previous.kind,
  namespace: previous.metadata.namespace,
  name: previous.metadata.name,
  previous,
});
const labelled = (name: string, labels: Record<string, string>): RawObject => ({
  ...backend(name),
  metadata: { namespace: "default", name, labels },
});
const selecting = (name: string, role: string): RawObject =>
  router(
    {
      dispatcherSets: [
        { name: "s", selector: { matchExpressions: [{ key: "role", operator: "In", values: [role] }] } },
      ],
    },
    name,
  );
const plain = (kind: string, name: string, labels: Record<string, string> = {}): RawObject => ({
  apiVersion: "v1",
  kind,
  metadata: { namespace: "default", name, labels },
});
const list = (keys: ReadonlySet<string>): string[] => [...keys].toSorted();

const filled = () => {
  const mapper = createMapper();
  for (const object of [
    router(setOf("pbx-1"), "a"),
    router(setOf("pbx-2"), "b"),
    selecting("trunks", "trunk"),
    backend("pbx-1"),
    backend("pbx-2", { address: undefined, service: { name: "asterisk" }, credentialsSecretName: "login" }),
    router({ ...setOf("pbx-9"), authentication: { mode: "Digest", realm: "x", credentialsSecretName: "users" } }, "c"),
  ])
    mapper.concerned(changed(object));
  return mapper;
};

describe("whom a change concerns", () => {
  test("a backend: the routers that name it, also when it is not there yet or no longer", () => {
    const mapper = filled();
    expect(list(mapper.concerned(changed(backend("pbx-1"))).routers)).toEqual(["default/a"]);
    expect(list(mapper.concerned(changed(backend("pbx-9"))).routers)).toEqual(["default/c"]);
    expect(list(mapper.concerned(removed(backend("pbx-9"))).routers)).toEqual(["default/c"]);
  });

  test("a label of a backend: the routers whose selector matched before or matches after", () => {
    const mapper = filled();
    const trunk = labelled("pbx-1", { role: "trunk" });
    expect(list(mapper.concerned(changed(trunk, backend("pbx-1"))).routers)).toEqual(["default/a", "default/trunks"]);
    expect(list(mapper.concerned(changed(backend("pbx-1"), trunk)).routers)).toEqual(["default/a", "default/trunks"]);
    expect(list(mapper.concerned(changed(backend("pbx-1"))).routers)).toEqual(["default/a"]);
  });

  test("a router: itself, and the backends that it names now or named before", () => {
    const mapper = filled();
    const { routers, backends } = mapper.concerned(changed(router(setOf("pbx-2"), "a")));
    expect([list(routers), list(backends)]).toEqual([["default/a"], ["default/pbx-1", "default/pbx-2"]]);
  });

  test("an EndpointSlice: through the Service's name, not its own, to the backends and their routers", () => {
    const mapper = filled();
    const slice = plain("EndpointSlice", "asterisk-x7", { "kubernetes.io/service-name": "asterisk" });
    const { routers, backends } = mapper.concerned(changed(slice));
    expect([list(routers), list(backends)]).toEqual([["default/b"], ["default/pbx-2"]]);
    expect(list(mapper.concerned(removed(slice)).routers)).toEqual(["default/b"]);
    expect(list(mapper.concerned(changed(plain("Service", "asterisk"))).routers)).toEqual(["default/b"]);
  });

  test("a Secret: whoever names it, directly or by a backend", () => {
    const mapper = filled();
    expect(list(mapper.concerned(changed(plain("Secret", "users"))).routers)).toEqual(["default/c"]);
    expect(list(mapper.concerned(changed(plain("Secret", "login"))).routers)).toEqual(["default/b"]);
    expect(list(mapper.concerned(changed(plain("Secret", "other"))).routers)).toEqual([]);
  });

  test("a pod of a router: what runs, not the configuration; an owned object: the configuration", () => {
    const mapper = filled();
    const pod = mapper.concerned(changed(plain("Pod", "a-1", { "siprouter.dev/router": "a" })));
    expect([list(pod.routers), list(pod.observed)]).toEqual([[], ["default/a"]]);
    const config = mapper.concerned(removed(plain("ConfigMap", "a-dispatcher", { "siprouter.dev/router": "a" })));
    expect(list(config.routers)).toEqual(["default/a"]);
  });

  test("a router that is gone concerns nobody any more", () => {
    const mapper = filled();
    mapper.concerned(removed(router(setOf("pbx-1"), "a")));
    expect(list(mapper.concerned(changed(backend("pbx-1"))).routers)).toEqual([]);
  });

  test("a change of status alone is told from one of the spec, a label, or a deletion that began", () => {
    const before = backend("pbx-1");
    expect(isStatusOnly(changed({ ...before, status: { x: 1 } }, before))).toBe(true);
    expect(isStatusOnly(changed(backend("pbx-1", { port: 5070 }), before))).toBe(false);
    expect(isStatusOnly(changed(labelled("pbx-1", { role: "x" }), before))).toBe(false);
    const deleting = { ...before, metadata: { ...before.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    expect(isStatusOnly(changed(deleting, before))).toBe(false);
  });
});
