/** Whose a port is, by what the kernel says. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { findSocketHolder } from "../../../src/standalone/runner/proc.ts";

let server: Server;
afterEach(() => void server.close());

test.each([
  ["127.25.4.1", "127.25.4.1", "127.25.4.1"],
  ["0.0.0.0", "127.25.4.1", "*"],
  ["::ffff:127.25.4.1", "127.25.4.1", "127.25.4.1"],
  ["::ffff:0.0.0.0", "127.25.4.1", "*"],
  ["127.25.4.2", "127.25.4.1", undefined],
  ["::ffff:127.25.4.2", "127.25.4.1", undefined],
])("a program that listens on %s holds the port of %s: %s", async (listens, asked, held) => {
  server = createServer().listen(0, listens);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const holder = await findSocketHolder(asked, port, "TCP");
  expect(holder?.address).toBe(held);
  if (held !== undefined) expect(holder).toMatchObject({ port, protocol: "TCP", pid: process.pid });
});
