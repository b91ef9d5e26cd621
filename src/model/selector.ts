/** Kubernetes label selectors (metav1.LabelSelector). */
import { labelSelector } from "../api/selector.ts";

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?:
    | readonly {
        readonly key: string;
        /** In, NotIn, Exists or DoesNotExist */
        readonly operator: string;
        readonly values?: readonly string[] | undefined;
      }[]
    | undefined;
}

/** Of a spec that nobody has checked yet. */
export const isLabelSelector = (value: unknown): value is LabelSelector => labelSelector.safeParse(value).success;

/** All conditions must hold; an empty selector matches everything. */
export function matchesSelector(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, wanted]) => value(key) === wanted) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values }) => {
      const found = value(key);
      if (operator === "Exists") return found !== undefined;
      if (operator === "DoesNotExist") return found === undefined;
      const listed = found !== undefined && (values ?? []).includes(found);
      return operator === "In" ? listed : !listed;
    })
  );
}
