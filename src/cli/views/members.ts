/** Which backends are a router's own: those that its sets name or select. Pure. */
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import { matchesSelector } from "../../model/selector.ts";

export function backendsOfRouter(router: SipRouter, backends: readonly PbxBackend[]): readonly PbxBackend[] {
  const { dispatcherSets } = router.spec;
  const named = new Set(dispatcherSets.flatMap((set) => (set.backends ?? []).map(({ name }) => name)));
  const selectors = dispatcherSets.flatMap(({ selector }) => (selector === undefined ? [] : [selector]));
  return backends.filter(
    ({ metadata }) =>
      metadata.namespace === router.metadata.namespace &&
      (named.has(metadata.name) || selectors.some((one) => matchesSelector(one, metadata.labels ?? {}))),
  );
}
