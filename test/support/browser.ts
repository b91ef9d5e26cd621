/** A real headless Chromium, told what to do over the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/). */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export class Browser {
  /** addresses that the page asked for */
  readonly requested: string[] = [];
  /** errors of the page and of its policies */
  readonly problems: string[] = [];
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #last = 0;

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(String(data)) as Message));
  }

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "chromium-"));
    const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const quiet = [
      "--no-first-run",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--hide-scrollbars",
      "--disable-background-networking",
      "--disable-component-update",
    ];
    const args = [
      "--headless=new",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      ...sandbox,
      ...quiet,
      "about:blank",
    ];
    const child = spawn("chromium", args, { stdio: "ignore" });
    const failed = new Promise<never>((_, reject) =>
      child.once("error", () => reject(new Error("chromium is not installed: apt-get install chromium"))),
    );
    const file = join(profile, "DevToolsActivePort");
    await Promise.race([
      until("Chromium listens", () => existsSync(file) && readFileSync(file, "utf8").includes("\n"), 60_000),
      failed,
    ]);
    const [port = ""] = readFileSync(file, "utf8").split("\n");
    const url = await until("a page", async () => {
      const pages = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
        type: string;
        webSocketDebuggerUrl: string;
      }[];
      return pages.find(({ type }) => type === "page")?.webSocketDebuggerUrl;
    });
    const socket = new WebSocket(url);
    await new Promise((done, reject) => {
      socket.addEventListener("open", done);
      socket.addEventListener("error", reject);
    });
    const browser = new Browser(child, socket, profile);
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await browser.send(`${domain}.enable`);
    return browser;
  }

  #take({ id, method, params = {}, ...rest }: Message): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.({ id, ...rest });
      this.#waiting.delete(id);
    }
    if (method === "Network.requestWillBeSent") this.requested.push((params["request"] as { url: string }).url);
    if (method === "Runtime.exceptionThrown") this.problems.push(JSON.stringify(params["exceptionDetails"]));
    if (method === "Log.entryAdded") {
      const { level, text } = params["entry"] as { level: string; text: string };
      if (level === "error") this.problems.push(text);
    }
  }

  send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = (this.#last += 1);
    return new Promise((done, reject) => {
      this.#waiting.set(id, ({ result, error }) =>
        error === undefined ? done(result ?? {}) : reject(new Error(`${method}: ${error.message}`)),
      );
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  async open(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
    await until(`${url} is loaded`, () =>
      this.evaluate<boolean>("document.readyState === 'complete' && location.href !== 'about:blank'"),
    );
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = (await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      // the page's own policy is for the page
      allowUnsafeEvalBlockedByCSP: true,
    })) as { result: { value: Value }; exceptionDetails?: object };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async press(key: "Tab" | "Enter" | "Escape"): Promise<void> {
    const code = { Tab: 9, Enter: 13, Escape: 27 }[key];
    const event = { key, code: key, windowsVirtualKeyCode: code, ...(key === "Enter" ? { text: "\r" } : {}) };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  async show(width: number, height: number, scheme: "light" | "dark"): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  }

  /** The whole page as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
    return Buffer.from(String(data), "base64");
  }

  async close(): Promise<void> {
    this.#socket.close();
    const gone = new Promise((done) => this.#child.once("exit", done));
    if (this.#child.exitCode === null) this.#child.kill();
    await gone;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
