/** A fleet in a cluster whose API server fails once, whose token is rotated, and which keeps the remains of evicted pods. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { afterEach, expect, test } from "vitest";
import type { Fleet } from "../../../src/cli/fleet/index.ts";
import { createKubeFleet } from "../../../src/cli/fleet/kubeFleet.ts";
import { router } from "../../golden/cli/fleet.ts";

const POD_IP = "127.97.0.1";
const servers: Server[] = [];
const fleets: Fleet[] = [];
afterEach(async () => {
  for (const fleet of fleets.splice(0)) fleet.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
});

const serve = async (
  answer: (request: IncomingMessage) => { status: number; body: object },
  host = "127.0.0.1",
  port = 0,
): Promise<number> => {
  const server = createServer((request: IncomingMessage, reply: ServerResponse) => {
    request.resume().on("end", () => {
      const { status, body } = answer(request);
      reply.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  servers.push(server);
  await new Promise<void>((done) => void server.listen(port, host, done));
  return (server.address() as AddressInfo).port;
};

const pod = (name: string, phase: string): object => ({
  metadata: { name, namespace: "voice" },
  status: {
    phase,
    podIP: POD_IP,
    containerStatuses: phase === "Running" ? [{ name: "kamailio", state: { running: {} } }] : [],
  },
});

const fleetAt = (port: number, namespace?: string): Fleet => {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromClusterAndUser(
    { name: "c", server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: "u", token: "t" },
  );
  const fleet = createKubeFleet({ kubeConfig, namespace, selector: undefined, direct: true, timeoutMs: 2000 });
  fleets.push(fleet);
  return fleet;
};

test("a token that could not be read once, and one that was rotated, are read again; what the requests are called", async () => {
  let token: string | undefined;
  let wanted = "old";
  const agents = new Set<string | undefined>();
  const api = await serve(({ url = "", headers }) => {
    agents.add(headers["user-agent"]);
    if (url.includes("/secrets/"))
      return token === undefined
        ? { status: 500, body: { message: "etcd is away" } }
        : { status: 200, body: { data: { token: Buffer.from(token).toString("base64") } } };
    return { status: 200, body: { items: [pod("a", "Running"), pod("b", "Failed"), pod("c", "Pending")] } };
  });
  await serve(
    ({ headers }) =>
      headers.authorization === `Bearer ${wanted}`
        ? { status: 200, body: { jsonrpc: "2.0", result: "said", id: (id += 1) } }
        : { status: 401, body: {} },
    POD_IP,
    9060,
  );
  // the client counts its requests, those that were refused too
  let id = 0;
  const fleet = fleetAt(api, "voice");
  const pods = await fleet.pods(router);
  expect(pods.map(({ name, running, pending }) => [name, running, pending])).toEqual([
    ["a", true, false],
    ["c", false, true],
  ]);
  const [first] = pods;
  if (first === undefined) throw new Error("no pod");
  await expect(fleet.rpc(first, "core.version")).rejects.toThrow(/etcd is away/);
  token = "old";
  expect(await fleet.rpc(first, "core.version")).toBe("said");
  [token, wanted] = ["new", "new"];
  id += 1;
  expect(await fleet.rpc(first, "core.version")).toBe("said");
  wanted = "never";
  await expect(fleet.rpc(first, "core.version")).rejects.toThrow(/HTTP 401/);
  expect([...agents]).toEqual(["kubectl-sip"]);
});

test("what is forbidden in all namespaces takes a clusterrolebinding; in one a rolebinding is enough", async () => {
  const api = await serve(() => ({ status: 403, body: { reason: "Forbidden", message: "no" } }));
  await expect(fleetAt(api).routers()).rejects.toMatchObject({
    remedy: expect.stringMatching(/-n instead of -A.*create clusterrolebinding/),
  });
  await expect(fleetAt(api, "voice").routers()).rejects.toMatchObject({
    remedy: expect.stringContaining("create rolebinding"),
  });
});
