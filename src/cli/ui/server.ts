/**
 * cli/ui: the page of `kubectl sip ui`, served to one browser on this machine. Who has the link that was printed is let in once and
 * gets a cookie for it; nothing else is served to anybody. It only reads, and loads nothing from elsewhere.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { OperatorError } from "../../errors.ts";
import { script, style } from "./assets.ts";
import { escapeHtml, renderPage } from "./html.ts";

export interface UiServer {
  /** with the token: it works once */
  readonly link: string;
  close(): void;
}

export interface UiOptions {
  /** 0: any that is free */
  readonly port: number;
  /** where the routers are, for the page's head */
  readonly source: string;
  /** the changing part, as HTML; asked again only when a browser asks, and never twice at the same time */
  content(): Promise<string>;
}

/** A browser keeps cookies by host, whatever the port: each page has its own. */
const cookieName = (port: number): string => `kubectl-sip-${port}`;
const headers = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
} as const;

const secret = (): string => randomBytes(32).toString("base64url");
const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** @throws OperatorError SIPR_USAGE: the port is taken */
export async function startUiServer(options: UiOptions): Promise<UiServer> {
  const token = secret();
  const session = secret();
  let used = false;
  let asking: Promise<string> | undefined;
  const content = (): Promise<string> => {
    asking ??= options.content().finally(() => (asking = undefined));
    return asking;
  };
  let hosts: readonly string[] = [];
  let cookie = "";

  const answer = async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const send = (status: number, type: string, body: string, more: Record<string, string> = {}): void => {
      reply.writeHead(status, { ...headers, "Content-Type": `${type}; charset=utf-8`, ...more });
      reply.end(request.method === "HEAD" ? undefined : body);
    };
    const refuse = (status: number, text: string): void => send(status, "text/plain", `${text}\n`);
    // a page of somebody else whose name leads here (DNS rebinding) has another Host
    if (!hosts.includes(request.headers.host ?? "")) return refuse(421, "This is not the host of this page.");
    if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "It only reads.");
    const url = new URL(request.url ?? "/", "http://localhost");
    const given = url.searchParams.get("token");
    if (url.pathname === "/" && given !== null) {
      if (used || !same(given, token)) return refuse(403, "This link was used before. Start kubectl sip ui again.");
      // who only asks whether the page is there (a preview of the link) is not let in, and does not use it up
      if (request.method === "HEAD") return send(200, "text/html", "");
      used = true;
      return send(303, "text/plain", "", {
        Location: "/",
        "Set-Cookie": `${cookie}=${session}; Path=/; HttpOnly; SameSite=Strict`,
      });
    }
    if (!same(cookieOf(request, cookie), session)) return refuse(403, "Open the link that kubectl sip ui printed.");
    if (url.pathname === "/style.css") return send(200, "text/css", style);
    if (url.pathname === "/script.js") return send(200, "text/javascript", script);
    if (url.pathname !== "/" && url.pathname !== "/map") return refuse(404, "There is nothing here.");
    try {
      const now = await content();
      return send(200, "text/html", url.pathname === "/map" ? now : renderPage(options.source, now));
    } catch (error) {
      const text = error instanceof OperatorError ? `${error.message} ${error.remedy}` : String(error);
      if (url.pathname === "/map") return refuse(502, text);
      return send(502, "text/html", renderPage(options.source, `<p class="bad">${escapeHtml(text)}</p>`));
    }
  };

  const server = createServer((request, reply) => {
    answer(request, reply).catch(() => reply.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new OperatorError(
          "SIPR_USAGE",
          `Port ${options.port} of this machine cannot be used: ${error.code ?? error.message}.`,
          {
            remedy: "Choose another one with --port, or leave it out.",
            cause: error,
          },
        ),
      ),
    );
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  cookie = cookieName(port);
  hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  return {
    link: `http://127.0.0.1:${port}/?token=${token}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const cookieOf = (request: IncomingMessage, cookie: string): string =>
  (request.headers.cookie ?? "")
    .split(";")
    .map((one) => one.trim().split("=", 2))
    .find(([name]) => name === cookie)?.[1] ?? "";
