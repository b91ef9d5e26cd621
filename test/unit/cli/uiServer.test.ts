/** Who is let in to the page of `kubectl sip ui`. */
import { afterEach, expect, test } from "vitest";
import { startUiServer, type UiServer } from "../../../src/cli/ui/server.ts";

const servers: UiServer[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
const start = async (): Promise<UiServer> => {
  const server = await startUiServer({ port: 0, source: "a test", content: async () => "<p>map</p>" });
  servers.push(server);
  return server;
};
const open = (link: string, init: RequestInit = {}): Promise<Response> => fetch(link, { redirect: "manual", ...init });
const cookieOf = (reply: Response): string => reply.headers.get("set-cookie")?.split(";")[0] ?? "";

test("a look whether the link is there does not use it up, and lets nobody in", async () => {
  const { link } = await start();
  const look = await open(link, { method: "HEAD" });
  expect([look.status, cookieOf(look)]).toEqual([200, ""]);
  expect((await open(link)).status).toBe(303);
  expect((await open(link)).status).toBe(403);
  expect((await open(link, { method: "HEAD" })).status).toBe(403);
});

test("a second page on the same machine does not log the first one out", async () => {
  const links = [(await start()).link, (await start()).link];
  // a browser keeps one cookie of a name for a host, whatever the port, and sends them all
  const jar = new Map<string, string>();
  for (const link of links) {
    const [name = "", value = ""] = cookieOf(await open(link)).split("=", 2);
    jar.set(name, value);
  }
  const Cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  for (const link of links) expect((await open(new URL("/", link).href, { headers: { Cookie } })).status).toBe(200);
});
