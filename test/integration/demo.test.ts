/**
 * `make demo KEEP=1` as it is documented: what it leaves running serves, and the command that it prints ends all of it. What the demo
 * cannot do it says: a port in use, a timed call that fails.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { addedByRouter } from "../../hack/demo/latency.ts";
import { processesOf } from "../../hack/demo/processes.ts";

const root = resolve(import.meta.dirname, "../..");

async function demo(env: Readonly<Record<string, string>>): Promise<{ output: string; code: number | null }> {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn("make", ["demo"], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += String(data)));
  const [code] = (await once(child, "close")) as [number | null];
  return { output, code };
}

test(
  "KEEP=1: calls get through afterwards, and the printed command leaves no process",
  { timeout: 180_000 },
  async () => {
    const { output, code } = await demo({ KEEP: "1" });
    expect(code, output).toBe(0);
    const [, edge = ""] = /proxy \/ registrar: (\S+), UDP/.exec(output) ?? [];
    const [, stop = ""] = /^Stop: +(.*)$/m.exec(output) ?? [];
    const [, work = ""] = /rm -r (\S+)$/.exec(stop) ?? [];
    expect(work).not.toBe("");
    onTestFinished(() => {
      for (const { pid } of processesOf(work)) process.kill(pid, "SIGKILL");
    });
    expect(processesOf(work).length).toBeGreaterThan(3);
    const call = [
      "-sf",
      join(root, "hack/demo/scenarios/call.xml"),
      "-i",
      "127.50.0.201",
      "-p",
      "5070",
      "-s",
      "1001",
      "-m",
      "1",
    ];
    execFileSync("sipp", [...call, "-key", "from", "caller", "-recv_timeout", "12000", "-nostdin", edge], {
      stdio: "ignore",
    });
    execFileSync("bash", ["-c", stop], { stdio: "inherit" });
    expect(processesOf(work)).toEqual([]);
    expect(existsSync(work)).toBe(false);
  },
);

test.each([5060, 9060])("TCP %s in use is named at once", { timeout: 60_000 }, async (port) => {
  const other = createServer().listen(port, "127.50.0.10");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  const { output, code } = await demo({});
  expect(code).not.toBe(0);
  expect(output).toContain(`error: TCP 127.50.0.10:${port} is in use`);
});

/** Something that answers every request with this status, but not the first so many. */
async function answering(ip: string, status: string, lost = 0): Promise<{ ip: string; port: number }> {
  const socket = createSocket("udp4").bind(0, ip);
  await once(socket, "listening");
  onTestFinished(() => void socket.close());
  const { port } = socket.address();
  let left = lost;
  socket.on("message", (data, from) => {
    if (left-- > 0 || data.toString().startsWith("ACK")) return;
    const copied = data.toString().match(/^(?:Via|From|To|Call-ID|CSeq): .*$/gm) ?? [];
    const lines = [`SIP/2.0 ${status}`, ...copied, `Contact: <sip:${ip}:${port}>`, "Content-Length: 0", "", ""];
    socket.send(lines.join("\r\n"), from.port, from.address);
  });
  return { ip, port };
}

test("a timed call that is lost is sent again; one that is refused is not taken for a time", async () => {
  const options = { number: "1001", from: { ip: "127.50.0.203", port: 5099 }, calls: 2 };
  const pbx = await answering("127.50.0.204", "200 OK");
  const lossy = await answering("127.50.0.205", "200 OK", 1);
  expect(await addedByRouter({ ...options, pbx, router: lossy })).toEqual(expect.any(Number));
  const refusing = await answering("127.50.0.206", "503 Service Unavailable");
  expect(await addedByRouter({ ...options, pbx, router: refusing })).toBeUndefined();
});
