/**
 * Messages after the classes of RFC 4475 (SIP torture tests), for a router and a callee of its own: syntactically valid
 * but unusual ones, which must get through, and invalid ones, which must be refused or dropped.
 */

export interface Torture {
  /** name of the test in RFC 4475, or what is wrong */
  readonly name: string;
  readonly text: (at: Place) => string;
}

export interface Place {
  readonly router: string;
  readonly from: string;
  readonly port: number;
  readonly id: string;
}

interface Parts {
  readonly first?: string;
  readonly via?: string;
  readonly maxForwards?: string | null;
  readonly from?: string | null;
  readonly to?: string | null;
  readonly callId?: string | null;
  readonly cseq?: string | null;
  readonly contact?: string | null;
  readonly more?: readonly string[];
  readonly length?: string | null;
  readonly body?: string;
}

const message =
  (method: string, parts: (at: Place) => Parts = () => ({})) =>
  (at: Place): string => {
    const p = parts(at);
    const body = p.body ?? "";
    const line = (name: string, given: string | null | undefined, usual: string): string[] =>
      given === null ? [] : [`${name}: ${given ?? usual}`];
    return [
      p.first ?? `${method} sip:1000@${at.router} SIP/2.0`,
      p.via ?? `Via: SIP/2.0/UDP ${at.from}:${at.port};branch=z9hG4bK${at.id};rport`,
      ...line("Max-Forwards", p.maxForwards, "70"),
      ...line("From", p.from, `<sip:caller@${at.from}>;tag=${at.id}`),
      ...line("To", p.to, `<sip:1000@${at.router}>`),
      ...line("Call-ID", p.callId, at.id),
      ...line("CSeq", p.cseq, `1 ${method}`),
      ...line("Contact", p.contact, `<sip:caller@${at.from}:${at.port}>`),
      ...(p.more ?? []),
      ...line("Content-Length", p.length, String(body.length)),
      "",
      body,
    ].join("\r\n");
  };

const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/** Section 3.1.1: unusual, and right. */
export const valid: readonly Torture[] = [
  {
    name: "wsinv: odd spacing, folding, compact names",
    text: (at) =>
      [
        `INVITE sip:1000@${at.router};unknownparam SIP/2.0`,
        `TO :`,
        ` sip:1000@${at.router} ;   tag-less=1`,
        `from   : "J Rosenberg \\\\\\""       <sip:caller@${at.from}>`,
        "  ;",
        `  tag = ${at.id}`,
        "MaX-fOrWaRdS: 0068",
        `Call-ID: ${at.id}`,
        "cseq: 0009 INVITE",
        `Via  : SIP  /   2.0  /UDP    ${at.from}:${at.port} ;branch=z9hG4bK${at.id};rport`,
        "s :",
        "NewFangledHeader:   newfangled value",
        " continued newfangled value",
        "UnknownHeaderWithUnusualValue: ;;,,;;,;",
        "Content-Type: application/sdp",
        "v:  SIP  / 2.0  / TCP     192.0.2.2   ;  branch  =   390skdjuw",
        `m:"Quoted string \\"\\"" <sip:caller@${at.from}:${at.port}> ; newparam =`,
        "      newvalue ;",
        "  secondparam ; q = 0.33",
        `l: ${sdp.length}`,
        "",
        sdp,
      ].join("\r\n"),
  },
  {
    name: "esc01: escapes in From and a header name like a URI",
    text: message("INVITE", (at) => ({ from: `"%Z%45" <sip:resource%20caller@${at.from}>;tag=${at.id}` })),
  },
  {
    name: "longreq: long values",
    text: message("INVITE", (at) => ({
      from: `"I have a user name of ${"extreme ".repeat(40)}proportion" <sip:${"a".repeat(200)}@${at.from}>;tag=${at.id}`,
      more: [`Unknown-${"long".repeat(60)}-Name: ${"value".repeat(150)}`],
    })),
  },
  {
    name: "noreason: a body in parts",
    text: message("INVITE", () => ({
      more: ["Content-Type: multipart/mixed;boundary=7a9cbec02ceef655"],
      body: `--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n${String.fromCodePoint(1, 2, 3, 127)}\r\n--7a9cbec02ceef655--\r\n`,
    })),
  },
  {
    name: "transports: unknown transports in further Vias",
    text: message("INVITE", (at) => ({
      via: `Via: SIP/2.0/UDP ${at.from}:${at.port};branch=z9hG4bK${at.id};rport\r\nVia: SIP/2.0/SCTP 192.0.2.3;branch=z9hG4bKa\r\nVia: SIP/2.0/UNKNOWN 192.0.2.4;branch=z9hG4bKb`,
    })),
  },
  {
    name: "inv2543: no branch cookie of RFC 3261",
    text: message("INVITE", (at) => ({
      via: `Via: SIP/2.0/UDP ${at.from}:${at.port}`,
      contact: null,
      maxForwards: null,
    })),
  },
  {
    name: "baddn: a comma in a display name",
    text: message("INVITE", (at) => ({ from: `Bell, Alexander <sip:a.g.bell@${at.from}>;tag=${at.id}` })),
  },
];

/** Sections 3.1.2 and 3.3, and what a scanner sends: nothing of it may reach a backend. */
export const invalid: readonly Torture[] = [
  { name: "badinv01: separators without values", text: message("INVITE", (at) => ({ to: `sip:1000@${at.router};tag`, from: `"caller" <sip:caller@${at.from}>;;,;,,`, contact: '"" <sip:x>;;,;,' , via: `Via: SIP/2.0/UDP ${at.from}:${at.port};;,;,,` })) },
  { name: "clerr: Content-Length longer than the message", text: message("INVITE", () => ({ length: "9999", more: ["Content-Type: application/sdp"], body: sdp })) },
  { name: "ncl: negative Content-Length", text: message("INVITE", () => ({ length: "-999", more: ["Content-Type: application/sdp"], body: sdp })) },
  { name: "scalar02: numbers out of range", text: message("REGISTER", () => ({ cseq: "36893488147419103232 REGISTER", maxForwards: "300", more: ["Expires: 10000000000000000000000000000000000000000000000"] })) },
  { name: "scalarlg: a CSeq that is no number of 32 bits", text: message("INVITE", () => ({ cseq: "9999999999999999999999 INVITE" })) },
  { name: "quotbal: a quote that does not end", text: message("INVITE", (at) => ({ to: `"Mr. J. User <sip:1000@${at.router}>` })) },
  { name: "ltgtruri: <> around the Request-URI", text: message("INVITE", (at) => ({ first: `INVITE <sip:1000@${at.router}> SIP/2.0` })) },
  { name: "lwsruri: a space in the Request-URI", text: message("INVITE", (at) => ({ first: `INVITE sip:1000@${at.router}; lr SIP/2.0` })) },
  { name: "lwsstart: two spaces in the request line", text: message("INVITE", (at) => ({ first: `INVITE  sip:1000@${at.router}  SIP/2.0` })) },
  { name: "badvers: SIP/7.0", text: message("INVITE", (at) => ({ first: `INVITE sip:1000@${at.router} SIP/7.0` })) },
  { name: "mismatch01: methods differ", text: message("INVITE", () => ({ cseq: "1 REGISTER" })) },
  { name: "mismatch02: an unknown method that differs", text: message("NEWMETHOD", () => ({ cseq: "1 INVITE" })) },
  { name: "insuf: From, To, Call-ID and CSeq are missing", text: message("INVITE", () => ({ from: null, to: null, callId: null, cseq: null })) },
  { name: "unkscm: an unknown scheme", text: message("OPTIONS", () => ({ first: "INVITE nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", cseq: "1 INVITE" })) },
  { name: "novelsc: a scheme that is no address", text: message("INVITE", () => ({ first: "INVITE soap.beep://192.0.2.103:3002 SIP/2.0" })) },
  { name: "bext01: an extension that nobody has", text: message("INVITE", () => ({ more: ["Proxy-Require: nothingSupportsThis, nothingSupportsThisEither"] })) },
  { name: "multi01: fields twice", text: message("INVITE", () => ({ cseq: "1 INVITE\r\nCSeq: 8 NOTIFY", length: "0\r\nContent-Length: 15" , first: "INVITE sip:77@x SIP/2.0" })) },
  { name: "zeromf: Max-Forwards 0", text: message("INVITE", () => ({ maxForwards: "0" })) },
  { name: "Max-Forwards that is no number", text: message("INVITE", () => ({ maxForwards: "-1" })) },
  { name: "a Route that is no URI", text: message("INVITE", () => ({ first: "INVITE sip:77@x SIP/2.0", more: ["Route: <>", "Route: ;;;,<sip:;lr>,\"", "Record-Route: <sip:"] })) },
  { name: "bytes of no meaning", text: () => String.fromCodePoint(...Array.from({ length: 900 }, (_, index) => (index * 131) % 256)) },
  { name: "nul bytes in names and values", text: message("INVITE", (at) => ({ first: `INVITE sip:10\u000000@${at.router} SIP/2.0`, more: ["X-\u0000: \u0000"] })) },
  { name: "only a request line", text: (at) => `INVITE sip:1000@${at.router} SIP/2.0\r\n\r\n` },
  { name: "only line ends", text: () => "\r\n\r\n\r\n\r\n" },
  { name: "a thousand Vias", text: message("INVITE", (at) => ({ first: "INVITE sip:77@x SIP/2.0", via: `Via: SIP/2.0/UDP ${at.from}:${at.port};branch=z9hG4bK${at.id}\r\n${"v: SIP/2.0/UDP 192.0.2.1\r\n".repeat(999)}v: SIP/2.0/UDP 192.0.2.9` })) },
  { name: "a name of 60,000 bytes", text: message("INVITE", () => ({ first: "INVITE sip:77@x SIP/2.0", more: [`${"x".repeat(60_000)}: y`] })) },
  { name: "a URI of 8,000 bytes", text: message("INVITE", (at) => ({ first: `INVITE sip:${"1".repeat(8000)}@${at.router} SIP/2.0` })) },
  { name: "bigcode: a reply with an endless code", text: (at) => `SIP/2.0 4294967301 better not break the receiver\r\nVia: SIP/2.0/UDP ${at.router};branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\nCall-ID: ${at.id}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nContent-Length: 0\r\n\r\n` },
  { name: "a reply to nothing", text: (at) => `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP ${at.router};branch=z9hG4bK1\r\nVia: SIP/2.0/UDP ${at.from}:${at.port}\r\nCSeq: 1 INVITE\r\nCall-ID: ${at.id}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nContent-Length: 0\r\n\r\n` },
  { name: "an ACK for nothing", text: message("ACK", () => ({ to: "<sip:1000@x>;tag=none" })) },
  { name: "a CANCEL for nothing", text: message("CANCEL") },
  { name: "digest credentials that do not parse", text: message("REGISTER", () => ({ first: "REGISTER sip:x SIP/2.0", to: "<sip:77@x>", more: ['Authorization: Digest username="a, realm=,,nonce', "Authorization: NoOneKnowsThisScheme opaque-data=here"] })) },
]; // prettier-ignore
