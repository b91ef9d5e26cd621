/** Certificates of TLS listeners: readable, with the key that belongs to them. */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { refOf, type SipRouter } from "../api/index.ts";
import { unresolved, wrong } from "./issue.ts";
import { readSecret } from "./secretTexts.ts";
import type { Issue, ResolvedTls, Snapshot } from "./types.ts";

export interface TlsResolution {
  readonly tls?: ResolvedTls;
  readonly issues: readonly Issue[];
}

/** A Secret that is not there, or lacks a key, is told by `routerSecretIssues`. */
export function resolveTls(snapshot: Snapshot, router: SipRouter): TlsResolution {
  const ref = refOf(router);
  const listeners = router.spec.listeners
    .map((listener, index) => ({ ...listener, path: `spec.listeners[${index}].tls.secretName` }))
    .filter(({ tls }) => tls !== undefined)
    .toSorted((a, b) => a.port - b.port);
  const [first] = listeners;
  if (first?.tls === undefined) return { issues: [] };
  const name = first.tls.secretName;
  const other = listeners.find(({ tls }) => tls?.secretName !== name);
  if (other !== undefined) {
    const message = `all TLS listeners show one certificate, that of ${first.name}: name the Secret ${name}, with all host names in its certificate.`;
    return { issues: [wrong(ref, other.path, "NotSupported", message)] };
  }
  const secret = readSecret(snapshot, ref.namespace, name);
  const { "tls.crt": certificate = "", "tls.key": privateKey = "", "ca.crt": trusted = "" } = secret?.texts ?? {};
  if (secret === undefined || certificate === "" || privateKey === "") return { issues: [] };
  const fault = faultOf(certificate, privateKey, trusted);
  if (fault !== undefined)
    return { issues: [unresolved(ref, first.path, "SecretInvalid", `Secret ${secret.key}: ${fault}`)] };
  const authorities = certificatesIn(trusted);
  return {
    tls: {
      listener: first.name,
      port: first.port,
      chain: chainOf(certificatesIn(certificate)),
      ...(authorities.length === 0 ? {} : { authorities: authorities.map(fingerprintOf).toSorted() }),
    },
    issues: [],
  };
}

function faultOf(certificate: string, privateKey: string, authorities: string): string | undefined {
  const parsed = attempt(() => certificatesIn(certificate));
  const [leaf] = parsed ?? [];
  if (leaf === undefined)
    return "tls.crt holds no certificate that can be read: put it there in PEM, the chain after it.";
  const key = attempt(() => createPrivateKey(privateKey));
  if (key === undefined)
    return "tls.key is no private key that can be read: put it there in PEM, without a passphrase.";
  if (!leaf.checkPrivateKey(key)) return "tls.key is not the key of tls.crt: put the two that belong together.";
  if (authorities !== "" && (attempt(() => certificatesIn(authorities)) ?? []).length === 0)
    return "ca.crt holds no certificate that can be read: put them there in PEM, or remove the key.";
  return undefined;
}

function attempt<Value>(make: () => Value): Value | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

const certificatesIn = (pem: string): readonly X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  );

const fingerprintOf = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.raw).digest("hex");

/** The first one, its issuer, and so on: what a handshake shows, whatever else is in the file. */
function chainOf(certificates: readonly X509Certificate[]): readonly string[] {
  const chain = certificates.slice(0, 1);
  const rest = certificates.slice(1);
  for (let last = chain[0]; last !== undefined; last = chain.at(-1)) {
    const current = last;
    const at = rest.findIndex((one) => current.checkIssued(one));
    const [next] = at < 0 ? [] : rest.splice(at, 1);
    if (next === undefined || next.raw.equals(current.raw)) break;
    chain.push(next);
  }
  return chain.map(fingerprintOf);
}
