/**
 * TLS, of the listeners and towards backends. The file that Kamailio reads the paths of certificates from has no
 * preprocessor, so its paths are relative to the working folder, which the command line sets to the mounted Secrets.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { refuse } from "./quote.ts";

export const TLS_FILE = "tls.cfg";

export const renderTlsModule = ({ tls }: StructurePlan): readonly string[] =>
  tls === undefined
    ? []
    : ["enable_tls=yes", 'loadmodule "tls.so"', `modparam("tls", "config", "SIPR_STRUCTURE_DIR/${TLS_FILE}")`];

/**
 * `tls.cfg` (Kamailio module tls, "TLS Config"). Backends are shown the listener's certificate when they ask for one, and
 * are verified against `ca.crt` of the listener's Secret when it is there.
 */
export function renderTlsConfig({ tls }: StructurePlan): Record<string, string> {
  if (tls === undefined) return {};
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(tls.listener))
    refuse("listeners[].name", tls.listener, "lower case letters, digits and hyphens");
  if (tls.ca !== undefined && !/^[0-9a-f]{1,64}$/.test(tls.ca)) refuse("ca.crt", tls.ca, "its hash");
  const file = (name: string): string => `"./${tls.listener}/${name}"`;
  const own = [`private_key = ${file("tls.key")}`, `certificate = ${file("tls.crt")}`];
  const verified = tls.ca === undefined ? "no" : "yes";
  const lines = [
    "[server:default]",
    "method = TLSv1.2+",
    "verify_certificate = no",
    "require_certificate = no",
    ...own,
    "",
    "[client:default]",
    "method = TLSv1.2+",
    `verify_certificate = ${verified}`,
    `require_certificate = ${verified}`,
    ...own,
    // new authorities are a new file: no handshake shows which ones a running Kamailio has
    ...(tls.ca === undefined ? [] : [`# ${tls.ca}`, `ca_list = ${file("ca.crt")}`]),
    "",
  ];
  return { [TLS_FILE]: lines.join("\n") };
}
