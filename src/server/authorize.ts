/**
 * Who may read the metrics: who shows a bearer token that the API server knows (TokenReview) and whose user may `get` the
 * path /metrics (SubjectAccessReview), as controller-runtime has it. Answers are kept for a short while; a token only as its
 * digest.
 */
import { createHash } from "node:crypto";

/** One request to the API server; throws when it is refused or not answered. */
export type Review = (path: string, body: object) => Promise<unknown>;
export type Authorization = "allowed" | "unauthenticated" | "forbidden";

export interface AuthorizeOptions {
  readonly review: Review;
  /** milliseconds */
  readonly now: () => number;
}

const ALLOWED_MS = 60_000;
const REFUSED_MS = 10_000;
const MAX_KEPT = 256;
/** Tokens that are being looked at: whoever sends random ones must not make the API server busy. */
const MAX_ASKED = 8;
const MAX_TOKEN = 16 * 1024;

interface Kept {
  readonly answer: Promise<Authorization>;
  until: number;
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: { readonly username?: string; readonly uid?: string; readonly groups?: readonly string[] };
  };
}

/** Rejects when the API server gives no answer: then nobody is let in. @param header of Authorization */
export function createAuthorize(
  options: AuthorizeOptions,
): (header: string | undefined, path: string) => Promise<Authorization> {
  const kept = new Map<string, Kept>();
  const { now } = options;
  let asked = 0;

  const ask = async (token: string, path: string): Promise<Authorization> => {
    const known = (await options.review("/apis/authentication.k8s.io/v1/tokenreviews", {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token },
    })) as TokenReview;
    const { authenticated, user } = known.status ?? {};
    if (authenticated !== true || user?.username === undefined) return "unauthenticated";
    const access = (await options.review("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: {
        user: user.username,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: user.groups ?? [],
        nonResourceAttributes: { path, verb: "get" },
      },
    })) as { readonly status?: { readonly allowed?: boolean } };
    return access.status?.allowed === true ? "allowed" : "forbidden";
  };

  return async (header, path) => {
    const token = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header ?? "")?.[1];
    if (token === undefined || token.length > MAX_TOKEN) return "unauthenticated";
    const id = createHash("sha256").update(`${path}\n${token}`).digest("hex");
    const found = kept.get(id);
    if (found !== undefined && found.until > now()) return found.answer;
    for (const [old, { until }] of kept) if (until <= now() || kept.size >= MAX_KEPT) kept.delete(old);
    if (asked >= MAX_ASKED) throw new Error("too many tokens at once");
    asked += 1;
    const made: Kept = { answer: ask(token, path), until: Number.POSITIVE_INFINITY };
    kept.set(id, made);
    try {
      const answer = await made.answer;
      made.until = now() + (answer === "allowed" ? ALLOWED_MS : REFUSED_MS);
      return answer;
    } catch (error) {
      if (kept.get(id) === made) kept.delete(id);
      throw error;
    } finally {
      asked -= 1;
    }
  };
}
