import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { hashOf, type Destination, type RouterPlan } from "../../src/ir/index.ts";
import { createControl } from "../../src/kamailio/control.ts";
import { proveCertificate } from "../../src/kamailio/proveCertificate.ts";
import { readPod } from "../../src/kamailio/readPod.ts";
import { syncPod, type ReloadAction } from "../../src/reload/index.ts";
import { call, calleeDialog, callOnce, within } from "../support/sip/caller.ts";
import { Authority, type KeyPair } from "../support/sip/certificates.ts";
import { callIdOf, header, headers } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan, type PlanInput } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";

const authority = new Authority("test authority");
const [first, second] = [authority.issue("edge.example.com"), authority.issue("edge.example.com")];
const secretOf = ({ certificate, key }: KeyPair): Record<string, string> => ({
  "tls.crt": certificate,
  "tls.key": key,
  "ca.crt": authority.own.certificate,
});
const generationOf = ({ certificate }: KeyPair): string =>
  hashOf([new X509Certificate(certificate).fingerprint256.replaceAll(":", "").toLowerCase()]);

let udp: SipPeer, tcp: SipPeer, tls: SipPeer, stranger: SipPeer, plain: SipPeer, backup: SipPeer;
let phoneUdp: SipPeer, phoneTcp: SipPeer, phoneTls: SipPeer;

const input = (shown: KeyPair): PlanInput => ({
  structure: {
    listeners: [
      { name: "udp", transport: "UDP", port: 5060, tls: false },
      { name: "tcp", transport: "TCP", port: 5060, tls: false },
      { name: "tls", transport: "TLS", port: 5061, tls: true },
    ],
    tls: { listener: "tls", ca: "abc" },
    healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
  },
  sets: [
    { name: "udp", id: 1, destinations: [udp] },
    { name: "tcp", id: 2, destinations: [tcp] },
    { name: "tls", id: 3, destinations: [tls] },
    { name: "stranger", id: 4, destinations: [stranger, { ...at(backup), priority: 1 }] },
    { name: "plain", id: 5, destinations: [plain, { ...at(backup), priority: 1 }] },
  ],
  routes: [
    { name: "udp", set: "udp", digits: "1" },
    { name: "tcp", set: "tcp", digits: "2" },
    { name: "tls", set: "tls", digits: "3" },
    { name: "stranger", set: "stranger", digits: "4" },
    { name: "plain", set: "plain", digits: "5" },
  ],
  certificate: { port: 5061, generation: generationOf(shown) },
});
const at = ({ host, port, transport }: SipPeer) => ({ host, port, transport });

/** `plain` speaks no TLS, though it is listed as if it did. */
function planOf(shown: KeyPair): RouterPlan {
  const plan = routerPlan(input(shown));
  const overTls = (one: Destination): Destination => ({
    ...one,
    transport: "TLS",
    uri: one.uri.replace("tcp", "tls"),
  });
  const sets = plan.data.sets.map((set) => ({
    ...set,
    destinations: set.destinations.map((one) => (one.host === plain.host ? overTls(one) : one)),
  }));
  return { ...plan, data: { ...plan.data, sets } };
}

withKamailio(
  "TLS",
  async (bench) => {
    const identity = authority.issue("pbx.example.com");
    [udp, tcp, tls, stranger, plain, backup, phoneUdp, phoneTcp, phoneTls] = await Promise.all([
      bench.peer(11),
      bench.peer(12, 5060, "TCP"),
      bench.listen({ host: bench.host(13), port: 5061, transport: "TLS", identity }),
      bench.listen({
        host: bench.host(14),
        port: 5061,
        transport: "TLS",
        identity: new Authority("another authority").issue("pbx.example.com"),
      }),
      bench.peer(15, 5061, "TCP"),
      bench.peer(16),
      bench.peer(20, 5070),
      bench.peer(21, 5070, "TCP"),
      bench.listen({ host: bench.host(22), port: 5071, transport: "TLS", identity }),
    ]);
    await bench.start(planOf(first), secretOf(first));
  },
  (bench) => {
    const routerOf = (phone: SipPeer) => ({
      host: bench.router.host,
      port: phone.transport === "TLS" ? 5061 : 5060,
    });

    test.each(["UDP", "TCP", "TLS"].flatMap((from) => ["UDP", "TCP", "TLS"].map((to) => [from, to] as const)))(
      "a call from %s to %s, with re-INVITE and BYE from both sides",
      async (from, to) => {
        const caller = { UDP: phoneUdp, TCP: phoneTcp, TLS: phoneTls }[from] as SipPeer;
        const callee = { UDP: udp, TCP: tcp, TLS: tls }[to] as SipPeer;
        const number = { UDP: "1000", TCP: "2000", TLS: "3000" }[to] as string;
        const { sent, reply, dialog } = await call(caller, routerOf(caller), number);
        expect(reply.status).toBe(200);
        await callee.waitFor("ACK", (message) => message.method === "ACK" && callIdOf(message) === sent.callId);
        const invite = callee.requests("INVITE").find((message) => callIdOf(message) === sent.callId);
        if (invite === undefined) throw new Error("no INVITE");
        expect(headers(invite, "via")[0]).toMatch(new RegExp(`^SIP/2.0/${to} ${bench.router.host}(:506[01])?;`));

        const again = await within(caller, routerOf(caller), dialog, "INVITE", 2);
        expect((await again.final()).status).toBe(200);
        await within(caller, routerOf(caller), dialog, "ACK", 2, { contact: null });
        const back = calleeDialog(invite);
        const bye = await within(callee, routerOf(callee), back, "BYE", 100);
        expect((await bye.final()).status).toBe(200);
        expect(caller.requests("BYE").map((message) => callIdOf(message))).toContain(sent.callId);
        await until("the call is over", async () => (await bench.read()).calls === 0);
      },
    );

    test("a certificate of another authority, and a PBX that speaks no TLS, are failures: the backup takes the call", async () => {
      for (const number of ["4000", "5000"]) {
        const { status, callId } = await callOnce(phoneUdp, bench.router, number);
        expect(status).toBe(200);
        expect(backup.calls).toContain(callId);
      }
      expect(stranger.received).toEqual([]);
    });

    test("less than TLS 1.2 is refused", async () => {
      await expect(
        handshake(bench, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" }),
      ).rejects.toThrow(/alert protocol version/);
      expect(await handshake(bench, { maxVersion: "TLSv1.2" })).toBe("TLSv1.2");
    });

    test("a rotated certificate is shown at once, calls go on, and nothing else reloads it", async () => {
      const control = createControl();
      const seen: ReloadAction[] = [];
      const sync = (shown: KeyPair) => {
        const { desired } = bench.kamailio.files;
        expect(desired.tables.find(({ name }) => name === "tls")?.generation).toBe(generationOf(shown));
        return syncPod({
          control,
          address: bench.kamailio.control,
          desired,
          read: () => readPod(control, bench.kamailio.control, desired, proveCertificate),
          filesSent: true,
          onAction: (action) => seen.push(action),
        });
      };
      expect((await sync(first)).outcome).toBe("inSync");
      expect(seen).toEqual([]);

      const toTls = await call(phoneTls, routerOf(phoneTls), "3000");
      const toUdp = await call(phoneTls, routerOf(phoneTls), "1000");
      // the new certificate is wanted before its file is there
      await bench.kamailio.writeData(planOf(second));
      expect((await sync(second)).outcome).toBe("stale");
      await bench.kamailio.writeSecret(secretOf(second));
      expect((await sync(second)).outcome).toBe("inSync");
      const actions = seen.length;
      expect((await sync(second)).done).toBe(0);
      expect(seen.length).toBe(actions);

      for (const { dialog } of [toTls, toUdp]) {
        const again = await within(phoneTls, routerOf(phoneTls), dialog, "INVITE", 2);
        expect((await again.final()).status).toBe(200);
        await within(phoneTls, routerOf(phoneTls), dialog, "ACK", 2, { contact: null });
        expect((await (await within(phoneTls, routerOf(phoneTls), dialog, "BYE", 3)).final()).status).toBe(200);
      }
      const other = await bench.listen({ host: bench.host(23), port: 5071, transport: "TLS", identity: first });
      expect((await callOnce(other, routerOf(other), "3001")).status).toBe(200);
      control.close();
    });

    test("many rotations under calls", async () => {
      const before = header((await callOnce(phoneTls, routerOf(phoneTls), "3002")).reply, "call-id");
      expect(before).not.toBe("");
      for (let round = 0; round < 20; round += 1) {
        const running = callOnce(phoneTls, routerOf(phoneTls), round % 2 === 0 ? "3003" : "1003");
        await bench.kamailio.writeSecret(secretOf(round % 2 === 0 ? first : second));
        await bench.call("tls.reload");
        expect((await running).status).toBe(200);
      }
      expect(bench.kamailio.log).not.toMatch(/CRITICAL|BUG/);
    });
  },
);

const handshake = (bench: Bench, options: object): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: bench.router.host, port: 5061, rejectUnauthorized: false, ...options });
    socket.once("secureConnect", () => {
      resolve(socket.getProtocol());
      socket.destroy();
    });
    socket.once("error", reject);
  });
