import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import * as fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { defaultPipeline } from "../../../src/controller/stages.ts";
import { OperatorError } from "../../../src/errors.ts";
import { canonicalBody, changeGapMs, createControl, type ClosableControl } from "../../../src/kamailio/control.ts";
import { isBrokenOff } from "../../../src/kamailio/brokenOff.ts";
import { readPod } from "../../../src/kamailio/readPod.ts";
import type { ControlAddress } from "../../../src/kamailio/types.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

type Handler = (
  body: { method: string; id: number; params: unknown[] },
  response: ServerResponse,
  request: IncomingMessage,
) => void;

/** A peer that answers wrongly: the faults that a real Kamailio does not make on demand. */
async function faulty(
  handler: Handler,
  timeoutMs = 500,
): Promise<{ control: ClosableControl; address: ControlAddress; close: () => void }> {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => handler(JSON.parse(text) as never, response, request));
  });
  server.listen(0, "127.20.3.1");
  await once(server, "listening");
  const control = createControl({ timeoutMs });
  closers.push(() => {
    control.close();
    server.closeAllConnections();
    server.close();
  });
  return {
    control,
    close: () => void server.close(),
    address: { host: "127.20.3.1", port: (server.address() as AddressInfo).port, token: "secret-token" },
  };
}

const ok = (id: number, result: unknown): string => JSON.stringify({ jsonrpc: "2.0", result, id });

test("the longer the list of destinations is, the longer the pause between two changes of it", async () => {
  const changes: number[] = [];
  let count = 0;
  const { control, address } = await faulty(({ id, method }, response) => {
    const TARGETS = Array.from({ length: count / 2 }, () => ({}));
    if (method !== "dispatcher.list") changes.push(performance.now());
    response.end(
      ok(id, method === "dispatcher.list" ? { RECORDS: [{ SET: { TARGETS } }, { SET: { TARGETS } }] } : "Ok"),
    );
  });
  const pauses: number[] = [];
  for (count of [2, 200, 1000]) {
    await control.call(address, "dispatcher.list");
    await control.call(address, "dispatcher.add");
    await control.call(address, "dispatcher.remove");
    pauses.push((changes.at(-1) ?? 0) - (changes.at(-2) ?? 0));
  }
  // timers may end a millisecond early
  expect(pauses.map((pause, index) => pause >= [4, 4, 54][index]!)).toEqual([true, true, true]);
  expect([0, 200, 1000, 5000].map(changeGapMs)).toEqual([5, 5, 55, 305]);
});

test("requests to one address go one after the other, in order; to others at the same time", async () => {
  let running = 0;
  const order: unknown[] = [];
  const slow: Handler = ({ id, params }, response) => {
    expect((running += 1)).toBe(1);
    setTimeout(() => {
      running -= 1;
      order.push(params[0]);
      response.end(ok(id, params[0]));
    }, 5);
  };
  const { control, address } = await faulty(slow);
  const answers = await Promise.all([1, 2, 3, 4].map((number) => control.call(address, "mtree.reload", [number])));
  expect([answers, order]).toEqual([
    [1, 2, 3, 4],
    [1, 2, 3, 4],
  ]);

  const waiting: (() => void)[] = [];
  const both: Handler = ({ id }, response) => {
    waiting.push(() => response.end(ok(id, "both")));
    if (waiting.length === 2) for (const answer of waiting) answer();
  };
  const [one, two] = [await faulty(both), await faulty(both)];
  expect(await Promise.all([one, two].map((peer) => peer.control.call(peer.address, "core.version")))).toEqual([
    "both",
    "both",
  ]);
});

test("after the fence nothing is sent, also of what waits for its turn; what was sent is answered", async () => {
  const sent: string[] = [];
  const underWay = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const { control, address } = await faulty(({ id, method }, response) => {
    sent.push(method);
    underWay.resolve();
    void answer.promise.then(() => response.end(ok(id, "done")));
  }, 10_000);
  const first = control.call(address, "mtree.reload");
  const waiting = control.call(address, "dispatcher.list").catch(String);
  await underWay.promise;
  control.fence("somebody else leads.");
  answer.resolve();
  expect(await first).toBe("done");
  expect(await waiting).toContain("was not sent: somebody else leads.");
  await expect(control.call(address, "core.version")).rejects.toThrow("was not sent: somebody else leads.");
  expect(sent).toEqual(["mtree.reload"]);
});

test("a failed request does not hold up the next one", async () => {
  let count = 0;
  const { control, address } = await faulty(({ id }, response) => {
    count += 1;
    if (count === 1) response.socket?.destroy();
    else response.end(ok(id, "fine"));
  });
  const first = control.call(address, "core.version");
  const second = control.call(address, "core.version");
  await expect(first).rejects.toMatchObject({ code: "SIPR_RPC_UNREACHABLE" });
  expect(await second).toBe("fine");
});

test.each<[string, Handler, string]>([
  ["silence", () => {}, "SIPR_RPC_UNREACHABLE"],
  ["a closed connection", (_, response) => response.socket?.destroy(), "SIPR_RPC_UNREACHABLE"],
  [
    "half an answer",
    (_, response) => (response.writeHead(200, { "Content-Length": 100 }), response.write("{"), response.socket?.end()),
    "SIPR_RPC_UNREACHABLE",
  ],
  ["text", (_, response) => response.end("hello"), "SIPR_RPC_MALFORMED"],
  ["another id", ({ id }, response) => response.end(ok(id + 1, "late")), "SIPR_RPC_MALFORMED"],
  ["no result", ({ id }, response) => response.end(JSON.stringify({ jsonrpc: "2.0", id })), "SIPR_RPC_MALFORMED"],
  [
    "a fault",
    ({ id }, response) => response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: 500, message: "no" } })),
    "SIPR_RPC_FAULT",
  ],
  ["401", (_, response) => (response.writeHead(401), response.end("no")), "SIPR_RPC_FAULT"],
])("%s is a typed error that names method and address, and not the token", async (_, handler, code) => {
  const { control, address } = await faulty(handler);
  const error = await control
    .call(address, "core.version")
    .catch((thrown: unknown) => thrown as { code: string; message: string; remedy: string });
  expect(error).toMatchObject({ code, message: expect.stringContaining(`core.version to 127.20.3.1:${address.port}`) });
  expect(JSON.stringify([error, (error as { remedy: string }).remedy])).not.toContain("secret-token");
});

test("a body is canonical or is not sent, whatever the parameters", () => {
  const canonical =
    /^\{"jsonrpc":"2\.0","method":"[a-zA-Z0-9_.]{1,64}","params":\[(("[^"\\]*"|-?[0-9]+)(,("[^"\\]*"|-?[0-9]+))*)?\],"id":[0-9]{1,15}\}$/;
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.string({ unit: "binary" }), fc.double(), fc.integer(), fc.constant('","method":"core.kill')),
      ),
      (params) => {
        const body = bodyOrRefused(params);
        if (body === undefined) return true;
        const sent = { jsonrpc: "2.0", method: "dispatcher.add", params, id: 1 };
        return canonical.test(body) && body === JSON.stringify(sent);
      },
    ),
  );
  expect(() => canonicalBody("core.kill", [], 1)).toThrow(/does not serve/);
});

test("a pod without any destination reads as an empty list, a table without generation as none", async () => {
  const { control, address } = await faulty(({ id, method }, response) => {
    const fault = (message: string): string => JSON.stringify({ jsonrpc: "2.0", id, error: { code: 500, message } });
    if (method === "dispatcher.list") response.end(fault("No Destination Sets"));
    else if (method === "mtree.match") response.end(fault("Prefix not found"));
    else if (method === "dlg.stats_active") response.end(ok(id, { all: 3 }));
    else if (method === "core.shmmem") response.end(ok(id, { total: 400, free: 300, used: 90, real_used: 100 }));
    else if (method === "core.version") response.end(ok(id, "kamailio 6.0.1 (x86_64/linux) "));
    else response.end(fault("Key name doesn't exist in htable."));
  });
  const desired = {
    revision: "",
    dispatcher: [],
    tables: [{ name: "ext", kind: "mtree", file: "ext", generation: "1" }],
  } as const;
  expect(await readPod(control, address, desired)).toEqual({
    destinations: [],
    tables: {},
    fresh: true,
    version: "6.0.1",
    draining: false,
    memoryUsed: 0.25,
    calls: 3,
  });
});

test("the operator's reading of destinations alone takes no destination for an empty list too", async () => {
  const { control, address } = await faulty(({ id }, response) =>
    response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: 500, message: "No Destination Sets" } })),
  );
  expect(await defaultPipeline.readDestinations(control, address)).toEqual([]);
});

test("an unexpected fault of a reading is not taken for an empty pod", async () => {
  const { control, address } = await faulty(({ id }, response) =>
    response.end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: 500, message: "Server failure" } })),
  );
  await expect(readPod(control, address, { revision: "", dispatcher: [], tables: [] })).rejects.toMatchObject({
    code: "SIPR_RPC_FAULT",
  });
});

function bodyOrRefused(params: (string | number)[]): string | undefined {
  try {
    return canonicalBody("dispatcher.add", params, 1);
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "SIPR_RPC_MALFORMED") throw error;
    return undefined;
  }
}

test("a connection that ends under a request is told from one that never stood and from silence", async () => {
  const why = async ({ control, address }: Omit<Awaited<ReturnType<typeof faulty>>, "close">): Promise<unknown> =>
    control.call(address, "core.version").catch((error: unknown) => error);
  const ended = await faulty((_body, _response, request) => void request.socket.destroy());
  expect(isBrokenOff(await why(ended))).toBe(true);
  // the first request is answered, the second one ends the process: nobody listens when it is sent again
  const kept = await faulty(({ id, method }, response, request) => {
    if (method === "dispatcher.list") return void response.end(ok(id, {}));
    kept.close();
    request.socket.destroy();
  });
  await kept.control.call(kept.address, "dispatcher.list");
  expect(isBrokenOff(await why(kept))).toBe(true);
  const silent = await faulty(() => {}, 50);
  expect(isBrokenOff(await why(silent))).toBe(false);
  const control = createControl();
  expect(isBrokenOff(await why({ control, address: { host: "127.20.3.1", port: 1, token: "" } }))).toBe(false);
  control.close();
});
