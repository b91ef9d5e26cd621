import { describe, expect, test } from "vitest";
import { apiError, parseRequest } from "../../../src/kube/failure.ts";

describe("parseRequest", () => {
  test.each([
    ["GET", "/apis/siprouter.dev/v1alpha1/siprouters", true, "watch siprouters.siprouter.dev  "],
    ["GET", "/api/v1/namespaces/a/secrets", false, "list secrets a "],
    ["GET", "/api/v1/namespaces/a/secrets/b", false, "get secrets a b"],
    [
      "PATCH",
      "/apis/siprouter.dev/v1alpha1/namespaces/a/siprouters/b/status",
      false,
      "patch siprouters.siprouter.dev/status a b",
    ],
    ["POST", "/apis/events.k8s.io/v1/namespaces/a/events", false, "create events.events.k8s.io a "],
    ["DELETE", "/apis/apps/v1/namespaces/a/deployments/b", false, "delete deployments.apps a b"],
    ["GET", "/api/v1/namespaces/a", false, "get namespaces  a"],
  ])("%s %s", (method, path, watch, expected) => {
    const { verb, resource, namespace, name } = parseRequest(method, path, watch);
    expect(`${verb} ${resource} ${namespace} ${name}`).toBe(expected);
  });
});

describe("apiError", () => {
  const list = parseRequest("GET", "/apis/siprouter.dev/v1alpha1/siprouters", false);
  test("a refused request names verb, resource, place and what to grant", () => {
    const request = parseRequest("PATCH", "/apis/apps/v1/namespaces/edge/deployments/one", false);
    expect(apiError(request, 403, { message: "user x cannot patch", reason: "Forbidden" })).toMatchObject({
      code: "SIPR_FORBIDDEN",
      message: "Not allowed to patch deployments.apps one in namespace edge: user x cannot patch",
      remedy: expect.stringMatching(/"patch" on "deployments.apps" with a Role in namespace edge/),
    });
  });
  test("a kind that is not served asks for the definitions", () => {
    expect(apiError(list, 404, { message: "404 page not found" })).toMatchObject({
      code: "SIPR_CRD_MISSING",
      remedy: expect.stringContaining("crds/"),
    });
  });
  test("an object that is not there is not a kind that is missing", () => {
    const get = parseRequest("GET", "/apis/siprouter.dev/v1alpha1/namespaces/a/siprouters/b", false);
    expect(apiError(get, 404, { reason: "NotFound", message: 'siprouters.siprouter.dev "b" not found' }).code).toBe(
      "SIPR_API",
    );
  });
  test("the wish of a busy server is kept", () => {
    expect(apiError(list, 429, "", "7").retryAfterSeconds).toBe(7);
    expect(apiError(list, 500, { details: { retryAfterSeconds: 3 } }).retryAfterSeconds).toBe(3);
  });
});
