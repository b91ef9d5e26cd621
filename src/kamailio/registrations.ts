/** Who is registered with a Kamailio that keeps the locations of users (module usrloc, `ul.dump` and `ul.lookup`). */
import { compare } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import { NOT_THERE, orWhen } from "./ask.ts";
import type { Control, ControlAddress, Registration } from "./types.ts";

export type { Registration };

/**
 * Kamailio builds an answer in 8 MiB of private memory, and the control port refuses a list that does not fit: more contacts
 * than these are read user by user. The names of 25,000 users can be listed, more than a router's Secret holds.
 */
const LISTABLE_CONTACTS = 2000;

type Fields = Readonly<Record<string, unknown>>;

/** Which registrations: of one user, of several, or of all whose names begin so; default: all. Names as Kamailio has them: with the domain, if any. */
export type Wanted = string | { readonly users: readonly string[] } | { readonly prefix?: string | undefined };

/**
 * Sorted by user, then contact. Up to {@link LISTABLE_CONTACTS} contacts are one request, which is a moment's picture. More
 * are one request for the names (a second for 20,000 users) and one for each user that is wanted, 2,000 to 4,000 a second:
 * 100,000 contacts of 20,000 users take about ten seconds; who comes and goes meanwhile may be missed. Up to 25,000 users.
 * @throws OperatorError SIPR_RPC_*; SIPR_RPC_FAULT when there are more users than can be listed
 */
export async function readRegistrations(
  control: Control,
  address: ControlAddress,
  wanted: Wanted = {},
): Promise<readonly Registration[]> {
  if (typeof wanted === "string") return readUser(control, address, wanted);
  if ("users" in wanted) return readUsers(control, address, wanted.users);
  const { prefix = "" } = wanted;
  if ((await countRegistrations(control, address)) <= LISTABLE_CONTACTS) {
    const all = parseLocations(await control.call(address, "ul.dump"));
    return all.filter(({ user }) => user.startsWith(prefix));
  }
  const users = parseUsers(await control.call(address, "ul.dump", ["brief"])).filter((user) => user.startsWith(prefix));
  return readUsers(control, address, users);
}

async function readUsers(
  control: Control,
  address: ControlAddress,
  users: readonly string[],
): Promise<readonly Registration[]> {
  const found: Registration[] = [];
  for (const user of users) found.push(...(await readUser(control, address, user)));
  return found;
}

async function readUser(control: Control, address: ControlAddress, user: string): Promise<readonly Registration[]> {
  const none = { AoR: user, Contacts: [] };
  return sorted(parseUser(await orWhen(NOT_THERE, none, control.call(address, "ul.lookup", ["location", user]))));
}

/** How many contacts there are. @throws OperatorError SIPR_RPC_* */
export const countRegistrations = async (control: Control, address: ControlAddress): Promise<number> =>
  parseCount(await control.call(address, "cnt.grp_get_all", ["usrloc"]));

/** More users than these are read from the list of all, where it fits. */
const ONE_BY_ONE = 20;
const ANY = /(?:)/;

/**
 * Of each PBX that is asked for, by its user without a domain: it is kept with one or without, as its Kamailio keeps them, and a
 * router changes from one to the other while both kinds of pods run. undefined: none was asked for, or this Kamailio keeps no
 * locations of that kind, as an older one that is being replaced.
 */
export async function readContacts(
  control: Control,
  address: ControlAddress,
  names: readonly string[],
): Promise<Readonly<Record<string, readonly Registration[]>> | undefined> {
  if (names.length === 0) return undefined;
  if (names.length > ONE_BY_ONE) {
    const all = await orWhen<unknown>(ANY, undefined, control.call(address, "ul.dump"));
    if (all !== undefined) {
      const byName = Map.groupBy(parseLocations(all), ({ user }) => user);
      return Object.fromEntries(
        names.map((name) => [userOf(name), byName.get(name) ?? byName.get(userOf(name)) ?? []]),
      );
    }
  }
  const found: [string, readonly Registration[]][] = [];
  for (const name of names) {
    const contacts = await orWhen(ANY, undefined, readUser(control, address, name));
    if (contacts === undefined) return undefined;
    found.push([userOf(name), contacts]);
  }
  return Object.fromEntries(found);
}

const userOf = (name: string): string => name.split("@")[0] ?? name;

/** `ul.dump brief`: names, sorted */
function parseUsers(result: unknown): readonly string[] {
  const domains = listIn(result, "Domains").map((one) => fieldsIn(one, "Domain"));
  return domains
    .flatMap((domain) => listIn(domain, "AoRs").map((one) => (one as Fields)["AoR"]))
    .map((user) => (typeof user === "string" ? user : malformed(result)))
    .toSorted(compare);
}

/** `ul.dump` */
export function parseLocations(result: unknown): readonly Registration[] {
  const domains = listIn(result, "Domains").map((one) => fieldsIn(one, "Domain"));
  return sorted(domains.flatMap((domain) => listIn(domain, "AoRs").flatMap((one) => parseUser(fieldsIn(one, "Info")))));
}

/** `ul.lookup`, and one user of `ul.dump` */
function parseUser(record: unknown): readonly Registration[] {
  const user = (record as Fields)["AoR"];
  if (typeof user !== "string") return malformed(record);
  return listIn(record, "Contacts").map((one): Registration => {
    const contact = fieldsIn(one, "Contact");
    const { Address, Expires } = contact;
    if (typeof Address !== "string" || (typeof Expires !== "number" && typeof Expires !== "string"))
      return malformed(contact);
    const received = textIn(contact, "Received");
    const userAgent = textIn(contact, "User-Agent");
    return {
      user,
      contact: Address,
      ...(received === undefined ? {} : { received }),
      // a word where it is no time to come: permanent, deleted, expired
      expiresSeconds: Math.max(0, Number(Expires) || 0),
      ...(userAgent === undefined ? {} : { userAgent }),
      connected: textIn(contact, "Path") !== undefined,
      modifiedAt: Number(contact["Last-Modified"]) || 0,
    };
  });
}

const sorted = (all: readonly Registration[]): readonly Registration[] =>
  all.toSorted((a, b) => compare(a.user, b.user) || compare(a.contact, b.contact));

function parseCount(result: unknown): number {
  const value = isFields(result) ? result["location_contacts"] : undefined;
  return value === undefined ? malformed(result) : Number(value);
}

const textIn = (fields: Fields, name: string): string | undefined => {
  const value = fields[name];
  return typeof value === "string" && value !== "" && value !== "[not set]" && value !== "n/a" ? value : undefined;
};
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fieldsIn = (value: unknown, name: string): Fields => {
  const inner = isFields(value) ? value[name] : undefined;
  return isFields(inner) ? inner : malformed(value);
};
const listIn = (value: unknown, name: string): readonly unknown[] => {
  const inner = isFields(value) ? value[name] : undefined;
  return Array.isArray(inner) ? inner : malformed(value);
};

function malformed(value: unknown): never {
  throw new OperatorError("SIPR_RPC_MALFORMED", `ul.dump: not understood: ${JSON.stringify(value)?.slice(0, 120)}`, {
    remedy: "Check the version of Kamailio: 5.6 to 6.1 are supported.",
  });
}
