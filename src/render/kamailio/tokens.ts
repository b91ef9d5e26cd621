/**
 * What `kamailio.cfg` does not know itself: the preprocessor replaces these tokens anywhere in the file, strings
 * included, by values from the command line (`--substdef`), or, for the token of the control port, from the mounted
 * Secret. The file is therefore the same for every pod, in a cluster and as a local process.
 */
import { createHmac } from "node:crypto";
import { CONTROL_DIR, DATA_DIR, LOOPBACK_VARIABLE, RUN_DIR, STRUCTURE_DIR } from "../layout.ts";
import { maskAlphabet } from "./mask.ts";
import { refuse } from "./quote.ts";

/** token -> value on the command line */
export const commandLineTokens = {
  SIPR_POD_IP: "$(POD_IP)",
  SIPR_LOOPBACK: `$(${LOOPBACK_VARIABLE})`,
  SIPR_STRUCTURE_DIR: STRUCTURE_DIR,
  SIPR_DATA_DIR: DATA_DIR,
  SIPR_CONTROL_DIR: CONTROL_DIR,
  SIPR_RUN_DIR: RUN_DIR,
} as const;

/** where replicas know of each other: the DNS name of all of them */
export const peerTokens = { SIPR_PEERS: "$(PEERS)" } as const;

/** In the Secret `<router>-control`, beside `token`: the file that `kamailio.cfg` includes. */
export const CONTROL_FILE = "control.cfg";
const CONTROL_TOKEN = "SIPR_CONTROL_TOKEN";
export const controlTokenInCfg = CONTROL_TOKEN;
const MASK_KEY = "SIPR_MASK_KEY";
/** key of topology hiding: all replicas have the same */
export const maskKeyInCfg = MASK_KEY;
const PEER_KEY = "SIPR_PEER_KEY";
/** by which replicas know each other */
export const peerKeyInCfg = PEER_KEY;
const MASK_ALPHABET = "SIPR_MASK_ALPHABET";
export const maskAlphabetInCfg = MASK_ALPHABET;

/**
 * The content of the Secret `<router>-control`.
 * @param token at least 32 characters of A-Z a-z 0-9 _ -
 * @throws OperatorError SIPR_RENDER_REFUSED (the message does not show the token)
 */
export function renderControlSecret(token: string): Record<string, string> {
  if (!/^[A-Za-z0-9_-]{32,128}$/.test(token))
    refuse("the token of the control port", "(hidden)", "32 to 128 letters and digits");
  const mask = createHmac("sha256", token).update("topology hiding").digest("hex").slice(0, 32);
  const peer = createHmac("sha256", token).update("replicas").digest("hex").slice(0, 32);
  const tokens = {
    [CONTROL_TOKEN]: token,
    [MASK_KEY]: mask,
    [MASK_ALPHABET]: maskAlphabet(mask),
    [PEER_KEY]: peer,
  };
  const lines = Object.entries(tokens).map(([name, value]) => `#!substdef "!${name}!${value}!g"\n`);
  return { token, [CONTROL_FILE]: lines.join("") };
}
