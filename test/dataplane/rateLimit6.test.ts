/** Who has one IPv6 address has a network of them: limits and bans count the network. Loopback has one address: a network of its own. */
import { expect, test } from "vitest";
import { callOnce, request } from "../support/sip/caller.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { inOwnNetwork } from "../support/ownNetwork.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const ROUTER = "fd63:0:0:1::1";
const PBX = "fd63:0:0:2::99";
/** every way in which addresses of one network are written short, the last one for who has sent nothing before */
const networks = [
  ["fd63:0:0:2", ["::1", ":2:0:0:1", ":a:b:c:d", ":ffff::4", ":8000:0:0:5"]],
  ["fd63:1:2:0", ["::1", ":1:2:3:4", ":1::4", ":0:1:1:1", ":0:0:1:7"]],
  ["fd63:1:0:0", ["::1", ":1:2:3:4", ":1:0:0:4", ":0:1:1:1", ":0:0:1:7"]],
] as const;
const NEIGHBOURS = ["fd63:0:0:3::1", "fd63:1:2:3::1", "fd63:1:0:1::1", "fd63::1"] as const;
const addressesOf = ([network, hosts]: (typeof networks)[number]): readonly string[] =>
  hosts.map((host) => `${network}${host}`);
const all = [ROUTER, PBX, ...NEIGHBOURS, ...networks.flatMap(addressesOf)];

const peers = new Map<string, SipPeer>();
const at = (host: string): SipPeer => {
  const found = peers.get(host);
  if (found === undefined) throw new Error(`nobody is at ${host}`);
  return found;
};

const tests = (): void =>
  withKamailio(
    "rate limit of IPv6 networks",
    async (bench) => {
      for (const host of all) if (host !== ROUTER) peers.set(host, await bench.listen({ host, port: 5060 }));
      const pbx = at(PBX);
      const plan = routerPlan({
        structure: { rateLimit: true },
        sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
        routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
        data: { limits: { requestsPerSecond: 20, banSeconds: 60 } },
      });
      await bench.start(plan, {}, ROUTER);
    },
    (bench) => {
      const send = async (from: SipPeer, count: number): Promise<void> => {
        for (let index = 0; index < count; index += 1)
          await request(from, bench.router, { method: "MESSAGE", uri: `sip:1000@[${ROUTER}]` });
      };
      const metric = (name: string): Promise<number> => metricOf(ROUTER, name);
      /** resolves when all of them are worked on */
      const flood = async (from: readonly SipPeer[], count: number): Promise<void> => {
        const before = await metric("core_rcv_requests");
        for (const one of from) await send(one, count);
        await until("all are read", async () => (await metric("core_rcv_requests")) === before + count * from.length);
      };

      test("a backend has no limit, and does not use up that of its network", async () => {
        await flood([at(PBX)], 100);
        expect((await callOnce(at("fd63:0:0:2::1"), bench.router, "1000")).status).toBe(200);
      });

      test.each(networks.map((network) => [network[0], addressesOf(network)] as const))(
        "who exceeds it from many addresses of %s::/64 is banned with all of them; others are served, and backends",
        async (_, addresses) => {
          const members = addresses.map(at);
          // none of them alone sends more than the limit
          await flood(members.slice(0, -1), 20);
          const before = await metric("sipr_banned_dropped");
          await flood(members, 1);
          expect(await metric("sipr_banned_dropped")).toBe(before + members.length);
          for (const neighbour of NEIGHBOURS.map(at))
            expect((await callOnce(neighbour, bench.router, "1000")).status).toBe(200);
          const options = { method: "OPTIONS", uri: `sip:[${ROUTER}]` };
          expect((await (await request(at(PBX), bench.router, options)).final()).status).toBe(200);
        },
      );
    },
  );
inOwnNetwork("10.62", import.meta.filename, tests, all);
