/** What comes from strangers: refused or dropped, never fatal, never answered with more than was sent. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { beforeEach, expect, test } from "vitest";
import { callOnce, request } from "../support/sip/caller.ts";
import { callIdOf, header, writeMessage } from "../support/sip/message.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { invalid, valid, type Torture } from "../support/sip/torture.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer;
let serial = 0;

/** Sends bytes from an address of its own; `settled` answers after all that was sent before was worked on. */
class RawSource {
  readonly replies: string[] = [];
  readonly host: string;
  readonly #socket = createSocket("udp4");
  readonly #bench: Bench;

  constructor(bench: Bench, last: number) {
    this.#bench = bench;
    this.host = bench.host(last);
    this.#socket.on("message", (data) => this.replies.push(data.toString("latin1")));
  }

  async open(): Promise<this> {
    this.#socket.bind(0, this.host);
    await once(this.#socket, "listening");
    return this;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(text: string): void {
    const { host, port } = this.#bench.router;
    this.#socket.send(Buffer.from(text, "latin1"), port, host);
  }

  close(): void {
    this.#socket.close();
  }
}

const dial = async (bench: Bench, from: SipPeer): Promise<number> =>
  (await callOnce(from, bench.router, "1000")).status;

/** The router still takes a call: all that was sent before it has been read, one worker or the other. */
async function servesCalls(bench: Bench): Promise<void> {
  for (let index = 0; index < 3; index += 1) expect(await dial(bench, phone)).toBe(200);
  // not readiness, which a pod that nobody asked for some seconds has lost
  const alive = await fetch(`http://${bench.router.host}:9060/healthz`);
  expect(alive.status).toBe(200);
}

const metric = (bench: Bench, name: string): Promise<number> => metricOf(bench.router.host, `sipr_${name}`);

withKamailio(
  "hostile messages",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20)]);
    await bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
        routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    let source: RawSource;
    beforeEach(async () => {
      source = await new RawSource(bench, 30).open();
      return () => source.close();
    });
    const write = ({ text }: Torture): { id: string; text: string } => {
      const id = `torture${(serial += 1)}x`;
      return { id, text: text({ router: bench.router.host, from: source.host, port: source.port, id }) };
    };

    test.each(valid)("gets through: $name", async (torture) => {
      const { id, text } = write(torture);
      source.send(text);
      await pbx.waitFor("the request", (message) => callIdOf(message) === id);
      await until("its final answer", () => source.replies.some((reply) => /^SIP\/2\.0 [2-6]/.test(reply)));
      await servesCalls(bench);
    });

    test.each(invalid)("is refused or dropped: $name", async (torture) => {
      const { id, text } = write(torture);
      source.send(text);
      await servesCalls(bench);
      expect(source.replies.filter((reply) => !/^SIP\/2\.0 (100|[456][0-9]{2}) /.test(reply))).toEqual([]);
      expect(pbx.received.filter((message) => callIdOf(message) === id)).toEqual([]);
    });

    test("the same over TCP: the connection may end, the router does not", async () => {
      const peer = await bench.peer(31, 5060, "TCP");
      for (const torture of [...invalid, ...valid]) {
        const text = torture.text({
          router: bench.router.host,
          from: peer.host,
          port: 5060,
          id: `tcp${(serial += 1)}x`,
        });
        await peer.send(bench.router, text).catch(() => undefined);
      }
      await servesCalls(bench);
      expect(await dial(bench, await bench.peer(32, 5060, "TCP"))).toBe(200);
    });

    test("scanners get no answer and are counted", async () => {
      const before = await metric(bench, "scanners_dropped");
      const agents = ["friendly-scanner", "SIPVicious/0.3", "sipcli/v1.8", "VaxSIPUserAgent/3.1", "sundayddr"];
      const sent = await Promise.all(
        agents.flatMap((agent) =>
          ["OPTIONS", "REGISTER", "INVITE"].map((method) =>
            request(phone, bench.router, { method, uri: "sip:1000@x", fields: [["User-Agent", agent]] }),
          ),
        ),
      );
      await until("all are counted", async () => (await metric(bench, "scanners_dropped")) - before === sent.length);
      await servesCalls(bench);
      expect(sent.flatMap(({ replies }) => replies)).toEqual([]);
      const usual = await request(phone, bench.router, {
        method: "INVITE",
        uri: "sip:1000@x",
        fields: [["User-Agent", "Yealink SIP-T46S 66.86.0.15"]],
      });
      expect((await usual.final()).status).toBe(200);
    });

    test("no answer to OPTIONS is longer than the OPTIONS", async () => {
      const forms = Object.entries(optionsForms(bench.router.host, source.host, source.port));
      for (const [, text] of forms) source.send(text);
      // the workers read in order: what was sent before these calls is answered, or never will be
      await servesCalls(bench);
      await until("the last answer", () =>
        source.replies.some((reply) => reply.includes(idIn(forms.at(-1)?.[1] ?? ""))),
      );
      const answered = forms.flatMap(([name, text]) => {
        const replies = source.replies.filter((reply) => reply.includes(idIn(text)));
        for (const reply of replies)
          expect.soft(reply.length, `${name}:\n${text}\n${reply}`).toBeLessThanOrEqual(text.length);
        return replies.length === 0 ? [] : [name];
      });
      expect(answered).toEqual(expect.arrayContaining(["a usual phone", "sipsak", "another Kamailio"]));
      expect(answered).not.toContain("as short as can be");
      expect(await metric(bench, "small_options_dropped")).toBeGreaterThan(0);
    });

    test("nothing was fatal", () => {
      expect(
        bench.kamailio.log.split("\n").filter((line) => /CRITICAL|BUG|signal/.test(line) && !/ dialog \[/.test(line)),
      ).toEqual([]);
    });

    test("a call that a PBX sends back ends with 483 when its hops are used up", async () => {
      await bench.untilState(pbx, "Active");
      const received = pbx.received.length;
      pbx.behaviour = (message) => {
        if (message.method !== "INVITE") return;
        const fields = message.fields.filter(([name]) => !/^(via|content-length|route|record-route)$/i.test(name));
        const via = `SIP/2.0/UDP ${pbx.host}:${pbx.port};branch=z9hG4bKloop${(serial += 1)};rport`;
        const again = {
          first: `INVITE sip:1000@${bench.router.host} SIP/2.0`,
          fields: [["Via", via], ...fields] as const,
        };
        void pbx.send(bench.router, writeMessage(again));
      };
      const sent = await request(phone, bench.router, {
        method: "INVITE",
        uri: `sip:1000@${bench.router.host}`,
        maxForwards: 20,
      });
      await until("the copy without hops left is refused", () =>
        pbx.received.slice(received).some(({ status }) => status === 483),
      );
      expect(
        new Set(
          pbx
            .requests("INVITE")
            .filter((one) => callIdOf(one) === sent.callId)
            .map((one) => header(one, "max-forwards")),
        ).size,
      ).toBe(20);
      // the copies that wait for an answer get none: a timeout of the destination
      expect((await sent.final()).status).toBe(503);
      pbx.behaviour = answering(200);
      // each of them counts against the destination, also when it has been found to be back meanwhile
      await until("calls are served again", async () => {
        for (let index = 0; index < 10; index += 1) if ((await dial(bench, phone)) !== 200) return false;
        return true;
      });
      await servesCalls(bench);
    });
  },
);

const idIn = (text: string): string => /\r\n(?:Call-ID|i): *(\S+)/.exec(text)?.[1] ?? "?";

/** OPTIONS from one who wants an answer, and from one who wants a long one. */
function optionsForms(router: string, from: string, port: number): Record<string, string> {
  const form = (lines: readonly string[], more: readonly string[] = []): string =>
    [...lines, ...more, "", ""].join("\r\n");
  const id = (): string => `o${(serial += 1)}`;
  const least = (version = "SIP/2.0", padding = ""): string[] => [
    `OPTIONS sip:${router} ${version}`,
    `v:SIP/2.0/UDP ${from}:${port}${padding};branch=z9hG4bK${id()}`,
    `f:${padding}<sip:a@b>;tag=1`,
    `t:${padding}<sip:a@b>`,
    `i:${id()}`,
    "CSeq:1 OPTIONS",
  ];
  const usual = (maxForwards = 70): string[] => [
    `OPTIONS sip:${router}:5060 SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:${port};branch=z9hG4bK${id()};rport`,
    `From: <sip:phone@${from}>;tag=1`,
    `To: <sip:${router}>`,
    `Call-ID: ${id()}`,
    "CSeq: 1 OPTIONS",
    `Contact: <sip:phone@${from}:${port}>`,
    `Max-Forwards: ${maxForwards}`,
    "Content-Length: 0",
  ];
  const steps = Array.from({ length: 24 }, (_, index) => index * 6);
  return {
    "as short as can be": form(least()),
    "padded where the answer repeats": form(least("SIP/2.0", " ".repeat(200))),
    "names that are no header field": form(least(), ["X-Contact: x", "XContent-Length: 0"]),
    "a body that looks like header fields": `${form(least(), ["l:44"])}\nContact:\nContent-Length:\nContact: aaaaaaaaaaaa`,
    "many Vias": form([...least(), ...Array.from({ length: 20 }, () => `v: SIP/2.0/UDP 192.0.2.1`)]),
    ...Object.fromEntries(
      steps.map((size) => [`${size} bytes more`, form(least(), [`User-Agent:${"x".repeat(size)}`])]),
    ),
    ...Object.fromEntries(
      steps.map((size) => [
        `${size} bytes more, no hop left`,
        form(least(), ["Max-Forwards:0", `Accept:${"x".repeat(size)}`]),
      ]),
    ),
    ...Object.fromEntries(
      steps.map((size) => [
        `${size} bytes more, not understood`,
        form(least("SIP/3.0"), [`Accept:${"x".repeat(size)}`, "Content-Length: zero"]),
      ]),
    ),
    "a usual phone": form([...usual(), "User-Agent: Yealink SIP-T46S 66.86.0.15", "Accept: application/sdp"]),
    "a usual phone, no hop left": form([...usual(0), "User-Agent: Yealink SIP-T46S 66.86.0.15"]),
    sipsak: form([...usual(), "User-Agent: sipsak 0.9.8", "Accept: text/plain"]),
    "another Kamailio": form([
      `OPTIONS sip:${router}:5060;transport=udp SIP/2.0`,
      `Via: SIP/2.0/UDP ${from}:${port};branch=z9hG4bK${id()}.e2b1f6f1000000000000000000000000.0`,
      `To: <sip:${router}:5060;transport=udp>`,
      `From: <sip:sip-router@${from}>;tag=5c0a1f4b4b6e8f0c9c1d2e3f4a5b6c7d-0d0e0f10`,
      "CSeq: 10 OPTIONS",
      `Call-ID: ${id()}@${from}`,
      "Max-Forwards: 70",
      "Content-Length: 0",
      "User-Agent: kamailio (5.6.3 (x86_64/linux))",
    ]),
  };
}
