/**
 * Resource files: YAML text to Kubernetes objects, in the form the API server would hand them out (namespace set, a
 * Secret's stringData encoded, List kinds unfolded). Pure. What is wrong is returned, never thrown, and names file and
 * line.
 */
import { CORE_SCHEMA, load, mergeTag, YAMLException } from "js-yaml";
import { refOf, type ObjectMeta, type ObjectRef, type RawObject } from "../api/index.ts";

const schema = CORE_SCHEMA.withTags(mergeTag);
export const DEFAULT_NAMESPACE = "default";

/** What is wrong with a file, or with one object in it. */
export interface ResourceError {
  readonly file: string;
  /** 1-based */
  readonly line: number;
  /** "Kind namespace/name", or "" when it is not known which object is meant */
  readonly object: string;
  /** what is wrong and the remedy */
  readonly message: string;
}

/** One object and where it was read. `line` is the first line of its YAML document, 1-based. */
export interface LocatedObject {
  readonly object: RawObject;
  readonly file: string;
  readonly line: number;
}

export interface ParsedResources {
  readonly objects: readonly RawObject[];
  readonly errors: readonly ResourceError[];
  /** the same objects with the places they came from */
  readonly located: readonly LocatedObject[];
}

export const describeRef = (ref: ObjectRef): string => `${ref.kind} ${ref.namespace}/${ref.name}`;
export const describeError = (error: ResourceError): string => `${error.file}:${error.line}: ${error.message}`;

/**
 * Parses one file of one or more YAML documents. A document that does not parse does not stop the others; whether they
 * may be used nevertheless is the caller's choice (`errors` is not empty then).
 */
export function parseResources(text: string, fileName: string): ParsedResources {
  const located: LocatedObject[] = [];
  const errors: ResourceError[] = [];
  for (const document of splitDocuments(text)) {
    const at = { file: fileName, line: document.line };
    try {
      const value = load(document.text, { schema, filename: fileName });
      for (const item of unfoldLists(value)) {
        const result = normalise(item);
        if (typeof result === "string") errors.push({ ...at, object: describeUnknown(item), message: result });
        else located.push({ ...at, object: result });
      }
    } catch (error) {
      errors.push(syntaxError(error, document, fileName));
    }
  }
  return { objects: located.map((entry) => entry.object), errors, located };
}

/** Joins files: an object that two files (or two documents) define is kept as first read, and reported with both places. */
export function mergeResources(files: readonly ParsedResources[]): ParsedResources {
  const first = new Map<string, LocatedObject>();
  const errors: ResourceError[] = [];
  for (const file of files) {
    errors.push(...file.errors);
    for (const entry of file.located) {
      const object = describeRef(refOf(entry.object));
      const other = first.get(object);
      if (other === undefined) first.set(object, entry);
      else {
        const message = `${object} is already defined at ${other.file}:${other.line}; that one is used. Remove one of the two.`;
        errors.push({ file: entry.file, line: entry.line, object, message });
      }
    }
  }
  const located = [...first.values()];
  return { objects: located.map((entry) => entry.object), errors, located };
}

interface Document {
  readonly text: string;
  /** of the first line with content, 1-based */
  readonly line: number;
  /** of the text's first line, 1-based */
  readonly start: number;
}

/** "---" and "..." at the start of a line are document markers everywhere, block scalars included (YAML 1.2.2, 9.1.2). */
function splitDocuments(text: string): Document[] {
  const documents: Document[] = [];
  let lines: string[] = [];
  let start = 1;
  const flush = (next: number): void => {
    const content = lines.findIndex((line) => !/^\s*(#|%|$|---\s*(#|$))/.test(line));
    if (content !== -1) documents.push({ text: `${lines.join("\n")}\n`, line: start + content, start });
    lines = [];
    start = next;
  };
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    if (/^---(\s|$)/.test(line)) {
      flush(index + 1);
      lines.push(line);
    } else if (/^\.\.\.(\s|$)/.test(line)) flush(index + 2);
    else lines.push(line);
  }
  flush(0);
  return documents;
}

function syntaxError(error: unknown, document: Document, file: string): ResourceError {
  if (!(error instanceof YAMLException)) throw error;
  // What is not closed is noticed at the end: the last line with content is meant, not the empty ones after it.
  const last = document.start + document.text.trimEnd().split("\n").length - 1;
  const line = Math.min(last, document.start + (error.mark?.line ?? document.line - document.start));
  const column = error.mark === undefined ? "" : `, column ${error.mark.column + 1}`;
  const message = `not valid YAML${column}: ${error.reason}. Correct the file.`;
  return { file, line, object: "", message };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function unfoldLists(value: unknown): unknown[] {
  if (
    isRecord(value) &&
    typeof value["kind"] === "string" &&
    value["kind"].endsWith("List") &&
    Array.isArray(value["items"])
  )
    return value["items"].flatMap((item) => unfoldLists(item));
  return [value];
}

/** Whether a file of a folder holds resources, by its name; a kustomization only lists others. */
export const isResourceFile = (name: string): boolean =>
  /\.(ya?ml|json)$/.test(name) && !/^kustomization\.ya?ml$/.test(name);

const describeUnknown = (value: unknown): string => {
  if (!isRecord(value) || typeof value["kind"] !== "string") return "";
  const metadata = isRecord(value["metadata"]) ? value["metadata"] : {};
  const part = (field: unknown): string => (typeof field === "string" ? field : "");
  return `${value["kind"]} ${part(metadata["namespace"]) || DEFAULT_NAMESPACE}/${part(metadata["name"])}`;
};

const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** The object, or what is wrong with it. */
function normalise(value: unknown): RawObject | string {
  if (!isRecord(value)) return "this YAML document is not a Kubernetes object: it needs apiVersion, kind and metadata.";
  const { apiVersion, kind, metadata } = value;
  if (typeof kind !== "string" || !/^[A-Z][A-Za-z0-9]*$/.test(kind))
    return "kind is missing: name the kind, for example SipRouter.";
  if (typeof apiVersion !== "string" || apiVersion === "") return `${kind}: apiVersion is missing.`;
  if (!isRecord(metadata)) return `${kind}: metadata is missing: it needs at least a name.`;
  const { name, namespace } = metadata;
  if (typeof name !== "string" || name.length > 253 || !namePattern.test(name))
    return `${kind}: metadata.name must be a lower-case DNS name of at most 253 characters.`;
  if (
    namespace !== undefined &&
    (typeof namespace !== "string" || namespace.length > 63 || !labelPattern.test(namespace))
  )
    return `${kind} ${name}: metadata.namespace must be a lower-case DNS label of at most 63 characters.`;
  for (const field of ["labels", "annotations"]) {
    const map = metadata[field] ?? {};
    if (!isRecord(map) || Object.values(map).some((entry) => typeof entry !== "string"))
      return `${kind} ${name}: metadata.${field} must map strings to strings: put numbers and true/false in quotes.`;
  }
  const meta = { ...metadata, name, namespace: namespace ?? DEFAULT_NAMESPACE } as ObjectMeta;
  const object: RawObject = { ...value, apiVersion, kind, metadata: meta };
  delete object.status;
  return kind === "Secret" ? normaliseSecret(object) : object;
}

/** stringData is write-only in the API: it ends up, encoded, in data. */
function normaliseSecret(secret: RawObject): RawObject | string {
  const { stringData, data, ...rest } = secret;
  for (const [field, map] of Object.entries({ data, stringData }))
    if (!isRecord(map ?? {}))
      return `Secret ${secret.metadata.name}: ${field} must map keys to texts: write it as KEY: TEXT.`;
  const encoded: Record<string, string> = {};
  for (const [key, value] of Object.entries(isRecord(data) ? data : {})) {
    if (typeof value !== "string" || !isBase64(value))
      return `Secret ${secret.metadata.name}: data.${key} is not base64. Encode it, or move it to stringData as plain text.`;
    encoded[key] = value.replaceAll(/\s/g, "");
  }
  for (const [key, value] of Object.entries(isRecord(stringData) ? stringData : {})) {
    if (typeof value !== "string")
      return `Secret ${secret.metadata.name}: stringData.${key} must be a string: put it in quotes.`;
    encoded[key] = Buffer.from(value, "utf8").toString("base64");
  }
  const bad = Object.keys(encoded).find((key) => !/^[-._a-zA-Z0-9]{1,253}$/.test(key) || key.startsWith(".."));
  if (bad !== undefined)
    return `Secret ${secret.metadata.name}: a key may hold letters, digits, '-', '_' and '.' only.`;
  return { ...rest, apiVersion: secret.apiVersion, kind: secret.kind, metadata: secret.metadata, data: encoded };
}

const isBase64 = (text: string): boolean => {
  const compact = text.replaceAll(/\s/g, "");
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
};
