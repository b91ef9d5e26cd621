/** The actions that bring a pod to what it must run, and what was decided of one pod. */
import type { DispatcherEntry } from "../render/types.ts";

export type ReloadAction =
  | { readonly kind: "addDestination"; readonly entry: DispatcherEntry; readonly reason: string }
  | { readonly kind: "removeDestination"; readonly setId: number; readonly uri: string; readonly reason: string }
  | {
      readonly kind: "setState";
      readonly setId: number;
      readonly uri: string;
      readonly state: string;
      readonly reason: string;
    }
  | { readonly kind: "reloadTable"; readonly table: string; readonly reason: string }
  | { readonly kind: "awaitFile"; readonly table: string; readonly reason: string }
  /** the pod is right for the first time since its start: it may take calls */
  | { readonly kind: "markSeeded"; readonly reason: string };

export interface PodDecision {
  /** true: the pod was read back and runs exactly `desired` */
  readonly inSync: boolean;
  /** in the order in which they must be done; empty when in sync */
  readonly actions: readonly ReloadAction[];
}
