/**
 * PBXes that register with the router (`PbxBackend.spec.registration`): the user and the password that such a PBX
 * authenticates with, and where its contact leads.
 */
import { quote } from "../api/quote.ts";
import { keyOf, refOf, type Key, type PbxBackend, type SipRouter, type Transport } from "../api/index.ts";
import { canonicalIp, isHostAddress, isPrivate } from "./addresses.ts";
import { unresolved } from "./issue.ts";
import { passwordFault, readSecret } from "./secretTexts.ts";
import type { Contact, Credentials, Endpoint, Issue, Login, ResolvedSet, Snapshot } from "./types.ts";

const PATH = "spec.registration.secretName";

/** Issues never show a value. A Secret that is not there, or lacks its key, is told by `backendSecretIssues`. */
export function resolveRegistrant(
  snapshot: Snapshot,
  backend: PbxBackend,
): { readonly registrant?: Login; readonly issues: readonly Issue[] } {
  const { registration } = backend.spec;
  if (registration === undefined) return { issues: [] };
  const secret = readSecret(snapshot, backend.metadata.namespace, registration.secretName);
  const { password = "" } = secret?.texts ?? {};
  if (secret === undefined || password === "") return { issues: [] };
  const { key, salt } = secret;
  const fault = passwordFault(password);
  if (fault !== undefined)
    return { issues: [unresolved(refOf(backend), PATH, "SecretInvalid", `Secret ${key}: ${fault}`)] };
  return { registrant: { salt, username: registration.username, password }, issues: [] };
}

/** Where the contacts lead that routers know of the backend's user. Sorting is the caller's. */
export function resolveContacts(
  snapshot: Snapshot,
  backend: PbxBackend,
): { readonly endpoints: readonly Endpoint[]; readonly issues: readonly Issue[] } {
  const { registration, transport } = backend.spec;
  const ref = refOf(backend);
  const user = quote(registration?.username ?? "");
  const contacts = snapshot.contacts?.get(keyOf(backend)) ?? [];
  const endpoints = contacts.flatMap((contact) => endpointOf(contact, transport) ?? []);
  if (endpoints.length > 0) return { endpoints, issues: [] };
  const [unusable] = contacts;
  const message =
    unusable === undefined
      ? `no PBX is registered as ${user}: let it register with a router that uses this backend, with the password of its Secret.`
      : `the PBX registered as ${user} with the Contact ${quote(unusable.uri)}, which leads nowhere: let it give its own address, as an IP address.`;
  return { endpoints: [], issues: [unresolved(ref, "spec.registration", "NotRegistered", message)] };
}

/**
 * The contact itself when it names an address that can be reached; over UDP else the address that the REGISTER came
 * from: the PBX is behind NAT, or gives a name. (RFC 3261 19.1.1: transport UDP, port 5060 and 5061 for TLS by default.)
 */
function endpointOf({ uri, received }: Contact, usual: Transport): Endpoint | undefined {
  const own = parseSipUri(uri, usual);
  if (own === undefined) return undefined;
  const source = received === undefined ? undefined : parseSipUri(received, own.transport);
  if (isHostAddress(own.host) && !(source !== undefined && isPrivate(own.host) && !isPrivate(source.host))) return own;
  return own.transport === "UDP" && source !== undefined && isHostAddress(source.host) ? source : undefined;
}

function parseSipUri(uri: string, usual: Transport): Endpoint | undefined {
  const [, scheme, host = "", port, parameters = ""] =
    /^(sips?):(?:[^@]*@)?(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::([0-9]{1,5}))?((?:;[^?]*)?)(?:\?.*)?$/i.exec(uri) ?? [];
  if (scheme === undefined) return undefined;
  const named = /;transport=([a-z]+)/i.exec(parameters)?.[1]?.toUpperCase();
  const transport = named ?? (scheme.toLowerCase() === "sips" ? "TLS" : usual);
  if (transport !== "UDP" && transport !== "TCP" && transport !== "TLS") return undefined;
  const number = port === undefined ? (transport === "TLS" ? 5061 : 5060) : Number(port);
  if (number < 1 || number > 65_535) return undefined;
  return { host: canonicalIp(host.replace(/^\[|\]$/g, "")), port: number, transport, ready: true };
}

/**
 * A user stands for one PBX: of backends that share one, the first by name keeps it, and none has that of a subscriber
 * of the router. (Users of a domain are others: a PBX registers in none of these.) Who has no user of his own cannot
 * register, and has no destination.
 */
export function separateRegistrants(
  router: SipRouter,
  sets: readonly ResolvedSet[],
  credentials: Credentials | undefined,
): { readonly sets: readonly ResolvedSet[]; readonly issues: readonly Issue[] } {
  const subscribers = new Set(credentials?.users.flatMap(({ user, domain }) => (domain === undefined ? [user] : [])));
  const owners = new Map<string, Key>();
  const backends = sets.flatMap(({ members }) => members.map(({ backend }) => backend));
  for (const { object } of backends.toSorted((a, b) => (a.ref.name < b.ref.name ? -1 : 1))) {
    const user = object.spec.registration?.username;
    if (user !== undefined && !owners.has(user)) owners.set(user, keyOf(object));
  }
  const issues: Issue[] = [];
  const separated = sets.map((set) => ({
    ...set,
    members: set.members.map((member) => {
      const { object, registrant: _registrant, ...rest } = member.backend;
      const user = object.spec.registration?.username;
      const owner = user === undefined ? undefined : owners.get(user);
      if (user === undefined || (owner === keyOf(object) && !subscribers.has(user))) return member;
      const whose = subscribers.has(user) ? "of a user of spec.authentication" : `of PbxBackend ${owner}`;
      const message = `PbxBackend ${keyOf(object)} is left out: its spec.registration.username ${quote(user)} is that ${whose}, too: give it one of its own.`;
      issues.push(unresolved(refOf(router), "spec.dispatcherSets", "BackendInvalid", message));
      return { ...member, backend: { ...rest, object, endpoints: [] } };
    }),
  }));
  return { sets: separated, issues };
}
