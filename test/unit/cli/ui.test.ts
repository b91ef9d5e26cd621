import { describe, expect, test } from "vitest";
import type { Call } from "../../../src/cli/views/calls.ts";
import { escapeHtml, renderMaps, renderPage } from "../../../src/cli/ui/html.ts";
import { buildRoutingMap, type MapInput } from "../../../src/cli/ui/routingMap.ts";
import { backends, callAnswers, dumped, pods, router, withDetail } from "../../golden/cli/fleet.ts";

const callsOf = (pod: string): readonly Call[] =>
  callAnswers.flatMap((one) => ("value" in one && one.pod.name === pod ? one.value : [])).map(withDetail);
const answers: MapInput["answers"] = dumped.map((one) =>
  "error" in one ? one : { pod: one.pod, value: { destinations: one.value, calls: callsOf(one.pod.name) } },
);
const all = pods.flatMap((pod) => callsOf(pod.name));
const input: MapInput = { router, backends, pods, answers, calls: all };

describe("the routing map", () => {
  test("each call counts once at its caller, its route, its set and its backend", () => {
    const map = buildRoutingMap(input);
    expect(map.calls).toBe(8);
    for (const lane of [map.callers, map.routes, map.sets, map.backends])
      expect(lane.reduce((sum, { calls = 0 }) => sum + calls, 0)).toBe(8);
    expect(map.routes.find(({ name }) => name === "company")).toMatchObject({
      detail: "1000-1999",
      calls: 8,
      to: ["set-freepbx"],
    });
    expect(map.callers[0]?.to).toEqual(["route-company"]);
  });

  test("a backend's state is that of all pods, its latency their mean; who is not in a set is not there", () => {
    const { backends: shown, sets } = buildRoutingMap(input);
    expect(shown.map(({ name, state }) => [name, state])).toEqual([
      ["freepbx-1", "Inactive"],
      ["freepbx-2", "Active"],
      ["trunk-1", "Mixed"],
      ["trunk-2", "Draining"],
    ]);
    expect(shown[1]?.latencyMs).toBe(1.375);
    expect(sets.find(({ name }) => name === "trunks")?.to).toEqual(["backend-trunk-1", "backend-trunk-2"]);
    expect(buildRoutingMap({ ...input, answers: [] }).backends.map(({ state }) => state)).toContain("Unknown");
  });

  test("of many callers the busiest are named, the others are one entry", () => {
    const many = Array.from({ length: 12 }, (_, at): Call => ({
      ...all[0]!,
      id: `${at}`,
      from: `sip:caller${at % 10}@x`,
    }));
    const [pod] = pods;
    const map = buildRoutingMap({
      ...input,
      answers: [{ pod: pod!, value: { destinations: [], calls: many } }],
      calls: many,
    });
    expect(map.callers).toHaveLength(9);
    expect(map.callers[0]).toMatchObject({ name: "caller0", calls: 2 });
    expect(map.callers.at(-1)).toMatchObject({ name: "2 more", calls: 2, to: ["route-company"] });
  });

  test("too many calls to ask for each: their sum is known, where they went is not", () => {
    const map = buildRoutingMap({ ...input, calls: undefined });
    expect(map.calls).toBe(8);
    expect([...map.routes, ...map.sets, ...map.backends].every(({ calls }) => calls === undefined)).toBe(true);
    expect(renderMaps([map])).not.toContain("undefined");
  });

  test("names of objects are ids of HTML, and no two are one", () => {
    const spec = {
      ...router.spec,
      routes: ["a.b", "a_b", "a b"].map((name) => ({ name, match: { extensions: ["1"] }, set: "freepbx" })),
    };
    const { routes } = buildRoutingMap({ ...input, router: { ...router, spec } as unknown as typeof router });
    const ids = routes.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z][A-Za-z0-9_-]*$/);
  });
});

describe("the page", () => {
  const evil = `"><img src=x onerror=alert(1)>'&`;
  test("what callers, objects and errors say is text", () => {
    const map = buildRoutingMap({
      ...input,
      router: { ...router, metadata: { ...router.metadata, name: evil } },
      answers: [
        {
          pod: pods[0]!,
          value: {
            destinations: [],
            calls: [{ ...all[0]!, from: `sip:${evil.replaceAll(/[@;>]/g, "")}@x`, route: evil }],
          },
        },
        { pod: pods[1]!, error: evil, remedy: "" },
      ],
    });
    const text = renderPage(evil, renderMaps([map]));
    expect(text).toContain("&lt;img src=x onerror=alert(1)");
    expect(text).not.toMatch(/<img/);
    expect(text.match(/<(script|link)[^>]*>/g)).toHaveLength(3);
  });

  test("control characters do not come through", () => {
    expect(escapeHtml("a\u0000b\u001B[2Jc\u007F<")).toBe("a\uFFFDb\uFFFD[2Jc\uFFFD&lt;");
  });
});
