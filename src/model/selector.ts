/** Kubernetes label selectors (metav1.LabelSelector). */

/** As it is read: what is written in it may be invalid. */
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
