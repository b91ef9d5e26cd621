/** A pod whose container is a tiny HTTP server: answers with what its volume holds, counts nothing, does as told. */
import type { PodRecord, PodSpec } from "../../src/standalone/runner/index.ts";

const server = `
const http = require("node:http"), fs = require("node:fs");
const [ip, port, dir] = process.argv.slice(1);
let draining = false;
const server = http.createServer((request, reply) => {
  if (request.url === "/drain") { draining = true; reply.end("draining"); return; }
  if (request.url === "/exit") { console.log("told to exit"); process.exit(3); }
  if (request.url === "/readyz") { reply.statusCode = draining ? 503 : 200; reply.end(); return; }
  if (request.url === "/env") { reply.end(JSON.stringify(process.env)); return; }
  try { reply.end(fs.readFileSync(dir + "/value", "utf8")); } catch (error) { reply.statusCode = 500; reply.end(String(error)); }
});
server.on("error", (error) => { console.log(error.message); process.exit(1); });
server.listen(Number(port), ip);
process.on("SIGTERM", () => process.exit(0));
`;

export const STUB_PORT = 9060;

export function stubSpec(overrides: Partial<PodSpec["containers"][number]> = {}, pod: Partial<PodSpec> = {}): PodSpec {
  return {
    terminationGracePeriodSeconds: 10,
    volumes: [
      { name: "data", configMap: { name: "data" } },
      { name: "control", secret: { secretName: "control" } },
      { name: "run", emptyDir: {} },
    ],
    containers: [
      {
        name: "stub",
        command: [process.execPath],
        args: ["-e", server, "--", "$(POD_IP)", String(STUB_PORT), "/etc/stub/data"],
        env: [
          { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
          { name: "TOKEN", valueFrom: { secretKeyRef: { name: "control", key: "token" } } },
          { name: "RUN_DIR", value: "/run/stub" },
        ],
        ports: [{ name: "control", containerPort: STUB_PORT, protocol: "TCP" }],
        volumeMounts: [
          { name: "data", mountPath: "/etc/stub/data" },
          { name: "control", mountPath: "/etc/stub/control" },
          { name: "run", mountPath: "/run/stub" },
        ],
        readinessProbe: { httpGet: { path: "/readyz", port: "control" }, periodSeconds: 1, failureThreshold: 1 },
        ...overrides,
      },
    ],
    ...pod,
  };
}

export const stubRecord = (name: string, ip: string, spec: PodSpec = stubSpec()): PodRecord => ({
  namespace: "default",
  name,
  uid: `uid-${name}`,
  ip,
  labels: {},
  annotations: {},
  spec,
});
