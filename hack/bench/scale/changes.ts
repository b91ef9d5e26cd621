/** One PbxBackend after the other, each of another router: how long until its router's file is written. */
import { createConnection } from "../../../src/kube/connection.ts";
import { OperatorProcess } from "../../../test/integration/kube/process.ts";
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { summary } from "../change/measure.ts";
import { backendName, namespaceOf } from "./fleet.ts";

const now = (): number => performance.timeOrigin + performance.now();

export const measureChanges = async (
  server: TestApiServer,
  operator: OperatorProcess,
  routers: number,
  changes: number,
): Promise<{ readonly decided: number; readonly written: number; readonly writtenP95: number }> => {
  const connection = createConnection(server.kubeConfig);
  const decided: number[] = [];
  const written: number[] = [];
  for (let index = 0; index < changes; index += 1) {
    const router = (index * 37) % routers;
    const began = now();
    const done = new Promise<void>((resolve) => {
      operator.onLine = (line) => {
        const at = Date.parse(String(line["time"])) - began;
        if (line.message === "new revision") decided.push(at);
        if (line.message !== "applied" || line["kind"] !== "ConfigMap") return;
        written.push(at);
        resolve();
      };
    });
    const path = `/apis/siprouter.dev/v1alpha1/namespaces/${namespaceOf(router)}/pbxbackends/${backendName(router, index % 10)}`;
    const body = { spec: { port: 5061 + index } };
    await connection.request("PATCH", path, { body, contentType: "application/merge-patch+json" });
    await done;
  }
  connection.close();
  return { decided: summary(decided).p50, written: summary(written).p50, writtenP95: summary(written).p95 };
};
