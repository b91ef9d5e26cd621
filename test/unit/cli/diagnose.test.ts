/** `kubectl sip diagnose`: what is taken out of a bug report, and what a pod that hangs, or a wrong file, does to it. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { diagnose } from "../../../src/cli/commands/diagnose.ts";
import type { Fleet } from "../../../src/cli/fleet/index.ts";
import { maskObject, maskText, objectEvidence } from "../../../src/cli/views/evidence.ts";
import { OperatorError } from "../../../src/errors.ts";
import { pods, router } from "../../golden/cli/fleet.ts";

const folder = mkdtempSync(join(tmpdir(), "diagnose-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a bug report has no secret", () => {
  test("of objects: telling keys, last applied forms, variables, headers, arguments", () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "p",
        namespace: "n",
        annotations: { "kubectl.kubernetes.io/last-applied-configuration": "s3cret", "vault.io/token": "s3cret" },
        managedFields: ["s3cret"],
      },
      spec: {
        password: "s3cret",
        nested: [{ apiToken: "s3cret", ha1: "s3cret" }],
        credentialsSecretName: "kept-1",
        containers: [
          {
            name: "sidecar",
            args: ["--password", "s3cret", "--api-key=s3cret", "-v", "kept-2", "--dsn=mysql://root:s3cret@db/x"],
            env: [
              { name: "DB_PASSWORD", value: "s3cret" },
              { name: "DSN", value: "s3cret" },
              { name: "SIP_ROUTER_RUN_DIR", value: "kept-3" },
              { name: "FROM", valueFrom: { secretKeyRef: { name: "kept-4", key: "password" } } },
            ],
            readinessProbe: { httpGet: { httpHeaders: [{ name: "Authorization", value: "s3cret" }] } },
          },
        ],
      },
    };
    expect(JSON.stringify(maskObject(pod))).not.toContain("s3cret");
    const { content } = objectEvidence(pod);
    expect(content).not.toContain("s3cret");
    for (const kept of ["kept-1", "kept-2", "kept-3", "kept-4", "DB_PASSWORD"]) expect(content).toContain(kept);
    const data = { "kamailio.cfg": 'modparam("x", "y", "password=s3cret")' };
    const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "m", namespace: "n" }, data };
    expect(objectEvidence(map).content).not.toContain("s3cret");
  });

  test.each([
    'Authorization: Digest username="a", response="s3cret"',
    '"headers":{"authorization":"Basic s3cret"}',
    "Bearer s3cret-token-1",
    "Basic czNjcmV0OnMzY3JldA==",
    "sip:1000:s3cret@host",
    'nonce="s3cret", response=s3cret,cnonce="s3cret"',
    "password=s3cret",
    'secret = "a s3cret"',
    '{"level":30,"password":"s3\\"s3cret","more":"kept"}',
    '{"msg":"{\\"db_password\\": \\"s3cret\\"}"}',
    "DB_PASSWORD: s3cret",
    "MYSQL_PWD='a s3cret'",
    "cannot connect to mysql://root:s3cret@db.example.com/voip",
    "https://s3cret@example.com/hook",
    "GET /hook?access_token=s3cret&x=1",
    "X-Api-Key: s3cret",
    "-----BEGIN EC PRIVATE KEY-----\ns3cret\n-----END EC PRIVATE KEY-----",
  ])("of text: %s", (text) => expect(maskText(text)).not.toMatch(/s3cret|czNjcmV0/));

  test.each([
    "credentialsSecretName: trunk-1",
    'modparam("htable", "htable", "credentials=>size=12;dbtable=credentials;")',
    "sip:1000@host;transport=udp",
    "https://example.com:8443/x",
    "password:\n  next: line",
  ])("and nothing else goes: %s", (text) => expect(maskText(text)).toBe(text));
});

describe("diagnose", () => {
  const asked: string[] = [];
  const gathered: string[] = [];
  const fleet = {
    source: "a test",
    routers: async () => (gathered.push("routers"), [router]),
    backends: async () => [],
    pods: async () => pods.slice(0, 2).map((pod) => ({ ...pod, running: true })),
    rpc: async (pod: { name: string }, method: string) => {
      asked.push(`${pod.name} ${method}`);
      if (method === "core.psx") throw new OperatorError("SIPR_RPC_FAULT", "no such method", { remedy: "" });
      if (pod.name.endsWith("b") && method !== "core.version")
        throw new OperatorError("SIPR_RPC_UNREACHABLE", "no answer within 5 s.", { remedy: "Look at it." });
      return { password: "s3cret", said: method };
    },
    evidence: async () => [{ name: "logs/x.log", content: "token=s3cret\n" }],
    operatorEvidence: async () => [{ name: "logs/operator.log", content: "token=s3cret\n" }],
  } as unknown as Fleet;
  const run = async (to: string): Promise<{ code: number; out: string[]; err: string[] }> => {
    const [out, err]: [string[], string[]] = [[], []];
    const io = {
      stdout: (line: string) => void out.push(line),
      stderr: (line: string) => void err.push(line),
      write: () => {},
      columns: undefined,
      env: {},
      cwd: folder,
      signal: new AbortController().signal,
    };
    return { code: await diagnose({ fleet, io, now: () => 0 }, undefined, { to }), out, err };
  };

  test("a pod that hangs is asked no more, its first answers are kept, the exit code says that it is missing", async () => {
    const { code, out, err } = await run("report.tar.gz");
    expect(code).toBe(3);
    expect(err.join("\n")).toContain("no answer from pod voice/edge-7c9f-b: no answer within 5 s.");
    expect(asked.filter((one) => one.startsWith("edge-7c9f-b"))).toHaveLength(2);
    expect(out.join("\n")).toMatch(
      /operator\/logs\/operator\.log[^]*pods\/edge-7c9f-a\.json[^]*pods\/edge-7c9f-b\.json/,
    );
    const archive = gunzipSync(readFileSync(join(folder, "report.tar.gz"))).toString();
    expect(archive).not.toContain("s3cret");
    expect(archive).toContain("no such method");
    expect(archive).toContain('"said": "mtree.summary"');
  });

  test.each([
    ["missing/report.tar.gz", "there is no folder"],
    [".", "it is a folder"],
  ])("--to %s is refused before anything is gathered", async (to, why) => {
    gathered.length = 0;
    await expect(run(to)).rejects.toThrow(
      expect.objectContaining({ code: "SIPR_USAGE", message: expect.stringContaining(why) }),
    );
    expect(gathered).toEqual([]);
  });
});
