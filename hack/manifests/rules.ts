/**
 * What the operator may do, once: from here come the roles of config/rbac and those of the Helm chart, and the test that
 * compares them with the requests that were really made (test/integration/package/rbac.test.ts).
 */
export interface Rule {
  /** a comment above the rule */
  readonly why?: string;
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const watch = ["list", "watch"];

/** In each namespace that is served, or by a ClusterRole in all. */
export const operatorRules: readonly Rule[] = [
  {
    why: "what users write: read only, never their spec or labels",
    apiGroups: ["siprouter.dev"],
    resources: ["siprouters", "pbxbackends"],
    verbs: watch,
  },
  { apiGroups: ["siprouter.dev"], resources: ["siprouters/status", "pbxbackends/status"], verbs: ["patch"] },
  {
    why: "owner references with blockOwnerDeletion, where the API server enforces that",
    apiGroups: ["siprouter.dev"],
    resources: ["siprouters/finalizers"],
    verbs: ["update"],
  },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: watch },
  {
    why: "its own Secrets are watched by their label, those that a SipRouter or PbxBackend names one by one by name, no other: resourceNames can\n# narrow the first rule, then all are watched by name",
    apiGroups: [""],
    resources: ["secrets"],
    verbs: ["get", ...watch, "patch"],
  },
  { apiGroups: [""], resources: ["secrets"], verbs: ["create"] },
  {
    why: "what the operator makes for a SipRouter; what a change makes superfluous is deleted, the rest goes with its owner",
    apiGroups: [""],
    resources: ["services", "configmaps"],
    verbs: ["get", ...watch, "create", "patch", "delete"],
  },
  {
    apiGroups: ["policy"],
    resources: ["poddisruptionbudgets"],
    verbs: ["get", ...watch, "create", "patch", "delete"],
  },
  { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["get", ...watch, "create", "patch"] },
  { apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", ...watch, "create", "patch"] },
  {
    why: "patch: one annotation, which makes the kubelet bring changed files at once",
    apiGroups: [""],
    resources: ["pods"],
    verbs: [...watch, "patch"],
  },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
];

/** The Lease by which one of several instances leads; in the namespace that the operator runs in. */
export const leaderRules = (lease: string): readonly Rule[] => [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: [lease], verbs: ["get", "update"] },
];

const list = (items: readonly string[]): string => `[${items.map((item) => (item === "" ? '""' : item)).join(", ")}]`;

/** YAML list items without indentation. `resourceNames` are written as they are: they may be a template. */
export const rulesText = (rules: readonly Rule[]): string =>
  rules
    .flatMap(({ why, apiGroups, resources, resourceNames, verbs }) => [
      ...(why === undefined ? [] : [`# ${why}`]),
      `- apiGroups: ${list(apiGroups)}`,
      `  resources: ${list(resources)}`,
      ...(resourceNames === undefined ? [] : [`  resourceNames: ${list(resourceNames)}`]),
      `  verbs: ${list(verbs)}`,
    ])
    .join("\n");

export interface UserRole {
  readonly name: string;
  readonly about: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly rules: readonly Rule[];
}

/** ClusterRoles for people, to be bound namespace by namespace (docs/cli.md). */
export const userRoles: readonly UserRole[] = [
  {
    name: "sip-viewer",
    about: "To look: kubectl get, kubectl sip status.",
    labels: { "rbac.authorization.k8s.io/aggregate-to-view": "true" },
    rules: [
      { apiGroups: ["siprouter.dev"], resources: ["siprouters", "pbxbackends"], verbs: ["get", ...watch] },
      { apiGroups: [""], resources: ["pods", "services", "events"], verbs: ["get", ...watch] },
    ],
  },
  {
    name: "sip-editor",
    about:
      "To write routers and backends; whoever may edit or administer a namespace may. Who has it decides what the pods run\n# (spec.kamailio), with which Secrets: it is as much as the right to create pods.",
    labels: {
      "rbac.authorization.k8s.io/aggregate-to-edit": "true",
      "rbac.authorization.k8s.io/aggregate-to-admin": "true",
    },
    rules: [
      {
        apiGroups: ["siprouter.dev"],
        resources: ["siprouters", "pbxbackends"],
        verbs: ["get", ...watch, "create", "update", "patch", "delete"],
      },
      { apiGroups: ["siprouter.dev"], resources: ["siprouters/scale"], verbs: ["get", "update", "patch"] },
    ],
  },
  {
    name: "sip-operator",
    about:
      "To operate: all of kubectl sip. The token of a router's control port is one Secret more, granted by name for each\n# router: who has it can change what its Kamailio runs.",
    rules: [
      { apiGroups: ["siprouter.dev"], resources: ["siprouters", "pbxbackends"], verbs: ["get", ...watch, "patch"] },
      {
        apiGroups: [""],
        resources: ["pods", "pods/log", "services", "configmaps", "events"],
        verbs: ["get", ...watch],
      },
      { apiGroups: [""], resources: ["pods/portforward"], verbs: ["create", "get"] },
      { apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", ...watch] },
      { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["get", ...watch] },
    ],
  },
];
