/** Digest authentication (RFC 2617, MD5) as a server and as a client do it. */
import { createHash, randomBytes } from "node:crypto";
import { callIdOf, header, headers, writeReply, type SipMessage } from "./message.ts";
import type { Behaviour } from "./peer.ts";

const md5 = (text: string): string => createHash("md5").update(Buffer.from(text, "latin1")).digest("hex");

export interface Account {
  readonly realm: string;
  readonly username: string;
  readonly password: string;
}

const parametersOf = (value: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...value.replace(/^Digest\s+/i, "").matchAll(/([a-z-]+)=(?:"([^"]*)"|([^,\s]+))/gi)].map(
      ([, name = "", quoted, plain]) => [name.toLowerCase(), quoted ?? plain ?? ""],
    ),
  );

function responseOf(account: Account, method: string, given: Readonly<Record<string, string>>): string {
  const ha1 = md5(`${account.username}:${account.realm}:${account.password}`);
  const ha2 = md5(`${method}:${given["uri"]}`);
  const { nonce, nc, cnonce, qop } = given;
  return md5(qop === undefined ? `${ha1}:${nonce}:${ha2}` : `${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`);
}

/** A trunk that challenges every request but ACK and CANCEL; what answers right goes on to `then`. */
export interface Challenger {
  readonly behaviour: Behaviour;
  /** requests with right credentials */
  readonly accepted: SipMessage[];
  /** requests with credentials that are wrong, or whose CSeq did not go up (RFC 3261 22.2) */
  readonly rejected: SipMessage[];
}

export function challenging(
  account: Account,
  then: Behaviour,
  {
    status = 407,
    sameNumber = false,
    before = [],
  }: {
    status?: 401 | 407;
    sameNumber?: boolean;
    /** challenges that it likes better, each in a header of its own */
    before?: readonly string[];
  } = {},
): Challenger {
  const accepted: SipMessage[] = [];
  const rejected: SipMessage[] = [];
  const challengedAt = new Map<string, number>();
  const nonces = new Set<string>();
  const [ask, credentials] =
    status === 401 ? ["WWW-Authenticate", "authorization"] : ["Proxy-Authenticate", "proxy-authorization"];
  const behaviour: Behaviour = (request, send, peer) => {
    const { method = "" } = request;
    if (method === "ACK" || method === "CANCEL") return then(request, send, peer);
    const given = parametersOf(headers(request, credentials)[0] ?? "");
    const cseq = Number(header(request, "cseq").split(" ")[0]);
    const right =
      nonces.has(given["nonce"] ?? "") &&
      given["username"] === account.username &&
      given["response"] === responseOf(account, method, given) &&
      (sameNumber ? 0.5 : 0) + cseq > (challengedAt.get(callIdOf(request)) ?? 0);
    if (right) {
      accepted.push(request);
      return then(request, send, peer);
    }
    if (given["response"] !== undefined) rejected.push(request);
    const nonce = randomBytes(8).toString("hex");
    nonces.add(nonce);
    challengedAt.set(callIdOf(request), cseq);
    const challenge = `Digest realm="${account.realm}", nonce="${nonce}", algorithm=MD5, qop="auth"`;
    const fields = [...before, challenge].map((one): [string, string] => [ask, one]);
    return send(writeReply(request, status, { fields }));
  };
  return { behaviour, accepted, rejected };
}
