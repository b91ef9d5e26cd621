/** What the kubelet would write into a Pod's status. Pure. */
import type { PodStatus } from "../../../src/standalone/runner/index.ts";

interface Condition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly lastTransitionTime: string;
  readonly reason?: string | null;
  readonly message?: string | null;
}

interface KubeletStatus {
  readonly phase: string;
  readonly podIP: string;
  readonly podIPs: readonly { readonly ip: string }[];
  readonly hostIP: string;
  readonly startTime: string;
  readonly conditions: readonly Condition[];
  readonly containerStatuses: readonly object[];
}

export function podStatusOf(status: PodStatus, before: KubeletStatus | undefined, now: Date): KubeletStatus {
  const { record, running, ready, message } = status;
  const container = record.spec.containers[0];
  const conditions = (["PodScheduled", "Initialized", "ContainersReady", "Ready"] as const).map((type): Condition => {
    const value = type === "PodScheduled" || type === "Initialized" || ready ? "True" : "False";
    const last = before?.conditions.find((condition) => condition.type === type);
    const lastTransitionTime = last?.status === value ? last.lastTransitionTime : now.toISOString();
    return {
      type,
      status: value,
      lastTransitionTime,
      ...(value === "False" ? { reason: "ContainersNotReady", message } : {}),
    };
  });
  const [word = "", ...rest] = message.split(": ");
  // Null takes a field out in a merge patch, within a list too, where the whole list is replaced anyway.
  const state = running
    ? { running: { startedAt: status.startedAt } }
    : {
        waiting: /^[A-Z][A-Za-z_]+$/.test(word)
          ? { reason: word, message: rest.join(": ") }
          : { reason: "ContainerCreating", message },
      };
  const containerStatus = {
    name: container?.name ?? "",
    image: "local",
    imageID: "",
    ready,
    started: running,
    restartCount: status.restartCount,
    state,
  };
  return {
    phase: status.phase,
    podIP: record.ip,
    podIPs: [{ ip: record.ip }],
    hostIP: "127.0.0.1",
    startTime: before?.startTime ?? now.toISOString(),
    conditions,
    containerStatuses: [containerStatus],
  };
}
