/**
 * `validate`: every issue of resource files, with file and line. Files are not a cluster: what only a cluster has (Secrets, which are
 * not kept in Git, Services and their endpoints, names of its DNS, registrations) is a warning.
 */
import type { Reason } from "../api/index.ts";
import { keyOf } from "../api/index.ts";
import { describeIssue, sortIssues, type Issue } from "../model/index.ts";
import { describeError, describeRef, type LocatedObject } from "../standalone/resources.ts";
import type { Command } from "./io.ts";
import { evaluate } from "./render.ts";
import { readResources, type FileOptions } from "./resourceFiles.ts";

interface ValidateOptions extends FileOptions {
  /** warnings are errors */
  readonly strict?: boolean;
}

/** What files need not hold, though a cluster does. */
const onlyInCluster: ReadonlySet<Reason> = new Set([
  "SecretNotFound",
  "ServiceNotFound",
  "NoEndpoints",
  "NameNotResolved",
]);

/** Exit code 1 when something is wrong; warnings alone are none. */
export const validate: Command<ValidateOptions> = async (options, io) => {
  const { objects, errors, located } = await readResources(options, io);
  const outcome = await evaluate(objects, io);
  const issues = sortIssues(
    [...outcome.routers.values()].flatMap((one) => one.issues).concat([...outcome.backends.values()].flat()),
  );
  const judged = issues
    .filter(({ reason }) => reason !== "NotRegistered")
    .map((issue) => ({ issue, warning: options.strict !== true && isWarning(issue, issues) }));
  const place = placesOf(located);
  for (const error of errors) io.stderr(describeError(error));
  for (const { issue, warning } of judged)
    io.stderr(`${place(issue)}${warning ? "warning: " : ""}${describeIssue(issue)}`);
  if (outcome.routers.size + outcome.backends.size === 0 && errors.length === 0)
    io.stderr(`no SipRouter and no PbxBackend in ${options.file.join(", ")}: nothing to validate.`);
  return errors.length > 0 || judged.some(({ warning }) => !warning) ? 1 : 0;
};

/** What follows from a warning alone is one, too: a set without a usable backend because its Service is in the cluster. */
const isWarning = (issue: Issue, all: readonly Issue[]): boolean =>
  onlyInCluster.has(issue.reason) ||
  (issue.reason === "NoBackends" &&
    all.some(
      ({ object, path, reason }) =>
        describeRef(object) === describeRef(issue.object) && path.startsWith(issue.path) && onlyInCluster.has(reason),
    ));

/** `FILE:LINE: ` of the object's YAML document. */
function placesOf(located: readonly LocatedObject[]): (issue: Issue) => string {
  const places = new Map(
    located.map(({ object, file, line }) => [`${object.kind} ${keyOf(object)}`, `${file}:${line}: `]),
  );
  return ({ object }) => places.get(describeRef(object)) ?? "";
}
