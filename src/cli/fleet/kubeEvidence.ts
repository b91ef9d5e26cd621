/** What a cluster has for a bug report: objects, Events and logs of a router, the operator's log. */
import { compare, type RawObject } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import type { Query } from "../../kube/connection.ts";
import { kindInfo, pathOf } from "../../kube/kinds.ts";
import { KAMAILIO_CONTAINER } from "../../model/podTemplate.ts";
import { podSelector } from "../../render/objects/names.ts";
import { objectEvidence } from "../views/evidence.ts";
import type { Evidence, Fleet } from "./index.ts";

interface Reader {
  list(kind: string, namespace: string | undefined, query: Query): Promise<RawObject[]>;
  get(path: string, query?: Query): Promise<unknown>;
}

/** as people may list them: `kubectl get events` (the group events.k8s.io has the same objects under another right) */
interface CoreEvent {
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly count?: number | null;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
  readonly involvedObject?: { readonly kind?: string; readonly name?: string };
}

const LOG_LINES = 500;
const kinds = ["ConfigMap", "Deployment", "Service", "Pod", "PodDisruptionBudget"];
const operatorLabels = "app.kubernetes.io/component=operator,app.kubernetes.io/name=sip-router-operator";

/** A part that may not be read, or is not there, is said in its place: the rest is worth having. */
const unlessRefused = async (name: string, read: () => Promise<string>): Promise<Evidence> => {
  try {
    return { name, content: await read() };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { name: name.replace(/\.\w+$/, ".not-read.txt"), content: `${error.message}\n${error.remedy}\n` };
  }
};

export function kubeEvidence({ list, get }: Reader): Pick<Fleet, "evidence" | "operatorEvidence"> {
  const log = (pod: RawObject, container: string | undefined, name: string, previous: boolean): Promise<Evidence> =>
    unlessRefused(name, async () => {
      const path = pathOf(kindInfo("Pod"), pod.metadata.namespace, pod.metadata.name, "log");
      const said = await get(path, { tailLines: LOG_LINES, container, ...(previous ? { previous: "true" } : {}) });
      // a log of one line of JSON arrives parsed
      return typeof said === "string" ? said : said === undefined ? "" : `${JSON.stringify(said)}\n`;
    });
  const logsOf = (pod: RawObject, container?: string): Promise<Evidence>[] => {
    const base = `logs/${pod.metadata.name}`;
    const runs = [log(pod, container, `${base}.log`, false)];
    return restarted(pod) ? [...runs, log(pod, container, `${base}.previous.log`, true)] : runs;
  };
  return {
    async evidence(router) {
      const { namespace, name } = router.metadata;
      const labelSelector = Object.entries(podSelector(name))
        .map(([key, value]) => `${key}=${value}`)
        .join(",");
      const objects = await Promise.all(kinds.map((kind) => list(kind, namespace, { labelSelector })));
      const pods = objects[kinds.indexOf("Pod")] ?? [];
      const events = unlessRefused(`events-${name}.txt`, async () =>
        describeEvents(await listEvents(get, namespace), [name, ...objects.flat().map((one) => one.metadata.name)]),
      );
      const logs = pods.flatMap((pod) => logsOf(pod, KAMAILIO_CONTAINER));
      return [...objects.flat().map((object) => objectEvidence(object)), ...(await Promise.all([events, ...logs]))];
    },
    async operatorEvidence() {
      try {
        const pods = await list("Pod", undefined, { labelSelector: operatorLabels });
        return await Promise.all(pods.flatMap((pod) => logsOf(pod)));
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        const content = `${error.message}\nWho may read it: kubectl logs --all-containers --prefix --tail=${LOG_LINES} -A -l ${operatorLabels}\n`;
        return [{ name: "log.not-read.txt", content }];
      }
    },
  };
}

const restarted = (pod: RawObject): boolean => {
  const { containerStatuses = [] } = (pod["status"] ?? {}) as {
    containerStatuses?: readonly { readonly restartCount?: number }[];
  };
  return containerStatuses.some(({ restartCount = 0 }) => restartCount > 0);
};

async function listEvents(get: Reader["get"], namespace: string): Promise<CoreEvent[]> {
  const found: CoreEvent[] = [];
  let next: string | undefined;
  do {
    const page = (await get(`/api/v1/namespaces/${encodeURIComponent(namespace)}/events`, {
      limit: 500,
      continue: next,
    })) as { readonly items?: readonly CoreEvent[]; readonly metadata?: { readonly continue?: string } };
    found.push(...(page.items ?? []));
    next = page.metadata?.continue;
  } while (next);
  return found;
}

/** Of these objects, of those whose names are made of theirs (ReplicaSets, pods that are gone) and of backends; the oldest first. */
function describeEvents(events: readonly CoreEvent[], names: readonly string[]): string {
  const concerns = ({ involvedObject: { kind = "", name = "" } = {} }: CoreEvent): boolean =>
    kind === "PbxBackend" || names.some((one) => name === one || name.startsWith(`${one}-`));
  const lines = events.filter(concerns).map((event) => {
    const { type = "", reason = "", message = "", count, involvedObject } = event;
    const when = event.lastTimestamp ?? event.eventTime ?? "";
    const times = (count ?? 1) > 1 ? ` (${count} times)` : "";
    return `${when}  ${type}  ${reason}  ${involvedObject?.kind}/${involvedObject?.name}  ${message}${times}`;
  });
  return lines
    .toSorted(compare)
    .map((line) => `${line}\n`)
    .join("");
}
