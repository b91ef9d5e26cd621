/** A container's command line and environment as a local process gets them. */
import { expect, test } from "vitest";
import { resolveContainer, type ContainerContext } from "../../../src/standalone/runner/container.ts";
import type { Container } from "../../../src/standalone/runner/types.ts";

const context: ContainerContext = {
  record: {
    namespace: "ns",
    name: "edge-0",
    uid: "u",
    ip: "127.40.0.1",
    labels: { app: "x" },
    annotations: {},
    spec: { containers: [] },
  },
  objects: {
    get: (kind, _namespace, name) =>
      kind === "Secret" && name === "control"
        ? { data: { token: Buffer.from("t0ken").toString("base64") } }
        : undefined,
  },
  loopback: "127.40.0.1",
  // contains a mount path: must not be replaced a second time
  volumeFolder: (volume) => `/state/run/sip/${volume}`,
  baseEnv: { PATH: "/bin" },
};
const container = (part: Partial<Container>): Container => ({
  name: "kamailio",
  volumeMounts: [
    { name: "data", mountPath: "/etc/sip/data" },
    { name: "deep", mountPath: "/etc/sip/data/deep/" },
    { name: "run", mountPath: "/run/sip" },
  ],
  ...part,
});
const resolve = (part: Partial<Container>, change: Partial<ContainerContext> = {}) => {
  const command = resolveContainer(container(part), { ...context, ...change });
  if (typeof command === "string") throw new Error(command);
  return command;
};

test("mount paths become local folders wherever they stand, the longest first, and only as whole names", () => {
  const args = [
    "-f/etc/sip/data/k.cfg",
    '-A DIR="/etc/sip/data"',
    "/etc/sip/data/deep/x",
    "/etc/sip/database",
    "-Y",
    "/run/sip",
  ];
  expect(resolve({ command: ["kamailio"], args }).argv).toEqual([
    "kamailio",
    "-f/state/run/sip/data/k.cfg",
    '-A DIR="/state/run/sip/data"',
    "/state/run/sip/deep/x",
    "/etc/sip/database",
    "-Y",
    "/state/run/sip/run",
  ]);
});

test("variables are expanded as the kubelet does", () => {
  const { argv, env } = resolve({
    command: ["kamailio"],
    args: ["-l", "udp:$(POD_IP):5060", "$$(POD_IP)", "$(NONE)"],
    env: [
      { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      { name: "URL", value: "http://$(POD_IP)/" },
      { name: "DIR", value: "/run/sip/x" },
      { name: "TOKEN", valueFrom: { secretKeyRef: { name: "control", key: "token" } } },
      { name: "APP", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
    ],
  });
  expect(argv).toEqual(["kamailio", "-l", "udp:127.40.0.1:5060", "$(POD_IP)", "$(NONE)"]);
  expect(env).toEqual({
    PATH: "/bin",
    POD_IP: "127.40.0.1",
    URL: "http://127.40.0.1/",
    DIR: "/state/run/sip/run/x",
    TOKEN: "t0ken",
    APP: "x",
  });
});

test("the program can be another one; the hook keeps its own", () => {
  const preStop = { exec: { command: ["/bin/sh", "/etc/sip/data/drain.sh", "$(POD_IP)"] } };
  const command = resolve(
    { command: ["kamailio"], args: ["-DD"], lifecycle: { preStop } },
    { program: "/opt/kamailio" },
  );
  expect(command.argv).toEqual(["/opt/kamailio", "-DD"]);
  expect(command.preStop).toEqual(["/bin/sh", "/state/run/sip/data/drain.sh", "$(POD_IP)"]);
});

test("a Secret that is not there is named, its key too", () => {
  const env = [{ name: "T", valueFrom: { secretKeyRef: { name: "none", key: "token" } } }];
  expect(resolveContainer(container({ command: ["k"], env }), context)).toContain("Secret ns/none not found");
  const other = [{ name: "T", valueFrom: { secretKeyRef: { name: "control", key: "other" } } }];
  expect(resolveContainer(container({ command: ["k"], env: other }), context)).toContain("has no key other");
});
