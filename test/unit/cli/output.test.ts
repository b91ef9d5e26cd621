import { describe, expect, test } from "vitest";
import { reasons, type SipRouter } from "../../../src/api/index.ts";
import { parseBriefing, parseCallId, selectCalls } from "../../../src/cli/views/calls.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import { parseSelector } from "../../../src/cli/fleet/labelSelector.ts";
import { nameResources } from "../../../src/cli/views/naming.ts";
import { askAll, chooseRouters, reportUnanswered, styleOf, type CliIO } from "../../../src/cli/print/output.ts";
import { isAlive } from "../../../src/cli/views/ping.ts";
import { findProblems, remedies, type Problem } from "../../../src/cli/views/problems.ts";
import { parseStats, statsRows, sumStats } from "../../../src/cli/views/stats.ts";
import { renderTable } from "../../../src/cli/print/table.ts";
import { OperatorError } from "../../../src/errors.ts";
import { backends, callAnswers, pods, router, statistics } from "../../golden/cli/fleet.ts";

const io = (more: Partial<CliIO> = {}): CliIO & { readonly errors: string[] } => {
  const errors: string[] = [];
  return {
    errors,
    stdout: () => {},
    write: () => {},
    stderr: (line) => void errors.push(line),
    columns: 80,
    env: {},
    cwd: "/",
    signal: new AbortController().signal,
    ...more,
  };
};

describe("a pod that does not answer", () => {
  test("hides no other one, is named with its remedy, and the exit code says so", async () => {
    const answers = await askAll(pods.slice(0, 2), async (pod) => {
      if (pod.name.endsWith("b"))
        throw new OperatorError("SIPR_RPC_UNREACHABLE", "no answer within 10 ms.", { remedy: "Look at it." });
      return 42;
    });
    const to = io();
    expect(answers[0]).toMatchObject({ value: 42 });
    expect(reportUnanswered(answers, to)).toBe(3);
    expect(to.errors).toEqual([
      "no answer from pod voice/edge-7c9f-b: no answer within 10 ms. Look at it.",
      "incomplete: 1 of 2 pods did not answer.",
    ]);
  });

  test("that does not run is not asked", async () => {
    const [answer] = await askAll([{ ...pods[0]!, running: false, message: "CrashLoopBackOff" }], async () =>
      expect.unreachable(),
    );
    expect(answer).toMatchObject({ error: "CrashLoopBackOff" });
  });

  test("a fault of the program is not taken for one of the pod", async () => {
    await expect(askAll(pods.slice(0, 1), async () => Promise.reject(new TypeError("x")))).rejects.toThrow(TypeError);
  });
});

describe("colour", () => {
  test.each([
    [{ columns: 80 }, {}, true],
    [{ columns: undefined }, {}, false],
    [{ columns: 80, env: { NO_COLOR: "1" } }, {}, false],
    [{ columns: 80, env: { NO_COLOR: "" } }, {}, true],
    [{ columns: 80, env: { TERM: "dumb" } }, {}, false],
    [{ columns: 80 }, { color: false }, false],
  ])("%j %j: %s", (terminal, options, colour) => expect(styleOf(options, io(terminal)).colour).toBe(colour));

  test("what a caller writes into a header moves no cursor", () => {
    const [, row] = renderTable([{ header: "FROM" }], [["\u001B[2J\u0007evil\u009B1A"]], {
      colour: false,
      wide: false,
    });
    expect(row).not.toMatch(/[\u0000-\u001F\u007F-\u009F]/);
  });
});

describe("which router", () => {
  test.each([["edge"], ["voice/edge"], [undefined]])("%s", (name) =>
    expect(chooseRouters([router], name, "x")).toEqual([router]),
  );
  test("another name: the error lists those that are there", () => {
    expect(() => chooseRouters([router], "egde", "namespace voice")).toThrow(
      expect.objectContaining({ code: "SIPR_USAGE", remedy: expect.stringContaining("voice/edge") }),
    );
  });
});

describe("labels", () => {
  const labels = { region: "us-east", tier: "gold", "a.b/c": "" };
  test.each([
    ["region=us-east", true],
    ["region==us-east,tier!=gold", false],
    ["tier!=silver,region", true],
    ["!region", false],
    ["!other", true],
    ["other!=x", true],
    ["region in (eu, us-east),tier notin (silver)", true],
    ["region notin (us-east)", false],
    ["a.b/c=", true],
  ])("%s: %s", (selector, expected) => expect(parseSelector(selector)(labels)).toBe(expected));
  test.each(["", "a=b=c", "in (x", "a in x", "=b", "a,,b"])("%j is refused", (selector) =>
    expect(() => parseSelector(selector)).toThrow(expect.objectContaining({ code: "SIPR_USAGE" })),
  );
});

describe("problems", () => {
  test("every reason that can stand for something wrong has a remedy", () => {
    const good = new Set([
      "Accepted",
      "ResolvedRefs",
      "Programmed",
      "Available",
      "Ready",
      "Reachable",
      "Reloaded",
      "NotUsed",
      "Draining",
      "Drained",
      "Undrained",
      "Managed",
      "Disabled",
    ]);
    expect(Object.keys(reasons).filter((reason) => !good.has(reason) && !(reason in remedies))).toEqual([]);
  });

  const withConditions = (replicas: number, ...conditions: string[]): SipRouter => {
    const shown = conditions.map((one) => {
      const [type, status, reason] = one.split(" ");
      return { type, status, reason, message: "", lastTransitionTime: "" };
    });
    return { ...router, spec: { ...router.spec, replicas }, status: { conditions: shown } } as unknown as SipRouter;
  };
  const problemsOf = (one: SipRouter, ...at: FleetPod[]): readonly Problem[] =>
    findProblems([{ router: one, pods: at }], []);

  test("that no pod is there is told once, with a command that works in any namespace", () => {
    const found = problemsOf(withConditions(2, "Programmed False NoPods", "Available False NoPods"));
    expect(found.map(({ what }) => what)).toEqual(["Programmed: NoPods"]);
    expect(found[0]?.remedy).toContain("kubectl -n voice describe pods -l siprouter.dev/router=edge");
    const refused = withConditions(2, "Accepted False Invalid", "Programmed False Invalid", "Available False NoPods");
    expect(problemsOf(refused).map(({ what }) => what)).toEqual(["Programmed: Invalid", "Accepted: Invalid"]);
  });

  test("a router without pods that wants none is told to want some", () => {
    const found = problemsOf(withConditions(0, "Programmed True Programmed", "Available False NoPods"));
    expect(found.map(({ what, remedy }) => `${what}: ${remedy}`)).toEqual([
      "Available: NoPods: Raise spec.replicas: kubectl -n voice scale siprouter edge --replicas=2",
    ]);
  });

  test("a pod that runs and is not ready may be one that somebody drained", () => {
    const pod = { ...(pods[0] as FleetPod), ready: false, running: true, message: "" };
    const [found] = problemsOf(withConditions(2, "Programmed True Programmed"), pod);
    expect(found?.message).toContain("drains");
    expect(found?.remedy).toContain(`kubectl sip undrain pod/${pod.name} -n voice`);
  });

  test("what cuts calls comes first, and Ready does not repeat the others", () => {
    const found = findProblems([{ router, pods }], backends);
    expect(found.map(({ severe }) => severe)).toEqual(
      found.map(({ severe }) => severe).toSorted((a, b) => Number(b) - Number(a)),
    );
    expect(found.filter(({ what }) => what.startsWith("Ready"))).toEqual([]);
    expect(found.every(({ remedy }) => remedy !== "")).toBe(true);
  });

  test("an object that nobody has looked at, and one whose status is old", () => {
    const { status: _status, ...fresh } = router;
    expect(findProblems([{ router: fresh, pods: [] }], [])[0]).toMatchObject({ what: "no status" });
    const edited = { ...router, metadata: { ...router.metadata, generation: 4 } };
    expect(findProblems([{ router: edited, pods: [] }], []).map(({ what }) => what)).toContain("status is old");
  });
});

describe("numbers", () => {
  test("a rate is between two readings; a pod that was restarted in between has none", () => {
    const data = { router, answers: statistics(1300), before: { answers: statistics(1200), seconds: 10 } };
    expect(statsRows(data).map(({ callsPerSecond }) => callsPerSecond)).toEqual([10, 20]);
    expect(statsRows({ ...data, answers: statistics(100) }).map(({ callsPerSecond }) => callsPerSecond)).toEqual([
      undefined,
      undefined,
    ]);
    expect(sumStats(statsRows(data).map(({ stats }) => stats))).toMatchObject({ placed: 3900, calls: 99, denied: 60 });
  });
  test("statistics of another shape are refused, missing ones are 0", () => {
    const none = { core: {}, dialog: {}, sl: {}, shmem: {}, uptime: {} };
    expect(() => parseStats({ ...none, dialog: [] })).toThrow(expect.objectContaining({ code: "SIPR_RPC_MALFORMED" }));
    expect(parseStats(none)).toMatchObject({ placed: 0, uptime: 0 });
  });

  test("calls: ended ones are left out, the oldest comes first, a filter takes a part", () => {
    const pod = pods[0]!;
    const one = (state: number, start: number) => ({
      h_entry: 1,
      h_id: start,
      from_uri: "sip:a@x",
      to_uri: "sip:b@y",
      "call-id": `c${start}`,
      from_tag: "t",
      init_ts: start,
      start_ts: start,
      state,
    });
    const parsed = parseBriefing([one(4, 90), one(5, 10), one(1, 50)], pod, 100);
    expect(selectCalls([{ pod, value: parsed }], {}).map(({ seconds, state }) => [seconds, state])).toEqual([
      [50, "Calling"],
      [10, "Answered"],
    ]);
    expect(selectCalls(callAnswers, { from: "460002" })).toHaveLength(2);
    expect(() => parseBriefing({}, pod, 0)).toThrow(expect.objectContaining({ code: "SIPR_RPC_MALFORMED" }));
  });
  test("an ID of a call is taken apart, anything else is none", () => {
    expect(parseCallId("61:3523@edge-a")).toEqual({ entry: 61, id: 3523, pod: "edge-a" });
    for (const wrong of ["", "61@edge", "a:b@edge", "61:3523"]) expect(parseCallId(wrong)).toBeUndefined();
  });

  test.each([
    [200, true],
    [404, true],
    [486, true],
    [408, false],
    [477, false],
    [503, false],
    [0, false],
  ])("a PBX that replies %i is alive: %s", (code, alive) => expect(isAlive(code)).toBe(alive));

  test("addresses have their backend's name: the exact port before the host alone", () => {
    const more = [
      ...backends,
      {
        ...backends[1]!,
        metadata: { ...backends[1]!.metadata, name: "second" },
        status: {
          ...backends[1]!.status!,
          endpoints: [{ address: "192.0.2.12", port: 5070, transport: "UDP" as const, ready: true }],
        },
      },
    ];
    const naming = nameResources(router, more);
    expect(naming.backend("sip:192.0.2.12:5070;transport=udp")).toBe("second");
    expect(naming.backend("sip:12@192.0.2.12:5060")).toBe("freepbx-2");
    expect(naming.backend("sip:192.0.2.12:9")).toBe("freepbx-2,second");
    expect(naming.backend("sip:192.0.2.99")).toBe("");
    expect([naming.set(201), naming.set(900)]).toEqual(["trunks", ""]);
  });
});
