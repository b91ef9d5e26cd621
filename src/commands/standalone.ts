/**
 * `standalone`: the operator without a cluster. Resources from a folder, Kamailio as local processes. Standard output
 * carries JSON lines (`ready`, `changed`, `rejected`), standard error the log.
 */
import { resolve } from "node:path";
import { startController } from "../controller/controller.ts";
import { createControl } from "../kamailio/control.ts";
import { createLog } from "../server/log.ts";
import { findKamailio, resolvePool } from "../standalone/environment.ts";
import { createLocalCluster, type LocalCluster } from "../standalone/localCluster.ts";
import { lockState } from "../standalone/lock.ts";
import { describeError, describeRef, type ResourceError } from "../standalone/resources.ts";
import { aborted, checkLogLevel, type Command, type CommandIO } from "./io.ts";

export interface StandaloneOptions {
  readonly resources: string;
  readonly state: string;
  readonly addresses?: string;
  readonly kamailio: string;
  readonly logLevel: string;
}

/** What a Kamailio process may see of this one's environment. */
const passedOn = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH"];

export const standalone: Command<StandaloneOptions> = async (options, io) => {
  checkLogLevel(options.logLevel);
  const pool = resolvePool(options.addresses);
  const path = io.env["PATH"] ?? "";
  const kamailio = await findKamailio(options.kamailio, path, io.cwd);
  const state = resolve(io.cwd, options.state);
  const lock = await lockState(state);
  try {
    await serve({ ...options, state, kamailio, pool }, io);
  } finally {
    await lock.release();
  }
  return 0;
};

interface ServeOptions extends StandaloneOptions {
  readonly pool: ReturnType<typeof resolvePool>;
}

async function serve(options: ServeOptions, io: CommandIO): Promise<void> {
  const log = createLog(options.logLevel, io.stderr);
  const say = (event: object): void => io.stdout(JSON.stringify(event));
  const env = Object.entries(io.env).filter(
    (entry): entry is [string, string] => passedOn.includes(entry[0]) && entry[1] !== undefined,
  );
  const cluster = createLocalCluster({
    resources: resolve(io.cwd, options.resources),
    state: options.state,
    pool: options.pool,
    kamailio: options.kamailio,
    baseEnv: Object.fromEntries(env),
    log,
    onResourceErrors: (errors) => {
      for (const error of errors) {
        log.warn({ code: "SIPR_RESOURCE_PARSE", file: error.file, line: error.line }, describeError(error));
        say(rejectedFile(error));
      }
    },
  });
  const control = createControl();
  log.info({ kamailio: options.kamailio, addresses: options.pool.addresses, state: options.state }, "starting");
  try {
    await lead(cluster, { resources: options.resources, log, control, say, signal: io.signal });
  } finally {
    control.close();
    await cluster.stop();
    log.info({}, "stopped");
  }
}

interface LeadParts {
  /** the folder, as it was named */
  readonly resources: string;
  readonly log: ReturnType<typeof createLog>;
  readonly control: ReturnType<typeof createControl>;
  readonly say: (event: object) => void;
  readonly signal: AbortSignal;
}

async function lead(cluster: LocalCluster, { resources, log, control, say, signal }: LeadParts): Promise<void> {
  const controller = await startController({
    cluster,
    control,
    log,
    defaults: { image: "kamailio" },
    // The volumes' files are dated whole seconds apart: nothing has to wait for the clock.
    tuning: { tableSpacingMs: 0 },
    hooks: {
      onReady: () => {
        if (cluster.snapshot().routers.length === 0)
          log.warn({ resources }, "there is no SipRouter in the resources folder: nothing runs until a file has one");
        say({ event: "ready" });
      },
      onProgrammed: (router, revision) => say({ event: "changed", router, revision }),
      onRejected: (ref, issues) => {
        for (const { path, message } of issues) say({ event: "rejected", object: describeRef(ref), path, message });
      },
    },
  });
  await aborted(signal);
  log.info({}, "ending: draining every Kamailio; a second signal leaves them serving");
  await controller.stop();
  await cluster.endAll();
}

const rejectedFile = ({ file, line, object, message }: ResourceError): object => ({
  event: "rejected",
  object: object === "" ? `file ${file}` : object,
  path: `${file}:${line}`,
  message,
});
