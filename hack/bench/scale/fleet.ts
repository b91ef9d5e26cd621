/** Routers and backends, written before the operator starts: ten routers to a namespace. */
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { createConnection } from "../../../src/kube/connection.ts";

export const BACKENDS = 10;
const PARALLEL = 16;
export const namespaceOf = (router: number): string => `team-${Math.floor(router / 10)}`;
export const backendName = (router: number, index: number): string => `pbx-${router}-${index}`;

const routerOf = (router: number): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: `edge-${router}`, namespace: namespaceOf(router) },
  spec: {
    replicas: 2,
    dispatcherSets: [
      {
        name: "pbx",
        id: 1,
        backends: Array.from({ length: BACKENDS }, (_, index) => ({ name: backendName(router, index) })),
      },
    ],
    routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
  },
});

const backendOf = (router: number, index: number): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name: backendName(router, index), namespace: namespaceOf(router) },
  spec: { address: `10.${Math.floor(router / 250)}.${router % 250}.${index + 1}`, port: 5060 },
});

export const createFleet = async (server: TestApiServer, routers: number): Promise<void> => {
  const connection = createConnection(server.kubeConfig);
  const api = "/apis/siprouter.dev/v1alpha1/namespaces";
  const namespaces = [...new Set(Array.from({ length: routers }, (_, index) => namespaceOf(index)))];
  const jobs: (readonly [path: string, body: object])[] = Array.from({ length: routers }, (_, router) => [
    ...Array.from(
      { length: BACKENDS },
      (__, index) => [`${api}/${namespaceOf(router)}/pbxbackends`, backendOf(router, index)] as const,
    ),
    [`${api}/${namespaceOf(router)}/siprouters`, routerOf(router)] as const,
  ]).flat();
  for (const name of namespaces)
    await connection.request("POST", "/api/v1/namespaces", { body: { metadata: { name } } });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++])
      await connection.request("POST", job[0], { body: job[1] });
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  connection.close();
};
