#!/usr/bin/env node
/** Wiring of `kubectl sip`: beside main.ts the only file that touches `process`. */
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { runProgram } from "./cli/program.ts";

const abort = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => abort.abort(signal));
// the reader of a pipe may end first: `kubectl sip calls 2>&1 | head`
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

// put in place when it is bundled
declare const KUBECTL_SIP_VERSION: string | undefined;
const version =
  typeof KUBECTL_SIP_VERSION === "string"
    ? KUBECTL_SIP_VERSION
    : (createRequire(import.meta.url)("../package.json") as { version: string }).version;
process.exitCode = await runProgram(
  process.argv.slice(2),
  {
    stdout: (line) => void process.stdout.write(`${line}\n`),
    write: (chunk) => void process.stdout.write(chunk),
    stderr: (line) => void process.stderr.write(`${line}\n`),
    stdin: () => text(process.stdin),
    // of now: the terminal may have another size at the next picture
    get columns() {
      return process.stdout.isTTY ? process.stdout.columns : undefined;
    },
    get rows() {
      return process.stdout.isTTY ? process.stdout.rows : undefined;
    },
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    env: process.env,
    cwd: process.cwd(),
    signal: abort.signal,
    now: () => Date.now(),
  },
  version,
);
// what was interrupted may still wait for an answer
if (abort.signal.aborted) process.stdout.write("", () => process.exit());
