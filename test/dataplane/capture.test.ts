/** A capture of one call, as `kubectl sip capture` begins, reads and ends it. */
import { expect, test } from "vitest";
import { beginCapture, endCapture, readCapture, type Captured, type CaptureOf } from "../../src/kamailio/capture.ts";
import { CAPTURE } from "../../src/render/layout.ts";
import { call, callOnce, request, within } from "../support/sip/caller.ts";
import { callIdOf } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer;
const sdp = [
  "v=0",
  "o=- 1 1 IN IP4 127.0.0.1",
  "s=-",
  "k=clear:s3cret",
  "m=audio 9 RTP/SAVP 8",
  "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret",
  "a=ice-pwd:s3cret",
  "",
].join("\r\n");

withKamailio(
  "capture",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 5070)]);
    await bench.start(
      routerPlan({
        structure: { healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 } },
        sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
        routes: [{ name: "all", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    const ask = (method: string, ...params: (string | number)[]): Promise<unknown> => bench.call(method, ...params);
    const isOn = async (): Promise<boolean> =>
      ((await bench.call("sipdump.enable", -1)) as { oldval: number }).oldval === 1;
    let session = 1000;
    const capture = async (what: CaptureOf, during: () => Promise<unknown>): Promise<Captured> => {
      session += 1;
      await beginCapture(ask, what, session, 30);
      try {
        await during();
        return await readCapture(ask, session, 0);
      } finally {
        await endCapture(ask, session);
      }
    };
    const callThrough = async (number: string): Promise<string> => {
      const { dialog, sent } = await call(phone, bench.router, number);
      await (await within(phone, bench.router, dialog, "BYE", 3)).final();
      return sent.callId;
    };

    test("every message of the calls of a number, both sides, and nothing else", async () => {
      let wanted = "";
      const { messages, count } = await capture({ number: "1000" }, async () => {
        await callOnce(phone, bench.router, "1001");
        wanted = await callThrough("1000");
        await callOnce(phone, bench.router, "1002");
      });
      const arrivedAt = (peer: SipPeer): string[] =>
        peer.received.filter((message) => callIdOf(message) === wanted).map(({ text }) => text.trimEnd());
      const sentTo = (peer: SipPeer): string[] =>
        messages.filter(({ to, sent }) => sent && to === `${peer.host}:${peer.port}`).map(({ text }) => text);
      expect(count).toBe(messages.length);
      expect(sentTo(phone).toSorted()).toEqual(arrivedAt(phone).toSorted());
      expect(sentTo(pbx).toSorted()).toEqual(arrivedAt(pbx).toSorted());
      const cameFrom = (peer: SipPeer): string[] =>
        messages
          .filter(({ from, sent }) => !sent && from === `${peer.host}:${peer.port}`)
          .map(({ text }) => text.split(/[ \r]/, 2).join(" "));
      expect(
        cameFrom(phone)
          .map((line) => line.split(" ")[0])
          .toSorted(),
      ).toEqual(["ACK", "BYE", "INVITE"]);
      expect(cameFrom(pbx)).toEqual(["SIP/2.0 200", "SIP/2.0 200"]);
    });

    test("one Call-ID, whoever calls whom", async () => {
      const { messages } = await capture({ callId: "wanted-1@example.com" }, async () => {
        await callThrough("1000");
        await (
          await request(phone, bench.router, {
            method: "INVITE",
            uri: `sip:1003@${bench.router.host}`,
            callId: "wanted-1@example.com",
          })
        ).final();
      });
      expect(new Set(messages.map(({ text }) => /^Call-ID: (.*)\r$/m.exec(text)?.[1]))).toEqual(
        new Set(["wanted-1@example.com"]),
      );
    });

    test("a number is one, not a regular expression, and no part of a longer one", async () => {
      const { messages } = await capture({ number: "1.00" }, () => callThrough("1000"));
      expect(messages).toEqual([]);
      expect((await capture({ number: "100" }, () => callThrough("1000"))).messages).toEqual([]);
    });

    test("credentials, passwords, keys of media and texts are not stored", async () => {
      const stored: string[] = [];
      await capture({ number: "1000" }, async () => {
        const fields: [string, string][] = [
          ["authorization", 'Digest username="ann",\r\n\tresponse="s3cret"'],
          ["Proxy-Authorization", 'Digest response="s3cret"'],
        ];
        const from = "<sip:ann:s3cret@example.com>;tag=1";
        const uri = `sip:1000@${bench.router.host}`;
        const media: [string, string] = ["Content-Type", "application/sdp"];
        const chat: [string, string] = ["Content-Type", "text/plain"];
        await (
          await request(phone, bench.router, { method: "INVITE", uri, from, fields: [...fields, media], body: sdp })
        ).final();
        await (
          await request(phone, bench.router, { method: "MESSAGE", uri, from, fields: [chat], body: "a s3cret" })
        ).final();
        await (await request(phone, bench.router, { method: "REGISTER", uri, from, fields })).final();
        const { count } = await readCapture(ask, session, 0);
        for (let at = 1; at <= count; at += 1) {
          const { item } = (await bench.call("htable.get", CAPTURE.table, String(at))) as { item: { value: string } };
          stored.push(Buffer.from(item.value.split(" ").at(-1) ?? "", "base64").toString("utf8"));
        }
      });
      for (const method of ["INVITE", "MESSAGE", "REGISTER"])
        expect(stored.filter((text) => text.startsWith(method)).length, method).toBeGreaterThan(0);
      expect(stored.join("\n")).toContain("a=crypto:1 AES_CM_128_HMAC_SHA1_80 ***");
      expect(stored.filter((text) => text.includes("s3cret"))).toEqual([]);
    });

    test("it is off before, and ends by itself when its time is over, whoever forgot it", async () => {
      expect(await isOn()).toBe(false);
      await beginCapture(ask, { number: "1000" }, 7, 1);
      expect(await isOn()).toBe(true);
      await expect(beginCapture(ask, { number: "1001" }, 8, 1)).rejects.toMatchObject({ code: "SIPR_USAGE" });
      // the next message of any kind switches it off, here the OPTIONS to the PBX
      await until("it is off", async () => !(await isOn()));
      await callOnce(phone, bench.router, "1000");
      expect(await readCapture(ask, 7, 0)).toMatchObject({ over: true });
      expect(await endCapture(ask, 7)).toBe(false);
    });

    test("its memory is bounded: by messages and by calls", async () => {
      const uri = `sip:1000@${bench.router.host}`;
      const counted = (count: number) =>
        until(`${count} messages`, async () => {
          const found = await readCapture(ask, session, 0);
          return found.count >= count && found;
        });
      const { messages } = await capture({ callId: "long-one" }, async () => {
        for (let cseq = 1; cseq <= CAPTURE.maxMessages / 2 + 5; cseq += 1)
          await request(phone, bench.router, { method: "OPTIONS", uri, callId: "long-one", cseq });
        await counted(CAPTURE.maxMessages + 1);
      });
      expect(messages).toHaveLength(CAPTURE.maxMessages);
      const beyond = bench.call("htable.get", CAPTURE.table, String(CAPTURE.maxMessages + 1));
      await expect(beyond).rejects.toMatchObject({ code: "SIPR_RPC_FAULT" });
      const many = await capture({ number: "1000" }, async () => {
        for (let at = 0; at < CAPTURE.maxCalls; at += 1) await request(phone, bench.router, { method: "OPTIONS", uri });
        await counted(2 * CAPTURE.maxCalls);
        await callOnce(phone, bench.router, "1000");
      });
      expect(many.count).toBe(2 * CAPTURE.maxCalls);
    });
  },
);

withKamailio(
  "capture where topology is hidden",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 5070)]);
    await bench.start(
      routerPlan({
        structure: { topologyHiding: true },
        sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
        routes: [{ name: "all", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    test("both sides of a call are captured, by its Call-ID, as they are before they are hidden", async () => {
      const ask = (method: string, ...params: (string | number)[]): Promise<unknown> => bench.call(method, ...params);
      const callId = "hidden-1@example.com";
      await beginCapture(ask, { callId }, 5, 30);
      await callOnce(phone, bench.router, "1000", { callId });
      const { messages } = await readCapture(ask, 5, 0);
      expect(callIdOf(pbx.requests("INVITE").at(-1)!)).not.toBe(callId);
      expect(new Set(messages.map(({ text }) => /^Call-ID: (.*?)\r?$/m.exec(text)?.[1]))).toEqual(new Set([callId]));
      const own = `${pbx.host}:${pbx.port}`;
      const linesOf = (side: "from" | "to"): string[] =>
        messages.filter((one) => one[side] === own).map(({ text }) => text.split(/[ \r]/, 1)[0] ?? "");
      expect(linesOf("to").toSorted()).toEqual(["ACK", "BYE", "INVITE"]);
      expect(linesOf("from")).toEqual(["SIP/2.0", "SIP/2.0"]);
    });
  },
);
