/**
 * Keeps the way to phones behind NAT open where the router is their registrar: OPTIONS to each of them, by the replica that
 * took its REGISTER and from the socket of it, as the NAT lets in nobody else. What the phone answers opens the way anew
 * in every NAT (RFC 4787 4.3). The phones are spread over the interval; one that is gone is asked until it expires.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { integer, pingFrom } from "./quote.ts";

const DEFAULT_SECONDS = 30;

/** Branch flags of a contact. The registrar itself sets the first one for whatever has a connection to this replica, too. */
const NATED = 1;
/** Behind NAT over UDP, and this replica took its REGISTER: only who has both is asked. */
const ASKED = 2;

const secondsOf = ({ registration }: StructurePlan): number =>
  registration.mode === "Registrar" ? (registration.natKeepAliveSeconds ?? DEFAULT_SECONDS) : 0;

/** After the modules usrloc and nathelper. */
export const renderKeepAlive = (structure: StructurePlan): readonly string[] =>
  secondsOf(structure) === 0
    ? []
    : [
        `modparam("usrloc", "nat_bflag", ${NATED})`,
        `modparam("nathelper", "natping_interval", ${integer("registration.natKeepAliveSeconds", secondsOf(structure), 1, 3600)})`,
        'modparam("nathelper", "ping_nated_only", 1)',
        `modparam("nathelper", "sipping_bflag", ${ASKED})`,
        'modparam("nathelper", "sipping_method", "OPTIONS")',
        `modparam("nathelper", "sipping_from", "${pingFrom(structure)}")`,
      ];

/** Line for a REGISTER over UDP: behind NAT is who does not come from where his Contact says that he is. */
export const markNated = (structure: StructurePlan): string =>
  secondsOf(structure) === 0
    ? ""
    : `
    $var(uri) = $(ct{nameaddr.uri});
    route(ADDRESS);
    if ("sip:" + $var(address) != $su) $bf = ${2 ** NATED + 2 ** ASKED};`;

/** Lines for what another replica tells: its phones are asked by it. (Kamailio 5.6 takes the flags over, whatever is set.) */
export const notMine = (structure: StructurePlan): string =>
  secondsOf(structure) === 0
    ? ""
    : `
      if ($rb =~ '"cflags":[1-9]') {
        subst_body('/"cflags":[0-9]+/"cflags":0/g');
        msg_apply_changes();
      }`;
