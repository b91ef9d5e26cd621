/**
 * Does the API server serve the definitions of this version? An older one would drop fields that users write and status
 * that this operator writes, silently. Read from the API server's OpenAPI document, which every account may read: no
 * permission on the definitions themselves is needed.
 */
import { z } from "zod";
import { GROUP, VERSION, kinds } from "../api/index.ts";
import type { Log } from "../log.ts";
import { pause } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { ApiError } from "./failure.ts";

/** The part of a JSON schema that tells which fields there are. */
export interface Fields {
  readonly properties?: Readonly<Record<string, Fields>>;
  readonly items?: Fields;
  readonly additionalProperties?: Fields | boolean;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
}
interface ServedSchema extends Fields {
  readonly "x-kubernetes-group-version-kind"?: readonly { readonly group: string; readonly kind: string }[];
}
interface Document {
  readonly components?: { readonly schemas?: Readonly<Record<string, ServedSchema>> };
}

const PATH = `/openapi/v3/apis/${GROUP}/${VERSION}`;
/** the document follows a change of the definitions after some seconds */
const RETRY_MS = 1000;
/** without a document there is nothing to compare: after so many tries it is left at that */
const TRIES = 5;

/** Paths of `wanted` that `served` lacks, in the order of `wanted`. */
export const missingFields = (wanted: Fields, served: Fields | undefined, at: string): readonly string[] => {
  if (served === undefined) return [at];
  if (served["x-kubernetes-preserve-unknown-fields"] === true) return [];
  const children = Object.entries(wanted.properties ?? {}).flatMap(([name, child]) =>
    missingFields(child, served.properties?.[name], `${at}.${name}`),
  );
  const items = wanted.items ? missingFields(wanted.items, served.items, `${at}[]`) : [];
  const { additionalProperties: values } = wanted;
  const servedValues = typeof served.additionalProperties === "object" ? served.additionalProperties : {};
  return [...children, ...items, ...(typeof values === "object" ? missingFields(values, servedValues, `${at}.*`) : [])];
};

const fieldsOf = (schema: z.ZodType): Fields =>
  z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }) as Fields;

/** What is older than this version, as an error; undefined when nothing is. */
export const olderDefinition = (document: Document): ApiError | undefined => {
  const schemas = Object.values(document.components?.schemas ?? {});
  const missing = kinds.flatMap((kind) => {
    const served = schemas.find((schema) =>
      schema["x-kubernetes-group-version-kind"]?.some((one) => one.group === GROUP && one.kind === kind.kind),
    );
    const lacks = (["spec", "status"] as const).flatMap((part) =>
      missingFields(fieldsOf(kind[part]), served?.properties?.[part], part),
    );
    return lacks.length === 0 ? [] : [`${kind.plural}.${GROUP} (${shown(lacks)})`];
  });
  if (missing.length === 0) return undefined;
  return new ApiError(
    "SIPR_CRD_MISSING",
    `The API server serves an older version of the definitions than this operator needs; fields are missing: ${missing.join("; ")}`,
    {
      remedy: "Install the custom resource definitions of this version: kubectl apply -f crds/",
      status: 200,
      reason: "OlderDefinition",
    },
  );
};

const SHOWN = 3;
const shown = (paths: readonly string[]): string =>
  paths.length > SHOWN ? `${paths.slice(0, SHOWN).join(", ")} and ${paths.length - SHOWN} more` : paths.join(", ");

export interface SchemaWatch {
  /** why it waits */
  readonly error: Error | undefined;
  /** Resolves when nothing is older, when there is no document to judge by, or when it is stopped. */
  current(): Promise<void>;
  stop(): void;
}

export const watchServedSchema = (connection: Connection, log: Log): SchemaWatch => {
  const stopping = new AbortController();
  const { signal } = stopping;
  let error: ApiError | undefined;

  const look = async (): Promise<Document | undefined> => {
    for (let tries = 1; !signal.aborted; tries += 1) {
      try {
        return (await connection.request("GET", PATH, { signal })) as Document;
      } catch (cause) {
        if (tries < TRIES) await pause(RETRY_MS, signal);
        else {
          log.warn({ path: PATH, err: cause }, "the age of the definitions is not known");
          return undefined;
        }
      }
    }
    return undefined;
  };

  return {
    get error() {
      return error;
    },
    async current() {
      while (!signal.aborted) {
        const document = await look();
        const older = document && olderDefinition(document);
        if (older && older.message !== error?.message)
          log.error({ code: older.code, remedy: older.remedy }, older.message);
        error = older;
        if (!older) return;
        await pause(RETRY_MS, signal);
      }
    },
    stop: () => stopping.abort(),
  };
};
