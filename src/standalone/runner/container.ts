/**
 * A container of a Pod as a local process: mount paths become local folders, `$(VAR)` is expanded as the kubelet does
 * (kubernetes third_party/forked/golang/expansion). Pure.
 */
import { join } from "node:path";
import { LOOPBACK_VARIABLE } from "../../render/layout.ts";
import type { Container, EnvVar, KeyRef, ObjectLookup, PodRecord } from "./types.ts";

export interface LocalCommand {
  /** program and arguments */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly preStop?: readonly string[];
  /** turns mount paths in a text into local folders */
  readonly localise: (text: string) => string;
}

export interface ContainerContext {
  readonly record: PodRecord;
  readonly objects: ObjectLookup;
  /** what the DNS of a cluster says: an address of the Service `<name>.<namespace>.svc`, or undefined */
  readonly addressOf?: (name: string) => string | undefined;
  /** what the pod's processes take for loopback: that of the machine is shared with others */
  readonly loopback: string;
  /** local folder of a volume */
  readonly volumeFolder: (volume: string) => string;
  /** replaces the container's own program */
  readonly program?: string;
  /** PATH and the like, beneath the container's own */
  readonly baseEnv: Readonly<Record<string, string>>;
}

/** The process to start, or what is missing in the kubelet's words. */
export function resolveContainer(container: Container, context: ContainerContext): LocalCommand | string {
  const localise = pathReplacer(container, context.volumeFolder);
  // Expanded first and localised last, once: the local folder's own path may contain a mount path.
  const raw: Record<string, string> = {};
  for (const variable of container.env ?? []) {
    const value = resolveVariable(variable, context);
    if (typeof value === "object") return value.missing;
    if (value !== undefined) raw[variable.name] = expand(value, raw);
  }
  const text = (part: string): string => localise(expand(part, raw));
  const env = Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, localise(value)]));
  const argv = [...(container.command ?? []), ...(container.args ?? [])].map(text);
  if (context.program !== undefined) argv[0] = context.program;
  if (argv.length === 0) return `container ${container.name} has no command`;
  const preStop = container.lifecycle?.preStop?.exec?.command;
  return {
    argv,
    env: { ...context.baseEnv, ...env },
    localise,
    // An exec hook is not expanded: only the paths move.
    ...(preStop === undefined ? {} : { preStop: preStop.map(localise) }),
  };
}

/** Replaces every mount path that stands as a whole path or as its beginning; the longest mount path wins. */
function pathReplacer(container: Container, volumeFolder: (volume: string) => string): (text: string) => string {
  const mounts = new Map((container.volumeMounts ?? []).map((mount) => [mount.mountPath.replace(/\/+$/, ""), mount]));
  if (mounts.size === 0) return (text) => text;
  const paths = [...mounts.keys()]
    .toSorted((a, b) => b.length - a.length)
    .map((path) => path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?:${paths.join("|")})(?![A-Za-z0-9._-])`, "g");
  return (text) =>
    text.replaceAll(pattern, (path) => {
      const mount = mounts.get(path);
      if (mount === undefined) return path;
      return mount.subPath === undefined ? volumeFolder(mount.name) : join(volumeFolder(mount.name), mount.subPath);
    });
}

/** `$(NAME)` of a known variable; `$$` is a dollar; an unknown reference stays as it is. */
function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([-._A-Za-z0-9]+)\)/g, (match, name: string | undefined) => {
    if (match === "$$") return "$";
    return name !== undefined && Object.hasOwn(env, name) ? (env[name] ?? match) : match;
  });
}

function resolveVariable(variable: EnvVar, context: ContainerContext): string | { missing: string } | undefined {
  const from = variable.valueFrom;
  if (from === undefined) {
    if (variable.name === LOOPBACK_VARIABLE) return context.loopback;
    const value = variable.value ?? "";
    return value.endsWith(".svc") ? (context.addressOf?.(value) ?? value) : value;
  }
  if (from.fieldRef !== undefined) {
    const value = fieldOf(from.fieldRef.fieldPath, context.record);
    return value ?? { missing: `variable ${variable.name}: the field ${from.fieldRef.fieldPath} is not supported` };
  }
  if (from.secretKeyRef !== undefined) return keyOfObject("Secret", from.secretKeyRef, context);
  if (from.configMapKeyRef !== undefined) return keyOfObject("ConfigMap", from.configMapKeyRef, context);
  return { missing: `variable ${variable.name}: this kind of valueFrom is not supported` };
}

function keyOfObject(
  kind: "ConfigMap" | "Secret",
  ref: KeyRef,
  context: ContainerContext,
): string | { missing: string } | undefined {
  const { namespace } = context.record;
  const object = context.objects.get(kind, namespace, ref.name);
  const data = object?.["data"];
  const value = typeof data === "object" && data !== null ? (data as Record<string, unknown>)[ref.key] : undefined;
  if (typeof value === "string") return kind === "Secret" ? Buffer.from(value, "base64").toString("utf8") : value;
  if (ref.optional === true) return undefined;
  const what = object === undefined ? "not found" : `has no key ${ref.key}`;
  return { missing: `CreateContainerConfigError: ${kind} ${namespace}/${ref.name} ${what}` };
}

function fieldOf(path: string, record: PodRecord): string | undefined {
  const fields: Record<string, string> = {
    "metadata.name": record.name,
    "metadata.namespace": record.namespace,
    "metadata.uid": record.uid,
    "status.podIP": record.ip,
    "status.podIPs": record.ip,
    "status.hostIP": record.ip,
    "spec.nodeName": "local",
    "spec.serviceAccountName": "",
  };
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed?.[2] !== undefined) return (keyed[1] === "labels" ? record.labels : record.annotations)[keyed[2]] ?? "";
  return fields[path];
}
