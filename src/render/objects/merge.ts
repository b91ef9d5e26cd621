/**
 * A user's podTemplate on top of the operator's. What the operator owns was refused before (model/podTemplate.ts), and
 * stays as it is here: lists are extended, the operator's items first.
 */
import { KAMAILIO_CONTAINER } from "../../model/index.ts";

interface Named {
  readonly name: string;
}
export interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers: readonly Named[];
    readonly volumes: readonly Named[];
    readonly [field: string]: unknown;
  };
}
interface UserTemplate {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly containers?: readonly Named[];
    readonly volumes?: readonly Named[];
    readonly [field: string]: unknown;
  };
}
interface KamailioOverrides {
  readonly env?: readonly Named[];
  readonly volumeMounts?: readonly Named[];
  readonly [field: string]: unknown;
}

export function mergePodTemplate(
  own: PodTemplate,
  template: Readonly<Record<string, unknown>> | undefined,
): PodTemplate {
  const { metadata, spec }: UserTemplate = template ?? {};
  const { containers = [], volumes = [], ...fields } = spec ?? {};
  const overrides = containers.find(({ name }) => name === KAMAILIO_CONTAINER) as KamailioOverrides | undefined;
  const others = containers.filter(({ name }) => name !== KAMAILIO_CONTAINER);
  return {
    metadata: {
      labels: { ...metadata?.labels, ...own.metadata.labels },
      annotations: { ...metadata?.annotations, ...own.metadata.annotations },
    },
    spec: {
      ...own.spec,
      ...fields,
      // Kamailio first: the default of `kubectl logs` and `kubectl exec`.
      containers: [...own.spec.containers.map((container) => mergeContainer(container, overrides)), ...others],
      volumes: [...own.spec.volumes, ...volumes],
    },
  };
}

function mergeContainer(own: Named, overrides: KamailioOverrides | undefined): Named {
  if (overrides === undefined) return own;
  const { env = [], volumeMounts = [], ...fields } = overrides;
  const base = own as Named & KamailioOverrides;
  return {
    ...own,
    ...fields,
    name: own.name,
    env: [...(base.env ?? []), ...env],
    volumeMounts: [...(base.volumeMounts ?? []), ...volumeMounts],
  } as Named;
}
