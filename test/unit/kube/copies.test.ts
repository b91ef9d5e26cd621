import { expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { copyOf, keepSpec } from "../../../src/kube/copies.ts";

const config = (name: string, data: object, more: object = {}): RawObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: "default", name },
  immutable: true,
  data,
  ...more,
});
/** as it comes from the API server: nothing in it is shared */
const read = (object: RawObject): RawObject => copyOf(structuredClone(object));

test("immutable ConfigMaps that say the same hold it once; what may change is each one's own", () => {
  const text = { "kamailio.cfg": "#!KAMAILIO\n" };
  const [one, two] = [read(config("a", text)), read(config("b", text))];
  expect(two).toEqual(config("b", text));
  expect(two["data"]).toBe(one["data"]);
  expect(read(config("c", { "kamailio.cfg": "#!KAMAILIO\ndebug=3\n" }))["data"]).not.toEqual(text);
  const own = { immutable: undefined };
  expect(read(config("d", text, own))["data"]).not.toBe(read(config("e", text, own))["data"]);
});

test("what nobody reads is not kept: who wrote which field, and kubectl's copy of the object", () => {
  const annotations = { mine: "1", "kubectl.kubernetes.io/last-applied-configuration": "{}" };
  const object = config("a", {});
  const copy = copyOf({ ...object, metadata: { ...object.metadata, annotations, managedFields: [{}] } as never });
  expect(copy.metadata).toEqual({ namespace: "default", name: "a", annotations: { mine: "1" } });
  expect(annotations).toHaveProperty(["kubectl.kubernetes.io/last-applied-configuration"]);
});

test("an object whose status was written keeps its spec, one whose spec was edited has its own", () => {
  const router = (replicas: number, status: object): RawObject => ({
    ...config("edge", {}),
    spec: { replicas, routes: [{ name: "all" }] },
    status,
  });
  const before = read(router(2, {}));
  const told = keepSpec(read(router(2, { revision: "one" })), before);
  expect(told).toEqual({ ...read(router(2, { revision: "one" })) });
  expect(told.spec).toBe(before.spec);
  expect(keepSpec(read(router(3, {})), before).spec).toEqual({ replicas: 3, routes: [{ name: "all" }] });
  expect(keepSpec(read(router(2, {})), undefined).spec).not.toBe(before.spec);
});
