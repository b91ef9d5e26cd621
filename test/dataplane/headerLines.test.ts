/** A CR alone ends a line for Asterisk, and for Kamailio it does not: what is behind it would be seen by the PBX only. */
import { beforeEach, expect, test } from "vitest";
import { call, request, within } from "../support/sip/caller.ts";
import { header } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer;
const text = "a body\rof\0old\r\n\r\nlines\r";

withKamailio(
  "header fields behind a CR",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20)]);
    await bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
        routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      pbx.received.length = 0;
    });
    const arrived = (): readonly unknown[] => pbx.received.filter(({ method = "OPTIONS" }) => method !== "OPTIONS");

    test.each([
      ["another From", "a\rFrom: <sip:1001@example.com>;tag=1"],
      ["an identity", "\rP-Asserted-Identity: <sip:1001@example.com>"],
      ["an identity behind a NUL", "\0\rP-Asserted-Identity: <sip:1001@example.com>"],
      ["another To", "a\r\r\nX-B: b\rTo: <sip:1001@example.com>"],
    ])("reach no PBX: %s", async (_, value) => {
      for (const method of ["INVITE", "REGISTER", "MESSAGE", "SUBSCRIBE"])
        for (const body of [undefined, text]) {
          const own = `<sip:1000@${bench.router.host}>`;
          const input = { method, uri: `sip:1000@${bench.router.host}`, to: own, from: `${own};tag=1` };
          const more = { fields: [["X-A", value]] as const, ...(body === undefined ? {} : { body }) };
          expect((await (await request(phone, bench.router, { ...input, ...more })).final()).status).toBe(400);
        }
      expect(arrived()).toEqual([]);
    });

    test("nor within a call", async () => {
      const { dialog } = await call(phone, bench.router, "1000");
      const fields = [
        ...dialog.routes.map((route) => ["Route", route] as const),
        ["X-A", "\rP-Asserted-Identity: <sip:1@x>"] as const,
      ];
      expect((await (await within(phone, bench.router, dialog, "INVITE", 2, { fields })).final()).status).toBe(400);
      expect((await (await within(phone, bench.router, dialog, "BYE", 3)).final()).status).toBe(200);
    });

    test("a body may have a CR and a NUL, and lines that end with LF only are lines", async () => {
      const input = { method: "MESSAGE", uri: `sip:1000@${bench.router.host}`, body: text };
      expect((await (await request(phone, bench.router, input)).final()).status).toBe(200);
      const [message] = pbx.requests("MESSAGE");
      expect(message && [header(message, "content-length"), message.text.endsWith(text)]).toEqual([
        String(text.length),
        true,
      ]);
      const sent = await request(phone, bench.router, { ...input, body: "", fields: [["X-A", "a\nX-B: b"]] });
      expect((await sent.final()).status).toBe(200);
    });

    test("who is believed has none to hide", async () => {
      const input = { method: "INVITE", uri: `sip:1000@${bench.router.host}`, fields: [["X-A", "a\rb"]] as const };
      expect((await (await request(pbx, bench.router, input)).final()).status).not.toBe(400);
    });
  },
);
