#!/usr/bin/env node
/** Wiring of the operator: beside kubectl-sip.ts the only file that touches `process`. */
import { text } from "node:stream/consumers";
import { Command } from "commander";
import type { CommandIO } from "./commands/io.ts";
import { OperatorError } from "./errors.ts";

const abort = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => abort.abort(signal));

let unwritten = "";
const flush = (): void => {
  if (unwritten !== "") process.stderr.write(unwritten);
  unwritten = "";
};
process.once("exit", flush);
/** The lines of one turn of the event loop are one write, after the requests that they tell of have been sent. */
const stderr = (line: string): void => {
  if (unwritten === "") setImmediate(flush);
  unwritten += `${line}\n`;
};

const io: CommandIO = {
  stdout: (line) => void process.stdout.write(`${line}\n`),
  stderr,
  stdin: () => text(process.stdin),
  env: process.env,
  cwd: process.cwd(),
  signal: abort.signal,
};

const done = async (run: Promise<number>): Promise<void> => {
  try {
    process.exitCode = await run;
  } catch (error) {
    if (error instanceof OperatorError) io.stderr(`error ${error.code}: ${error.message}\n  ${error.remedy}`);
    else io.stderr(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.exitCode = 1;
  }
};

const program = new Command("sip-router-operator").description("Kubernetes operator for SIP routing with Kamailio");

program
  .command("run")
  .description("run the operator in a cluster, or from outside with --kubeconfig")
  .option("--kubeconfig <file>", "kubeconfig to use instead of the in-cluster configuration")
  .option("--context <name>", "context of the kubeconfig")
  .option("--namespace <name...>", "watch only these namespaces (default: all)")
  .option("--leader-elect", "elect a leader among several instances")
  .option("--leader-elect-namespace <name>", "namespace of the Lease")
  .option("--leader-elect-name <name>", "name of the Lease (default: sip-router-operator)")
  .option("--metrics-port <port>", "health and metrics port", "8080")
  .option("--metrics-secure-port <port>", "metrics by HTTPS, for tokens that may get /metrics")
  .option("--metrics-cert-dir <dir>", "tls.crt and tls.key of the secure port (default: a certificate of its own)")
  .option("--metrics-address <ip>", "address of the health and metrics port", "0.0.0.0")
  .option("--kamailio-image <image>", "default image of the Kamailio pods")
  .option("--log-level <level>", "trace, debug, info, warn, error", "info")
  .action(async (options) => done((await import("./commands/run.ts")).run(options, io)));

program
  .command("standalone")
  .description("run without a cluster: resources from a folder, Kamailio as local processes")
  .requiredOption("--resources <dir>", "folder of YAML files, watched")
  .requiredOption("--state <dir>", "folder for rendered files, status and process ids")
  .option("--addresses <ips>", "comma-separated pool that stands for pod IPs (default: this host's addresses)")
  .option("--kamailio <path>", "the kamailio program", "kamailio")
  .option("--log-level <level>", "trace, debug, info, warn, error", "info")
  .action(async (options) => done((await import("./commands/standalone.ts")).standalone(options, io)));

program
  .command("render")
  .description("print what would run (files and objects), or every issue; needs no cluster and no Kamailio")
  .requiredOption("-f, --file <path...>", "YAML files or folders; - for standard input")
  .option("-R, --recursive", "folders with what is below them")
  .option("-o, --output <format>", "yaml or json", "yaml")
  .action(async (options) => {
    // the reader of a pipe may end first: `sip-router-operator render -f . | head`
    process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
    await done((await import("./commands/render.ts")).render(options, io));
  });

await program.parseAsync();
