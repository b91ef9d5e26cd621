/** `route explain` and `ping`: gather, print, exit code. */
import { randomBytes } from "node:crypto";
import { keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { NOT_THERE, orWhen } from "../../kamailio/ask.ts";
import { parseHtableAnswer, parseMtreeAnswer } from "../../kamailio/parse.ts";
import { readRegistrations } from "../../kamailio/registrations.ts";
import { PING_METHOD } from "../../render/layout.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import { answered, askAll, EXIT, notAnswering, reportRouter, type OutputOptions } from "../print/output.ts";
import { isRegistrar, type Phones } from "../views/phones.ts";
import { asksForLogin } from "../views/caller.ts";
import { explain, lookupKeys, routeTable, rowCounts, type Question } from "../views/explain.ts";
import { explainJson, renderExplain } from "../views/explainText.ts";
import { nameResources, type Naming } from "../views/naming.ts";
import { calledName, callerName, usersTable } from "../views/tenants.ts";
import { destinationsToPing, isAlive, parsePing, pingParams, renderPing, type PingResult } from "../views/ping.ts";
import { controlOf, NO_ADDRESS } from "./verify.ts";
import { parseTarget } from "./drain.ts";
import {
  chosen,
  destinationsOf,
  findBackend,
  printAll,
  showRouters,
  worst,
  type Context,
  type View,
} from "./context.ts";

const userPattern = /^[0-9A-Za-z._+*#-]{1,64}(@[0-9A-Za-z.-]{1,253})?$/;
const numberPattern = /^[0-9*#+]{1,32}$/;

export async function routeExplain(
  context: Context,
  router: string | undefined,
  question: Question,
  options: OutputOptions,
): Promise<number> {
  const { fleet } = context;
  if (!numberPattern.test(question.number))
    throw new OperatorError("SIPR_USAGE", `${JSON.stringify(question.number)} is not a called number.`, {
      remedy: "Use at most 32 of 0-9 * # +",
    });
  if (question.from !== undefined && !userPattern.test(question.from))
    throw new OperatorError("SIPR_USAGE", `${JSON.stringify(question.from)} is not a caller.`, {
      remedy:
        "Use a user name as in sip:USER@domain, with or without its domain: at most 64 letters, digits and . _ + * # -",
    });
  const backends = await fleet.backends();
  return showRouters(context, router, options, async (one) => {
    const keys = lookupKeys(routeTable(one), question);
    const { from } = question;
    const caller = asksForLogin(one) && from !== undefined ? callerName(one, { ...question, from }).name : undefined;
    const answers = await askAll(await fleet.pods(one), async (pod) => ({
      row: await lookUp(fleet, pod, keys, question.number),
      destinations: await destinationsOf(fleet, pod),
      draining: (await rowOf(fleet, pod, "st", "drain")) === 1,
      ...(caller === undefined ? {} : { known: isUser(await rowOf(fleet, pod, usersTable(one), caller)) }),
      ...(isRegistrar(one) ? { phones: await phonesOf(fleet, pod, one, question) } : {}),
    }));
    const data = { router: one, backends, question, answers };
    return {
      data: explainJson(data),
      lines: (style) => renderExplain(data, style),
      answers,
      failed: !explain(data).served,
    };
  });
}

const rowOf = async (fleet: Fleet, pod: FleetPod, table: string, key: string): Promise<string | number | undefined> =>
  parseHtableAnswer(await orWhen<unknown>(NOT_THERE, undefined, fleet.rpc(pod, "htable.get", [table, key])));

/** PBXes that register have other rows there. */
const isUser = (row: string | number | undefined): boolean => typeof row === "string" && row.length === 32;

async function phonesOf(fleet: Fleet, pod: FleetPod, router: SipRouter, question: Question): Promise<Phones> {
  const name = calledName(router, question);
  if (name === undefined) return { user: false, contacts: 0 };
  const user = isUser(await rowOf(fleet, pod, usersTable(router), name));
  const contacts = user ? await readRegistrations(controlOf(fleet, pod), NO_ADDRESS, name) : [];
  return { user, contacts: contacts.length };
}

/** As kamailio.cfg looks it up: the first key whose row counts. */
async function lookUp(
  fleet: Fleet,
  pod: FleetPod,
  keys: readonly string[],
  number: string,
): Promise<string | undefined> {
  for (const key of keys) {
    const row = parseMtreeAnswer(
      await orWhen<unknown>(NOT_THERE, undefined, fleet.rpc(pod, "mtree.match", ["ext", key, 0])),
    );
    if (row !== undefined && rowCounts(row, key, number)) return row;
  }
  return undefined;
}

// ping --------------------------------------------------------------------------------------------------------------------

export async function ping(
  context: Context,
  target: string | undefined,
  options: OutputOptions & { router?: string },
): Promise<number> {
  const { fleet, io } = context;
  const asked = target === undefined ? undefined : await findBackend(context, backendIn(target));
  const [routers, backends] = await Promise.all([chosen(context, options.router), fleet.backends()]);
  const codes: number[] = [];
  const views: Pick<View, "data" | "lines">[] = [];
  const shown: SipRouter[] = [];
  for (const router of routers) {
    if (asked !== undefined && asked.metadata.namespace !== router.metadata.namespace) continue;
    const naming = nameResources(router, backends);
    const answers = await askAll(await fleet.pods(router), (pod) =>
      pingFrom(fleet, router, pod, naming, asked?.metadata.name),
    );
    const results = answered(answers).flatMap(({ value }) => value);
    codes.push(reportRouter(router, answers, io));
    if (results.length === 0 && codes.at(-1) === EXIT.ok) continue;
    shown.push(router);
    if (results.some(({ alive }) => !alive)) codes.push(EXIT.failed);
    views.push({
      data: { router: keyOf(router), notAnswering: notAnswering(answers), results },
      lines: (style) => renderPing(router, results, style),
    });
  }
  if (views.length === 0 && asked !== undefined && worst(codes) === EXIT.ok)
    throw new OperatorError(
      "SIPR_USAGE",
      `No router of ${fleet.source} has a destination of PbxBackend ${keyOf(asked)}.`,
      { remedy: "Look at: kubectl sip dump" },
    );
  printAll(options, io, shown, views);
  return worst(codes);
}

/** A name, with or without its namespace, also as kubectl writes it. */
function backendIn(target: string): string {
  const { pod, backend } = parseTarget(target);
  if (pod === undefined) return backend;
  throw new OperatorError("SIPR_USAGE", `${target} is no backend.`, {
    remedy: "Name a PbxBackend, or nothing for all.",
  });
}

/** One after the other: the control port of a pod takes one request at a time. One that is not answered hides no other. */
async function pingFrom(
  fleet: Fleet,
  { spec }: SipRouter,
  pod: FleetPod,
  naming: Naming,
  backend: string | undefined,
): Promise<readonly PingResult[]> {
  // Kamailio says 408 then
  const workMs = 1000 * Math.max(spec.healthCheck?.timeoutSeconds ?? 0, spec.failover?.timeoutSeconds ?? 0);
  const results: PingResult[] = [];
  for (const { uri } of destinationsToPing(await destinationsOf(fleet, pod), naming, backend)) {
    const params = pingParams(pod, uri, randomBytes(6).toString("hex"));
    const begun = performance.now();
    const { code, text } = await fleet.rpc(pod, PING_METHOD, params, workMs).then(parsePing, unasked);
    const rtt = code === 0 || code === 408 ? {} : { rttMs: Math.round((performance.now() - begun) * 10) / 10 };
    results.push({ pod: pod.name, backend: naming.backend(uri), uri, code, text, ...rtt, alive: isAlive(code) });
  }
  return results;
}

function unasked(error: unknown): { code: number; text: string } {
  if (!(error instanceof OperatorError)) throw error;
  return { code: 0, text: error.message };
}
