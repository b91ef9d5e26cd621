/** The examples as a user takes them over: by a kustomize overlay with addresses of one's own. Nothing else of them is changed. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import type { PbxBackend, RawObject } from "../../../src/api/index.ts";
import { exampleNames, readExample } from "../../support/examples.ts";
import type { Part } from "./caller.ts";
import { LABEL, type Scenario } from "./scenario.ts";

const examples = realpathSync(resolve(import.meta.dirname, "../../../config/examples"));

/** What an overlay replaces: kind and name of the object, path and value. */
export interface Replacement {
  readonly kind: string;
  readonly name: string;
  readonly path: string;
  readonly value: unknown;
}

/** `kubectl apply -k` of an overlay over an example. */
export async function applyExample(at: Scenario, example: string, replace: readonly Replacement[]): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "example-")));
  const overlay = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: [relative(folder, join(examples, example))],
    labels: [{ pairs: { [LABEL]: at.name } }],
    patches: replace.map(({ kind, name, path, value }) => ({
      target: { kind, name },
      patch: JSON.stringify([{ op: "add", path, value }]),
    })),
  };
  try {
    writeFileSync(join(folder, "kustomization.yaml"), JSON.stringify(overlay));
    await at.kube.run(["apply", "-k", folder]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export type ExampleBackend = PbxBackend & { readonly spec: { readonly credentialsSecretName?: string } };
const isBackend = (object: RawObject): object is ExampleBackend => object.kind === "PbxBackend";
export const isTrunk = (name: string): boolean => name.includes("trunk");

/** The backends of an example. */
export const backendsOf = (example: string): readonly ExampleBackend[] => readExample(example).filter(isBackend);

/** How the backends of all examples are played, each at a port of its own; a trunk with a password asks for it. */
export function partsOfExamples(): Record<string, Part> {
  const parts: Record<string, Part> = {};
  for (const example of exampleNames)
    for (const { metadata, spec } of backendsOf(example)) {
      const { credentialsSecretName: secret, transport = "UDP" } = spec;
      const { username = "", password = "" } = secret === undefined ? {} : secretOf(example, secret);
      parts[metadata.name] ??= {
        port: 5061 + Object.keys(parts).length,
        ...(secret === undefined ? {} : { scenario: "trunk" as const }),
        options: [transport === "TCP" ? "-t t1" : "", secret === undefined ? "" : `-key user ${username} -key secret ${password}`].join(" "), // prettier-ignore
      };
    }
  return parts;
}

/** Entries of a Secret of an example. */
export function secretOf(example: string, name: string): Readonly<Record<string, string>> {
  const found = readExample(example).find(({ kind, metadata }) => kind === "Secret" && metadata.name === name);
  if (found === undefined) throw new Error(`${example} has no Secret ${name}`);
  const { data } = found as RawObject & { data: Record<string, string> };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}
