import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { call, calleeDialog, callOnce, request, within } from "../support/sip/caller.ts";
import { callIdOf, header, headers, type SipMessage } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, pbxTcp: SipPeer, phone: SipPeer, phoneTcp: SipPeer;

const last = (peer: SipPeer, method: string): SipMessage => {
  const found = peer.requests(method).at(-1);
  if (found === undefined) throw new Error(`${peer.uri} got no ${method}`);
  return found;
};

withKamailio(
  "IPv6",
  async (bench) => {
    // one host: the ports tell them apart
    const at = (port: number, transport: "UDP" | "TCP") => bench.listen({ host: "::1", port, transport });
    [pbx, pbxTcp, phone, phoneTcp] = await Promise.all([
      at(5062, "UDP"),
      at(5063, "TCP"),
      at(5070, "UDP"),
      at(5071, "TCP"),
    ]);
    await bench.start(
      routerPlan({
        // replicas name each other in URIs
        structure: { sharedAddress: true },
        sets: [
          { name: "udp", id: 1, destinations: [pbx] },
          { name: "tcp", id: 2, destinations: [pbxTcp] },
        ],
        routes: [
          { name: "udp", set: "udp", digits: "1" },
          { name: "tcp", set: "tcp", digits: "2" },
        ],
      }),
      {},
      "::1",
    );
  },
  (bench) => {
    test.each([
      ["UDP", "UDP", () => [phone, pbx, "1000"] as const],
      ["UDP", "TCP", () => [phone, pbxTcp, "2000"] as const],
      ["TCP", "UDP", () => [phoneTcp, pbx, "1000"] as const],
    ])("a call from %s to %s and back", async (_, to, sides) => {
      const [caller, callee, number] = sides();
      const { sent, reply, dialog } = await call(caller, bench.router, number);
      expect(reply.status).toBe(200);
      const invite = last(callee, "INVITE");
      expect(headers(invite, "via")[0]).toMatch(new RegExp(`^SIP/2.0/${to} \\[::1\\]`));
      expect(headers(invite, "record-route").every((route) => route.startsWith("<sip:[::1]"))).toBe(true);
      const again = await within(caller, bench.router, dialog, "INVITE", 2);
      expect((await again.final()).status).toBe(200);
      await within(caller, bench.router, dialog, "ACK", 2, { contact: null });
      const bye = await within(callee, bench.router, calleeDialog(invite), "BYE", 100);
      expect((await bye.final()).status).toBe(200);
      expect(callIdOf(last(caller, "BYE"))).toBe(sent.callId);
    });

    test("registration with Path, and a call to the phone", async () => {
      const sent = await request(phone, bench.router, {
        method: "REGISTER",
        uri: "sip:[::1]",
        to: "<sip:1001@example.com>",
      });
      expect((await sent.final()).status).toBe(200);
      const path = header(last(pbx, "REGISTER"), "path");
      expect(path).toMatch(/^<sip:path@\[::1\]/);
      const called = await request(pbx, bench.router, {
        method: "INVITE",
        uri: "sip:1001@[2001:db8::7]:5060",
        fields: [["Route", path]],
      });
      expect((await called.final()).status).toBe(200);
      expect(last(phone, "INVITE").uri).toBe("sip:1001@[2001:db8::7]:5060");
    });

    test("its destinations are found alive", async () => {
      for (const peer of [pbx, pbxTcp]) {
        const probe = await peer.waitFor("OPTIONS", ({ method }) => method === "OPTIONS");
        expect(header(probe, "via")).toContain("[::1]");
        await bench.untilState(peer, "Active");
        peer.alive = false;
        await bench.untilState(peer, "Inactive");
      }
    });
  },
);

const PUBLIC = "203.0.113.10";

withKamailio(
  "advertised address",
  async (bench) => {
    [pbx, pbxTcp, phone, phoneTcp] = await Promise.all([
      bench.peer(11),
      bench.peer(12, 5060, "TCP"),
      bench.peer(20, 5070),
      bench.peer(21, 5070, "TCP"),
    ]);
    await bench.start(
      routerPlan({
        structure: { advertise: PUBLIC },
        sets: [
          { name: "udp", id: 1, destinations: [pbx] },
          { name: "tcp", id: 2, destinations: [pbxTcp] },
        ],
        routes: [
          { name: "udp", set: "udp", digits: "1" },
          { name: "tcp", set: "tcp", digits: "2" },
        ],
      }),
    );
  },
  (bench) => {
    test.each([
      ["UDP", "1000", () => [phone, pbx] as const],
      ["UDP and TCP", "2000", () => [phone, pbxTcp] as const],
      ["TCP", "2000", () => [phoneTcp, pbxTcp] as const],
    ])("Via and Record-Route hold it, over %s, and requests along it come back", async (_, number, sides) => {
      const [caller, callee] = sides();
      const { reply, dialog } = await call(caller, bench.router, number);
      expect(reply.status).toBe(200);
      const invite = last(callee, "INVITE");
      expect(headers(invite, "via")[0]).toMatch(/^SIP\/2\.0\/(UDP|TCP) 203\.0\.113\.10(:5060)?;/);
      for (const route of headers(invite, "record-route")) expect(route).toMatch(/^<sip:203\.0\.113\.10(:5060)?;/);
      const back = await within(callee, bench.router, calleeDialog(invite), "UPDATE", 100);
      expect((await back.final()).status).toBe(200);
      expect((await (await within(caller, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
      expect(
        callee.received
          .map(({ text }) => text)
          .filter((text) => /^(Via|Record-Route|Path):.*127\.\d+\.\d+\.1[:;>]/im.test(text)),
      ).toEqual([]);
    });

    test("Path holds it, and the PBX reaches the phone along it", async () => {
      const sent = await request(phone, bench.router, {
        method: "REGISTER",
        uri: `sip:${PUBLIC}`,
        to: "<sip:1001@example.com>",
      });
      expect((await sent.final()).status).toBe(200);
      const path = header(last(pbx, "REGISTER"), "path");
      expect(path).toMatch(/^<sip:path@203\.0\.113\.10(:5060)?;/);
      const called = await request(pbx, bench.router, { method: "INVITE", uri: phone.uri, fields: [["Route", path]] });
      expect((await called.final()).status).toBe(200);
    });

    test("the health checks name it", async () => {
      const probe = await pbx.waitFor("OPTIONS", ({ method }) => method === "OPTIONS");
      expect(header(probe, "from")).toContain(`sip:sip-router@${PUBLIC}`);
      expect(header(probe, "via")).toContain(PUBLIC);
    });
  },
);

withKamailio(
  "phones behind NAT",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 40_000)]);
    await bench.start(
      routerPlan({
        sets: [{ name: "udp", id: 1, destinations: [pbx] }],
        routes: [{ name: "udp", set: "udp", digits: "1" }],
      }),
    );
  },
  (bench) => {
    const body = [
      "v=0",
      "o=- 1 1 IN IP4 192.168.77.7",
      "s=-",
      "c=IN IP4 192.168.77.7",
      "t=0 0",
      "m=audio 4000 RTP/AVP 0",
      "",
    ].join("\r\n");

    test("answers go where the request came from, whatever its Via says, and the body is left alone", async () => {
      const inside = { host: "192.168.77.7", port: 5060 };
      const branch = "z9hG4bKnat";
      const text = [
        `INVITE sip:1000@${bench.router.host} SIP/2.0`,
        // no rport: RFC 3581 is not asked for, and done nevertheless
        `Via: SIP/2.0/UDP ${inside.host}:${inside.port};branch=${branch}`,
        "Max-Forwards: 70",
        "From: <sip:a@example.com>;tag=nat",
        `To: <sip:1000@${bench.router.host}>`,
        "Call-ID: nat-call",
        "CSeq: 1 INVITE",
        `Contact: <sip:a@${inside.host}:${inside.port}>`,
        "Content-Type: application/sdp",
        `Content-Length: ${body.length}`,
        "",
        body,
      ].join("\r\n");
      await phone.send(bench.router, text);
      const reply = await phone.waitFor("200", ({ status }) => status === 200);
      expect(header(reply, "via")).toContain(`received=${phone.host}`);
      expect(header(reply, "via")).toContain(`rport=${phone.port}`);
      const invite = last(pbx, "INVITE");
      expect(invite.body).toBe(body);
      const bye = await within(pbx, bench.router, calleeDialog(invite), "BYE", 100);
      expect((await bye.final()).status).toBe(200);
      expect(last(phone, "BYE").uri).toBe(`sip:a@${inside.host}:${inside.port}`);
    });

    test("a call of the PBX goes to the address that the phone registered from", async () => {
      const sent = await request(phone, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        to: "<sip:1001@example.com>",
        contact: "<sip:1001@192.168.77.7:5060>",
      });
      expect((await sent.final()).status).toBe(200);
      const { status } = await callOnce(pbx, bench.router, "", {
        uri: "sip:1001@192.168.77.7:5060",
        fields: [["Route", header(last(pbx, "REGISTER"), "path")]],
      });
      expect(status).toBe(200);
      expect(last(phone, "INVITE").uri).toBe("sip:1001@192.168.77.7:5060");
      // what keeps the way to the phone open: the PBX asks its contacts
      const probe = await request(pbx, bench.router, {
        method: "OPTIONS",
        uri: "sip:1001@192.168.77.7:5060",
        fields: [["Route", header(last(pbx, "REGISTER"), "path")]],
      });
      expect((await probe.final()).status).toBe(200);
      expect(callIdOf(last(phone, "OPTIONS"))).toBe(probe.callId);
    });

    test("the keep-alive of a phone over TCP is answered (RFC 5626 3.5.1)", async () => {
      const socket = connect({ ...bench.router, localAddress: bench.host(21) });
      await once(socket, "connect");
      socket.write("\r\n\r\n");
      const [pong] = (await once(socket, "data")) as [Buffer];
      expect(pong.toString()).toBe("\r\n");
      socket.destroy();
    });
  },
);
