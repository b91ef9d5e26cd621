/**
 * spec.kamailio.podTemplate: what a user may add to the pods. Everything else belongs to the operator: it must be able
 * to find its pods, reach their control port, and drain them.
 */
import { refOf, type SipRouter } from "../api/index.ts";
import { wrong } from "./issue.ts";
import type { Issue } from "./types.ts";

/** the container that the operator makes */
export const KAMAILIO_CONTAINER = "kamailio";
/** volumes that the operator makes have this prefix */
export const VOLUME_PREFIX = "sip-router-";
/** environment variables that the operator sets have this prefix, or are POD_IP, POD_NAME or POD_UID */
const reservedEnv = /^(POD_(IP|NAME|NAMESPACE|UID)$|SIP_ROUTER_)/;
const reservedMounts = /^\/(etc|run)\/sip-router(\/|$)/;
const reservedKeys = /^(siprouter\.dev\/|app\.kubernetes\.io\/(name|instance|component|managed-by)$)/;

const podFields = new Set([
  "nodeSelector",
  "tolerations",
  "affinity",
  "topologySpreadConstraints",
  "priorityClassName",
  "imagePullSecrets",
  "runtimeClassName",
  "schedulerName",
  "dnsPolicy",
  "dnsConfig",
  "hostAliases",
  "volumes",
  "initContainers",
  "containers",
]);
const kamailioFields = new Set(["name", "env", "resources", "imagePullPolicy", "volumeMounts"]);

type Fields = Readonly<Record<string, unknown>>;
interface Problem {
  readonly path: string;
  readonly text: string;
}

export function podTemplateIssues(router: SipRouter): readonly Issue[] {
  const template = router.spec.kamailio.podTemplate;
  if (template === undefined) return [];
  const base = "spec.kamailio.podTemplate";
  return problemsOf(template, base).map(({ path, text }) => wrong(refOf(router), path, "Invalid", text));
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function problemsOf(template: Fields, base: string): readonly Problem[] {
  return Object.entries(template).flatMap(([field, value]): readonly Problem[] => {
    const path = `${base}.${field}`;
    if (field !== "metadata" && field !== "spec")
      return [{ path, text: "only metadata and spec may be given: remove it." }];
    if (!isFields(value)) return [{ path, text: "must be an object: correct it." }];
    return field === "metadata" ? metadataProblems(value, path) : specProblems(value, path);
  });
}

function metadataProblems(metadata: Fields, base: string): readonly Problem[] {
  return Object.entries(metadata).flatMap(([field, value]): readonly Problem[] => {
    const path = `${base}.${field}`;
    if (field !== "labels" && field !== "annotations")
      return [{ path, text: "only labels and annotations may be given: remove it." }];
    if (!isFields(value) || Object.values(value).some((text) => typeof text !== "string"))
      return [{ path, text: "must map strings to strings: put numbers and true/false in quotes." }];
    return Object.keys(value)
      .filter((key) => reservedKeys.test(key))
      .map((key) => ({ path: `${path}["${key}"]`, text: "this key belongs to the operator: remove it." }));
  });
}

function specProblems(spec: Fields, base: string): readonly Problem[] {
  return Object.entries(spec).flatMap(([field, value]): readonly Problem[] => {
    const path = `${base}.${field}`;
    if (!podFields.has(field))
      return [
        { path, text: `this field belongs to the operator: remove it. Possible are ${[...podFields].join(", ")}.` },
      ];
    if (field === "volumes")
      return namedItems(value, path)
        .flatMap(({ name, at }) =>
          name.startsWith(VOLUME_PREFIX)
            ? [{ path: at, text: `names that begin with ${VOLUME_PREFIX} belong to the operator: rename the volume.` }]
            : [],
        )
        .concat(listProblems(value, path));
    if (field === "initContainers")
      return namedItems(value, path)
        .filter(({ name }) => name === KAMAILIO_CONTAINER)
        .map(({ at }) => ({
          path: at,
          text: `the name ${KAMAILIO_CONTAINER} belongs to the operator: rename the container.`,
        }))
        .concat(listProblems(value, path));
    if (field === "containers")
      return listProblems(value, path).concat(
        namedItems(value, path).flatMap(({ name, item, at }) =>
          name === KAMAILIO_CONTAINER ? kamailioProblems(item, at) : [],
        ),
      );
    return [];
  });
}

function kamailioProblems(container: Fields, base: string): readonly Problem[] {
  const fields = Object.keys(container)
    .filter((field) => !kamailioFields.has(field))
    .map((field) => ({
      path: `${base}.${field}`,
      text: `this field of the container ${KAMAILIO_CONTAINER} belongs to the operator: remove it. Possible are ${[...kamailioFields].join(", ")}.`,
    }));
  const lists = ["env", "volumeMounts"].flatMap((field) =>
    field in container && !Array.isArray(container[field])
      ? [{ path: `${base}.${field}`, text: "must be a list: correct it." }]
      : [],
  );
  const env = namedItems(container["env"], `${base}.env`)
    .filter(({ name }) => reservedEnv.test(name))
    .map(({ name, at }) => ({ path: at, text: `the variable ${name} belongs to the operator: rename it.` }));
  const mounts = (Array.isArray(container["volumeMounts"]) ? container["volumeMounts"] : []).flatMap(
    (mount: unknown, index) =>
      isFields(mount) && typeof mount["mountPath"] === "string" && reservedMounts.test(mount["mountPath"])
        ? [
            {
              path: `${base}.volumeMounts[${index}].mountPath`,
              text: "this folder belongs to the operator: mount the volume elsewhere.",
            },
          ]
        : [],
  );
  return [...fields, ...lists, ...env, ...mounts];
}

const listProblems = (value: unknown, path: string): readonly Problem[] => {
  if (!Array.isArray(value)) return [{ path, text: "must be a list: correct it." }];
  return value.flatMap((item: unknown, index) =>
    isFields(item) && typeof item["name"] === "string"
      ? []
      : [{ path: `${path}[${index}]`, text: "needs a name: add it." }],
  );
};

const namedItems = (
  value: unknown,
  path: string,
): readonly { readonly name: string; readonly item: Fields; readonly at: string }[] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown, index) =>
    isFields(item) && typeof item["name"] === "string" ? [{ name: item["name"], item, at: `${path}[${index}]` }] : [],
  );
