import { describe, expect, test } from "vitest";
import { createAuthorize } from "../../../src/server/authorize.ts";

const bench = (answers: { authenticated?: boolean; allowed?: boolean; fails?: boolean } = {}) => {
  const asked: { path: string; body: object }[] = [];
  let now = 1_000_000;
  const authorize = createAuthorize({
    now: () => now,
    review: async (path, body) => {
      asked.push({ path, body });
      if (answers.fails) throw new Error("the API server does not answer");
      if (path.endsWith("tokenreviews"))
        return { status: { authenticated: answers.authenticated ?? true, user: { username: "u", groups: ["g"] } } };
      return { status: { allowed: answers.allowed ?? true } };
    },
  });
  return { authorize, asked, answers, pass: (milliseconds: number) => void (now += milliseconds) };
};

describe("who may read the metrics", () => {
  test("the user of the token is asked about by name and groups, for this path", async () => {
    const { authorize, asked } = bench();
    expect(await authorize("Bearer abc", "/metrics")).toBe("allowed");
    expect(asked[1]?.body).toMatchObject({
      spec: { user: "u", groups: ["g"], nonResourceAttributes: { path: "/metrics", verb: "get" } },
    });
  });

  test("an answer counts for a minute, a refusal for ten seconds", async () => {
    const { authorize, asked, answers, pass } = bench();
    for (let index = 0; index < 10; index += 1) await authorize("Bearer abc", "/metrics");
    expect(asked).toHaveLength(2);
    pass(61_000);
    answers.allowed = false;
    expect(await authorize("Bearer abc", "/metrics")).toBe("forbidden");
    answers.allowed = true;
    pass(5000);
    expect(await authorize("Bearer abc", "/metrics")).toBe("forbidden");
    pass(6000);
    expect(await authorize("Bearer abc", "/metrics")).toBe("allowed");
  });

  test("nobody, while the API server gives no answer; and that is not kept", async () => {
    const { authorize, answers } = bench({ fails: true });
    await expect(authorize("Bearer abc", "/metrics")).rejects.toThrow("does not answer");
    answers.fails = false;
    expect(await authorize("Bearer abc", "/metrics")).toBe("allowed");
  });

  test("a flood of false tokens asks the API server for a few at a time only", async () => {
    const { authorize, asked } = bench({ authenticated: false });
    const all = await Promise.allSettled(
      Array.from({ length: 1000 }, (_, index) => authorize(`Bearer token${index}`, "/metrics")),
    );
    expect(all.filter((one) => one.status === "fulfilled" && one.value === "allowed")).toEqual([]);
    expect(asked.length).toBeLessThanOrEqual(8);
  });
});
