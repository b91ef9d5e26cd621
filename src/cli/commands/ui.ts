/** `ui`: serves the routing map until it is interrupted. */
import { once } from "node:events";
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import { answered, askAll, EXIT } from "../print/output.ts";
import { renderMaps } from "../ui/html.ts";
import { buildRoutingMap, type PodFacts, type RoutingMap } from "../ui/routingMap.ts";
import { startUiServer } from "../ui/server.ts";
import { readCalls, withDetail } from "./calls.ts";
import { chosen, destinationsOf, type Context } from "./context.ts";

export interface UiOptions {
  readonly port: number;
}

/** Above this many the route and the backend of each call are not asked for. */
const DETAILED = 500;
/** A picture is shown again for this long, milliseconds: tabs that ask at the same time ask the pods once. */
const FRESH_MS = 1000;

export async function ui(context: Context, name: string | undefined, { port }: UiOptions): Promise<number> {
  const { fleet, io } = context;
  await chosen(context, name);
  context.endsItself?.();
  let shown: { readonly at: number; readonly text: string } | undefined;
  const server = await startUiServer({
    port,
    source: fleet.source,
    async content() {
      if (shown === undefined || context.now() - shown.at > FRESH_MS) {
        const [routers, backends] = await Promise.all([chosen(context, name), fleet.backends()]);
        const maps = await Promise.all(routers.map((router) => mapOf(context, router, backends)));
        shown = { at: context.now(), text: renderMaps(maps) };
      }
      return shown.text;
    },
  });
  try {
    io.stdout(server.link);
    io.stderr("Open this link in a browser on this machine; it works once. Interrupt to end.");
    if (!io.signal.aborted) await once(io.signal, "abort");
  } finally {
    server.close();
  }
  return EXIT.ok;
}

async function mapOf(context: Context, router: SipRouter, backends: readonly PbxBackend[]): Promise<RoutingMap> {
  const pods = await context.fleet.pods(router);
  const answers = await askAll(pods, async (pod): Promise<PodFacts> => ({
    destinations: await destinationsOf(context.fleet, pod),
    calls: await readCalls(context, pod),
  }));
  const all = answered(answers).flatMap(({ value }) => value.calls);
  const calls = all.length > DETAILED ? undefined : await withDetail(context, router, pods, all);
  return buildRoutingMap({ router, backends, pods, answers, calls });
}
