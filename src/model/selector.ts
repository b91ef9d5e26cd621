/** Kubernetes label selectors (metav1.LabelSelector). */
import type { SipRouterSpec } from "../api/index.ts";

type Selector = NonNullable<SipRouterSpec["dispatcherSets"][number]["selector"]>;

/** All conditions must hold; an empty selector matches everything. */
export function matchesSelector(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, wanted]) => value(key) === wanted) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const found = value(key);
      if (operator === "Exists") return found !== undefined;
      if (operator === "DoesNotExist") return found === undefined;
      const listed = found !== undefined && values.includes(found);
      return operator === "In" ? listed : !listed;
    })
  );
}
