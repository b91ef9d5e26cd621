/**
 * The router keeps the location of its users (`registration.mode: Registrar`), in memory, shared by its replicas. A call
 * to a registered user goes to his phones, all at once; one to a user who is not registered goes on to the dialplan,
 * unless it comes from a backend, which would get it back.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { calledUser, hasDomains } from "./domains.ts";
import { markNated, renderKeepAlive } from "./keepAlive.ts";
import { mediaElsewhere } from "./media.ts";
import { ownPlace } from "./place.ts";
import { integer } from "./quote.ts";
import { replicatedLocation, sharesLocation } from "./replication.ts";
import { peerKeyInCfg } from "./tokens.ts";
import { bracketed } from "./uriHost.ts";

export const DEFAULT_CONTACTS = 10;

export const isRegistrar = ({ registration }: StructurePlan): boolean => registration.mode === "Registrar";

/**
 * Of the control port: a list that does not fit private memory (8 MiB) is never answered, and its process is lost. Measured:
 * 3,000 contacts fit, 4,000 do not; the names alone (`brief`) of 40,000 users do. A Secret holds 22,000 users.
 */
export const LISTABLE = { contacts: 2000, users: 25_000 } as const;
export const limitDump = (structure: StructurePlan): string =>
  sharesLocation(structure)
    ? `  if ($rb =~ '"method":"ul\\.dump"') {
    $var(much) = 0;
    # a regular expression would take "Brief" for it, Kamailio does not
    if ($(rb{s.select,1,[}{s.substr,0,8}) == '"brief"]') {
      if ($stat(location_users) > ${LISTABLE.users}) $var(much) = 1;
    } else if ($stat(location_contacts) > ${LISTABLE.contacts}) {
      $var(much) = 1;
    }
    if ($var(much) == 1) {
      xhttp_reply("413", "Content Too Large", "text/plain", "more phones are registered than can be listed\\n");
      exit;
    }
  }
`
    : "";

/** Line of `request_route`, before anybody is asked who he is. */
export const fromPeer = (structure: StructurePlan): string => (isRegistrar(structure) ? "\n  route(FROM_PEER);" : "");

/** Line of the dialplan, before the called number is looked up. */
export const locationFirst = (structure: StructurePlan): string =>
  isRegistrar(structure) ? "\n  route(LOCATION);" : "";

export const renderRegistrar = (structure: StructurePlan): readonly string[] => [
  ...routes(structure),
  ...throughMe(structure).split("\n"),
];

/** Before the module nathelper, which asks it for the phones behind NAT. */
export const locationModule = (structure: StructurePlan): readonly string[] =>
  sharesLocation(structure) ? ['loadmodule "usrloc.so"'] : [];

/** What contacts are kept with, where any are. */
export function renderLocation(structure: StructurePlan): readonly string[] {
  if (!sharesLocation(structure)) return [];
  const { maxExpiresSeconds, maxContacts = DEFAULT_CONTACTS } = structure.registration;
  const longest = integer("registration.maxExpiresSeconds", maxExpiresSeconds, 30, 86_400);
  return [
    'modparam("usrloc", "db_mode", 0)',
    `modparam("usrloc", "use_domain", ${hasDomains(structure) ? 1 : 0})`,
    'modparam("usrloc", "hash_size", 14)',
    'modparam("usrloc", "timer_interval", 5)',
    'modparam("usrloc", "timer_procs", 1)',
    'modparam("usrloc", "preload", "location")',
    'loadmodule "registrar.so"',
    `modparam("registrar", "default_expires", ${longest})`,
    `modparam("registrar", "max_expires", ${longest})`,
    'modparam("registrar", "min_expires", 0)',
    `modparam("registrar", "max_contacts", ${integer("registration.maxContacts", maxContacts, 1, 30)})`,
    'modparam("registrar", "received_avp", "$avp(received)")',
    'modparam("nathelper", "received_avp", "$avp(received)")',
    'modparam("registrar", "case_sensitive", 1)',
    // where a connection leads to the phone, only the replica that has it can use it
    'modparam("registrar", "use_path", 1)',
    'modparam("registrar", "path_mode", 0)',
    'modparam("registrar", "path_use_received", 1)',
    'modparam("registrar", "path_check_local", 1)',
    ...renderKeepAlive(structure),
    ...replicatedLocation,
  ];
}

/** Replicas reach each other over UDP where there is a listener of it, else over TCP. */
const throughMe = ({ listeners }: StructurePlan): string => {
  const best = ["UDP", "TCP", "TLS"].flatMap((wanted) => listeners.filter(({ transport }) => transport === wanted))[0];
  const port = integer(`listener ${best?.name}: port`, best?.port ?? 0, 1, 65_535);
  return `
# The phone has a connection to this replica: the others call it through here (RFC 3327).
route[THROUGH_ME] {
  ${bracketed("$Ri", "own")}
  ${bracketed("$si", "from")}
  append_hf("Path: <sip:${peerKeyInCfg}@$var(own):${port};transport=${(best?.transport ?? "UDP").toLowerCase()};lr;received=sip:$var(from):$sp%3Btransport%3D$pr>\r\n");
  msg_apply_changes();
}
`;
};

const routes = (structure: StructurePlan): readonly string[] =>
  `
route[REGISTER] {
  # who is admitted as a backend has not been asked who he is
  if ($var(backend) == 1) route(AUTHENTICATE);
  remove_hf("Route");${ownPlace}
  if ($pr == "udp") {
    fix_nated_register();${markNated(structure)}
  } else {
    route(THROUGH_ME);
    route(RECONNECTED);
  }
  save("location");
}

# A connection has a port of its own, which most phones write in Contact. All registrations of a phone have one Call-ID (RFC 3261
# 10.2): the contact of its former connection goes. A phone with a +sip.instance is known by that (RFC 5626 4.1), to module usrloc.
route[RECONNECTED] {
  if ($sel(contact.uri) == $null || $sel(contact.instance) != $null) return;
  # several contacts at once are there beside each other
  if ($(hdr(Contact)[1]) != $null || $ct =~ ",") return;
  # one that goes takes none with it
  if ($sel(contact.expires) != $null) {
    if ($(sel(contact.expires){s.int}) == 0) return;
  } else if ($hdr(Expires) != $null && $(hdr(Expires){s.int}) == 0) {
    return;
  }
  if (!reg_fetch_contacts("location", "$tu", "former")) return;
  $var(i) = 0;
  while ($(ulc(former=>addr)[$var(i)]) != $null) {
    # what has a Path came over a connection, with the same Path over this one
    if ($(ulc(former=>callid)[$var(i)]) == $ci && $(ulc(former=>addr)[$var(i)]) != $sel(contact.uri)
        && $(ulc(former=>path)[$var(i)]) != "" && $(ulc(former=>path)[$var(i)]) != $hdr(Path)
        && $(ulc(former=>cseq)[$var(i)]) < $(cs{s.int}))
      unregister("location", "$tu", "$(ulc(former=>ruid)[$var(i)])");
    $var(i) = $var(i) + 1;
  }
}

route[LOCATION] {
  if ($rU == $null) return;
  # what a phone subscribes to, and its state, is with the PBX: messages that wait, who is on the phone
  if ($var(backend) == 0 && is_method("SUBSCRIBE|PUBLISH")) return;
  # a user of the router: neither somebody who was removed, nor a PBX${calledUser(structure)}
  if ($(var(known){s.len}) != 32) return;
  if (!lookup("location")) {
    if ($var(backend) == 1) {
      sl_send_reply("480", "Temporarily Unavailable");
      exit;
    }
    return;
  }
  if ($var(backend) == 0 && is_method("INVITE|SUBSCRIBE|REFER")) route(ALIAS);
  route(TO_PHONE);
  exit;
}

# From another replica, for a phone whose connection is here: it has asked the caller who he is.
route[FROM_PEER] {
  if ($(route_uri{uri.user}) != "${peerKeyInCfg}" || !dmq_is_from_node()) return;
  $var(backend) = 0;
  $var(set) = 0;${mediaElsewhere(structure)}
  loose_route();
  route(TO_PHONE);
  exit;
}
`.split("\n");
