/**
 * YAML blocks of the documentation, taken as an operator takes them: parsed, checked against the schemas and the rules that
 * span objects, and rendered. A block may name objects that it does not show, and may be a part of a spec.
 */
import { dump, loadAll } from "js-yaml";
import { pbxBackendSpec, sipRouterSpec } from "../../src/api/index.ts";
import { snapshotOf } from "../../src/model/index.ts";
import { runPipeline } from "../../src/pipeline.ts";
import { parseResources } from "../../src/standalone/resources.ts";

/** What is wrong with a block because it is an excerpt. */
const elsewhere = new Set(["BackendNotFound", "SecretNotFound", "ServiceNotFound", "NameNotResolved", "NoEndpoints", "NotRegistered", "NoBackends"]); // prettier-ignore

const apiVersion = "siprouter.dev/v1alpha1";
const routerFields = new Set(Object.keys(sipRouterSpec.shape));
const backendFields = new Set(Object.keys(pbxBackendSpec.shape));
type Fields = Readonly<Record<string, unknown>>;

/** A part of a spec as a whole object; undefined: it is none of ours. */
function completed(document: Fields): Fields | undefined {
  const spec = "spec" in document && Object.keys(document).length === 1 ? (document["spec"] as Fields) : document;
  const within = (known: ReadonlySet<string>): boolean =>
    Object.keys(spec).length > 0 && Object.keys(spec).every((field) => known.has(field));
  const metadata = { name: "edge" };
  if (within(backendFields) && "address" in spec) return { apiVersion, kind: "PbxBackend", metadata, spec };
  if (within(routerFields)) {
    const dispatcherSets = [{ name: "freepbx", backends: [{ name: "freepbx-1" }] }];
    return { apiVersion, kind: "SipRouter", metadata, spec: { dispatcherSets, ...spec } };
  }
  return undefined;
}

/** Problems of one block, in words. */
export function resourceProblems(text: string): string[] {
  let documents: unknown[];
  try {
    documents = loadAll(text);
  } catch (error) {
    return [`does not parse: ${(error as Error).message}`];
  }
  const maps = documents.filter((one): one is Fields => typeof one === "object" && one !== null && !Array.isArray(one));
  const parts = maps.filter((one) => !("kind" in one)).map((one) => completed(one));
  const whole = maps.filter((one) => "kind" in one && "metadata" in one);
  const own = new Set<unknown>(["SipRouter", "PbxBackend"]);
  const nameless = maps.filter((one) => own.has(one["kind"]) && !("metadata" in one));
  const { objects, errors } = parseResources(
    [...whole, ...parts.filter((one) => one !== undefined)].map((one) => dump(one)).join("---\n"),
    "block",
  );
  const { routers, backends } = runPipeline(snapshotOf(objects), { image: "registry.test/kamailio:6" });
  const excerpt = parts.length > 0 ? new Set([...elsewhere, "SetNotFound"]) : elsewhere;
  const issues = [...[...routers.values()].flatMap((router) => router.issues), ...[...backends.values()].flat()].filter(
    ({ reason }) => !excerpt.has(reason),
  );
  return [
    ...nameless.map((one) => `${String(one["kind"])} has no metadata`),
    ...errors.map(({ message }) => message),
    ...issues.map(({ object, path, message }) => `${object.kind} ${object.name} ${path}: ${message}`),
  ];
}

/** The documents of a block that an API server with nothing but the CRDs knows. */
export const applicable = (text: string): Fields[] =>
  (loadAll(text) as Fields[]).filter(
    (one) =>
      one !== null &&
      typeof one === "object" &&
      [apiVersion, "v1", "networking.k8s.io/v1"].includes(String(one["apiVersion"])),
  );
