/**
 * INVITE to 200 in microseconds: SIPp counts whole milliseconds, which is coarser than what a router adds. One process
 * is the caller, a child is the PBX (`node latency.ts pbx ADDRESS`); both speak just enough SIP over UDP. Every call is
 * acknowledged and ended.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const header = (message: string, name: string): string[] =>
  [...message.matchAll(new RegExp(`^${name}: *(.*)\r$`, "gim"))].map((match) => match[1] ?? "");

const copied = (message: string): string =>
  ["Via", "Record-Route", "From", "Call-ID", "CSeq"]
    .flatMap((name) => header(message, name).map((value) => `${name}: ${value}\r\n`))
    .join("");

const answer = (request: string, status: string, address: string): string => {
  const [to = ""] = header(request, "To");
  const tagged = to.includes("tag=") ? to : `${to};tag=pbx`;
  return `SIP/2.0 ${status}\r\n${copied(request)}To: ${tagged}\r\nContact: <sip:${address}:5060>\r\nContent-Length: 0\r\n\r\n`;
};

const runPbx = (address: string): Socket => {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4_194_304 });
  socket.on("message", (data, from) => {
    const request = data.toString("latin1");
    if (request.startsWith("ACK") || request.startsWith("SIP/2.0")) return;
    socket.send(answer(request, "200 OK", address), from.port, from.address);
  });
  socket.bind(5060, address, () => process.stdout.write("ready\n"));
  return socket;
};

export const startLatencyPbx = async (address: string): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [import.meta.filename, "pbx", address], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
};

const request = (method: string, uri: string, id: string, from: string, cseq: number, extra: string): string =>
  `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK${id}${method}\r\nMax-Forwards: 70\r\n` +
  `From: <sip:bench@${from}>;tag=${id}\r\nCall-ID: ${id}@${from}\r\nCSeq: ${cseq} ${method}\r\n` +
  `Contact: <sip:bench@${from}:5060>\r\n${extra}Content-Length: 0\r\n\r\n`;

export interface LatencyOptions {
  readonly from: string;
  readonly target: string;
  readonly number: string;
  readonly calls: number;
  readonly callsPerSecond: number;
}

/** Microseconds from INVITE to 200, ascending; a call without an answer counts as Infinity. */
export const measureLatency = async (options: LatencyOptions): Promise<readonly number[]> => {
  const [host = "", port = "5060"] = options.target.split(":");
  const socket = createSocket({ type: "udp4", recvBufferSize: 4_194_304 });
  socket.bind(5060, options.from);
  await once(socket, "listening");
  const sentAt = new Map<string, bigint>();
  const took: number[] = [];
  const uri = `sip:${options.number}@${options.target}`;
  const to = `To: <${uri}>`;
  socket.on("message", (data) => {
    const now = process.hrtime.bigint();
    const text = data.toString("latin1");
    if (!text.startsWith("SIP/2.0 200") || !text.includes("INVITE\r\n")) return;
    const id = (header(text, "Call-ID")[0] ?? "").split("@")[0] ?? "";
    const start = sentAt.get(id);
    if (start === undefined) return;
    sentAt.delete(id);
    took.push(Number(now - start) / 1000);
    const contact = /<(.*)>/.exec(header(text, "Contact")[0] ?? "")?.[1] ?? uri;
    const routes = header(text, "Record-Route")
      .toReversed()
      .map((value) => `Route: ${value}\r\n`)
      .join("");
    const dialog = `${to};tag=pbx\r\n${routes}`;
    socket.send(request("ACK", contact, id, options.from, 1, dialog), Number(port), host);
    socket.send(request("BYE", contact, id, options.from, 2, dialog), Number(port), host);
  });
  const startedAt = performance.now();
  for (let call = 0; call < options.calls;) {
    const due = Math.min(
      options.calls,
      Math.floor(((performance.now() - startedAt) / 1000) * options.callsPerSecond) + 1,
    );
    for (; call < due; call += 1) {
      const id = `b${process.pid}x${call}x${Math.floor(startedAt)}`;
      sentAt.set(id, process.hrtime.bigint());
      socket.send(request("INVITE", uri, id, options.from, 1, `${to}\r\n`), Number(port), host);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (let wait = 0; wait < 200 && sentAt.size > 0; wait += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  socket.close();
  return [...took, ...Array.from(sentAt, () => Number.POSITIVE_INFINITY)].toSorted((a, b) => a - b);
};

if (process.argv[2] === "pbx") runPbx(process.argv[3] ?? "127.0.0.1");
