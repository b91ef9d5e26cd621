import fc from "fast-check";
import { expect, test } from "vitest";
import { keyOf, type RawObject } from "../../../src/api/index.ts";
import { Caches } from "../../../src/kube/caches.ts";
import type { OperatorShell } from "../../../src/kube/operator.ts";
import { labels } from "../../../src/render/layout.ts";

const pod = (name: string, router: string, version: number): RawObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "default", name, resourceVersion: String(version), labels: { [labels.router]: router } },
});

const edit = fc.record({
  name: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz"),
  router: fc.constantFrom("x", "y"),
  how: fc.constantFrom("set", "set", "delete", "write"),
  look: fc.boolean(),
});

test("whatever changes between two reads, a list and what a router owns are those of the copies", () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 120 }), (edits) => {
      const objects = new Map<string, RawObject>();
      const caches = new Caches({ reflectors: () => [{ objects }] } as unknown as OperatorShell);
      const newest = new Map<string, RawObject>();
      const look = (): void => {
        const wanted = [...newest.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
        expect(caches.list("Pod")).toEqual(wanted);
        expect(caches.list("Pod")).toBe(caches.list("Pod"));
        for (const router of ["x", "y"])
          expect(caches.owned("Pod", `default/${router}`)).toEqual(
            wanted.filter(({ metadata }) => metadata.labels?.[labels.router] === router),
          );
      };
      for (const [index, { name, router, how, look: now }] of edits.entries()) {
        const key = `default/${name}`;
        const previous = objects.get(key);
        if (how === "delete" && previous !== undefined) {
          objects.delete(key);
          newest.delete(key);
          caches.changed(previous, true, previous);
        } else if (how === "set") {
          const object = pod(name, router, index + 1);
          objects.set(key, object);
          newest.set(key, object);
          caches.changed(object, false, previous);
        } else if (how === "write" && previous !== undefined) {
          // the watch brings it later, or something newer
          const answer = pod(name, previous.metadata.labels?.[labels.router] ?? "", index + 1);
          newest.set(key, answer);
          caches.wrote(answer);
        }
        if (now) look();
      }
      look();
    }),
    { numRuns: 300 },
  );
});

test("the answer to a write that comes after the end of its object brings nothing back; the next of that name counts", () => {
  const objects = new Map<string, RawObject>();
  const caches = new Caches({ reflectors: () => [{ objects }] } as unknown as OperatorShell);
  const of = (uid: string, version: number): RawObject => {
    const made = pod("a", "x", version);
    return { ...made, metadata: { ...made.metadata, uid } };
  };
  caches.changed(of("first", 1), false);
  caches.changed(of("first", 3), true, of("first", 1));
  caches.wrote(of("first", 2));
  expect(caches.get("Pod", "default", "a")).toBeUndefined();
  caches.wrote(of("second", 4));
  expect(caches.get("Pod", "default", "a")?.metadata.uid).toBe("second");
});

test("an object that left a watch by label and came back is read as it was written last", () => {
  const objects = new Map<string, RawObject>();
  const caches = new Caches({ reflectors: () => [{ objects }] } as unknown as OperatorShell);
  const of = (version: number): RawObject => {
    const made = pod("a", "x", version);
    return { ...made, metadata: { ...made.metadata, uid: "first" } };
  };
  caches.changed(of(2), true, of(1));
  objects.set("default/a", of(3));
  caches.changed(of(3), false);
  caches.wrote(of(4));
  expect(caches.get("Pod", "default", "a")?.metadata.resourceVersion).toBe("4");
});
