/** How a phone answers digest challenges (RFC 2617 3.2.2, RFC 3261 22). */
import { createHash, randomBytes } from "node:crypto";
import { header, type SipMessage } from "./message.ts";

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

export const ha1Of = (user: string, realm: string, password: string): string => md5(`${user}:${realm}:${password}`);

export interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly qop: string | undefined;
}

/** Of a 401 or a 407. */
export function challengeIn(reply: SipMessage): Challenge {
  const text = header(reply, reply.status === 401 ? "www-authenticate" : "proxy-authenticate");
  const value = (name: string): string | undefined => new RegExp(`${name}="([^"]*)"`).exec(text)?.[1];
  return { realm: value("realm") ?? "", nonce: value("nonce") ?? "", qop: value("qop") };
}

/** `ha1` stands for user and password where it is given. */
export interface Login {
  readonly user: string;
  readonly password?: string;
  readonly ha1?: string;
}

/** The header field that answers: Authorization for 401, Proxy-Authorization for 407. */
export function credentialsFor(
  status: number,
  { realm, nonce, qop }: Challenge,
  { user, password = "", ha1 = ha1Of(user, realm, password) }: Login,
  method: string,
  uri: string,
): readonly [string, string] {
  const cnonce = randomBytes(4).toString("hex");
  const ha2 = md5(`${method}:${uri}`);
  const response =
    qop === undefined ? md5(`${ha1}:${nonce}:${ha2}`) : md5(`${ha1}:${nonce}:00000001:${cnonce}:auth:${ha2}`);
  const fields = [
    `username="${user}"`,
    `realm="${realm}"`,
    `nonce="${nonce}"`,
    `uri="${uri}"`,
    `response="${response}"`,
    "algorithm=MD5",
    ...(qop === undefined ? [] : ["qop=auth", `cnonce="${cnonce}"`, "nc=00000001"]),
  ];
  return [status === 401 ? "Authorization" : "Proxy-Authorization", `Digest ${fields.join(", ")}`];
}
