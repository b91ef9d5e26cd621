/** Two tenants who share extensions, their PBXes and phones: what the tests of `authentication.domains` start from. */
import { afterAll, beforeEach } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { request, type RequestInput } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of, type Login } from "../support/sip/digestLogin.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import type { SipMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio, type Bench } from "./fixture.ts";
import { startReplica } from "./replicas.ts";

export const A = "a.example.com";
export const B = "b.example.com";
/** of routes, and no tenant that registers */
export const C = "c.example.com";
export const PBX_REALM = "sip-router";

export const passwordOf = (user: string, domain: string): string => `secret-of-${user}-${domain}`;
const credentialsOf = (...domains: readonly string[]): RouterPlan["data"]["credentials"] => ({
  salt: "1",
  domains: domains.toSorted(),
  users: domains.toSorted().flatMap((domain) =>
    // who is here only is nobody in any other domain
    ["1001", "1002", "1004", ...(domain === A ? ["1003"] : [])].map((user) => ({
      user,
      domain,
      ha1: ha1Of(user, domain, passwordOf(user, domain)),
    })),
  ),
});

export let pbxA: SipPeer,
  pbxB: SipPeer,
  trunk: SipPeer,
  phoneA: SipPeer,
  phoneB: SipPeer,
  secondA: SipPeer,
  other: SipPeer;

export const planOf = (
  domains: readonly string[],
  structure: Partial<RouterPlan["structure"]> = {},
  data: Partial<RouterPlan["data"]> = {},
): RouterPlan =>
  routerPlan({
    structure: {
      registration: { mode: "Registrar", maxExpiresSeconds: 300, maxContacts: 2 },
      authentication: { domains: true },
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
      ...structure,
    },
    sets: [
      { name: "a", id: 1, destinations: [pbxA] },
      { name: "b", id: 2, destinations: [pbxB] },
      { name: "trunk", id: 3, destinations: [trunk] },
    ],
    domains: [
      { domain: A, tenant: 1 },
      { domain: B, tenant: 2 },
      { domain: C, tenant: 3 },
    ],
    routes: [
      { name: "a", set: "a", digits: "1", length: 4, tenant: 1 },
      { name: "b", set: "b", digits: "1", length: 4, tenant: 2 },
      { name: "b-out", set: "trunk", digits: "0", tenant: 2, callers: "Trusted" },
      { name: "c", set: "b", digits: "1", length: 4, tenant: 3 },
      { name: "shared", set: "trunk", digits: "00", callers: "Trusted" },
    ],
    data: { credentials: credentialsOf(...domains), ...data },
  });

const allPeers = (): readonly SipPeer[] => [pbxA, pbxB, trunk, phoneA, phoneB, secondA, other];

export const peersOf = async (bench: Bench): Promise<void> => {
  [pbxA, pbxB, trunk, phoneA, phoneB, secondA, other] = await Promise.all([
    bench.peer(11),
    bench.peer(12),
    bench.peer(13),
    bench.peer(20, 5070),
    bench.peer(21, 5070),
    bench.peer(22, 5070),
    bench.peer(66, 5070),
  ]);
};
export const forgetReceived = (): void => {
  for (const peer of allPeers()) {
    peer.behaviour = answering(200);
    peer.received.length = 0;
  }
};

export interface SecondReplica {
  /** the one that runs now */
  readonly kamailio: LocalKamailio;
  restart(): Promise<void>;
}

/** Two replicas of one plan, for each version of Kamailio; before each test nothing was received. */
export function withTenants(
  name: string,
  plan: () => RouterPlan,
  tests: (bench: Bench, second: SecondReplica) => void,
): void {
  let running: LocalKamailio | undefined;
  withKamailio(
    name,
    async (bench) => {
      await peersOf(bench);
      await bench.start(plan());
      running = await startReplica(bench, plan());
    },
    (bench) => {
      beforeEach(forgetReceived);
      afterAll(() => running?.stop());
      tests(bench, {
        get kamailio() {
          if (running === undefined) throw new Error("the second replica was not started");
          return running;
        },
        async restart() {
          await running?.stop();
          running = await startReplica(bench, plan());
        },
      });
    },
  );
}

export interface Asked {
  /** of the first reply: 401 and 407 are challenges */
  readonly first: SipMessage;
  readonly status: number;
}

/** The request, and again with the answer to its challenge. */
export async function asUser(
  from: SipPeer,
  router: { host: string; port: number },
  login: Login,
  input: RequestInput & { readonly more?: readonly (readonly [string, string])[] },
): Promise<Asked> {
  const callId = `domains-${Math.random()}`;
  const first = await (await request(from, router, { ...input, callId })).final();
  if (first.status !== 401 && first.status !== 407) return { first, status: first.status ?? 0 };
  const answer = credentialsFor(first.status, challengeIn(first), login, input.method, input.uri);
  const fields = [...(input.more ?? []), ...(input.fields ?? []), answer];
  const reply = await (await request(from, router, { ...input, callId, cseq: 2, fields })).final();
  return { first, status: reply.status ?? 0 };
}

export interface Registering {
  readonly user?: string;
  readonly domain?: string;
  readonly password?: string;
  /** name in the answer to the challenge */
  readonly as?: string;
  readonly uri?: string;
  readonly from?: string;
  readonly to?: string;
  readonly expires?: number;
  readonly last?: number;
}

export const registering = (bench: Bench, peer: SipPeer, options: Registering = {}): Promise<Asked> => {
  const { user = "1001", domain = A, password = passwordOf(user, domain), as = user, last = 1 } = options;
  return asUser(
    peer,
    { host: bench.host(last), port: 5060 },
    { user: as, ha1: ha1Of(user, domain, password) },
    {
      method: "REGISTER",
      uri: options.uri ?? `sip:${domain}`,
      from: `<${options.from ?? `sip:${user}@${domain}`}>;tag=1`,
      to: `<${options.to ?? `sip:${user}@${domain}`}>`,
      contact: `<sip:${user}@${peer.host}:${peer.port}>`,
      fields: [["Expires", String(options.expires ?? 60)]],
    },
  );
};
export const register = async (bench: Bench, peer: SipPeer, options: Registering = {}): Promise<number> =>
  (await registering(bench, peer, options)).status;

export const registerBoth = async (bench: Bench): Promise<void> => {
  for (const [phone, domain] of [
    [phoneA, A],
    [phoneB, B],
  ] as const)
    if ((await register(bench, phone, { domain })) !== 200) throw new Error(`1001@${domain} could not register`);
};

export const called = (): readonly string[] =>
  [
    ["pbxA", pbxA],
    ["pbxB", pbxB],
    ["trunk", trunk],
    ["phoneA", phoneA],
    ["phoneB", phoneB],
    ["secondA", secondA],
    ["other", other],
  ].flatMap(([name, peer]) => ((peer as SipPeer).requests("INVITE").length > 0 ? [name as string] : []));

/** The status of a call from an address that is not asked who it is, and who got it. */
export async function ring(
  bench: Bench,
  from: SipPeer,
  uri: string,
  last = 1,
): Promise<readonly [number, ...string[]]> {
  forgetReceived();
  const sent = await request(from, { host: bench.host(last), port: 5060 }, { method: "INVITE", uri });
  const { status = 0 } = await sent.final();
  return [status, ...called()];
}

/** The same of a user. */
export async function dial(
  bench: Bench,
  from: SipPeer,
  uri: string,
  options: { readonly domain?: string; readonly caller?: string } = {},
): Promise<readonly [number, ...string[]]> {
  forgetReceived();
  const { domain = A, caller = `sip:1001@${domain}` } = options;
  const login = { user: "1001", ha1: ha1Of("1001", domain, passwordOf("1001", domain)) };
  const { status } = await asUser(from, bench.router, login, { method: "INVITE", uri, from: `<${caller}>;tag=1` });
  return [status, ...called()];
}
