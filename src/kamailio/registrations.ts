/** Who is registered with a Kamailio that keeps the locations of users (module usrloc, `ul.dump` and `ul.lookup`). */
import { compare } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import type { Control, ControlAddress, Registration } from "./types.ts";

export type { Registration };

/**
 * Kamailio builds an answer in 8 MiB of private memory. Measured: 3,000 contacts are listed, 4,000 are no longer by 6.1,
 * and what is too much is never answered. So it is not asked for more than this.
 */
export const LISTABLE_CONTACTS = 2000;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Sorted by user, then contact.
 * @param user only this one; else all
 * @throws OperatorError SIPR_RPC_*; SIPR_RPC_FAULT when there are more than {@link LISTABLE_CONTACTS}
 */
export async function readRegistrations(
  control: Control,
  address: ControlAddress,
  user?: string,
): Promise<readonly Registration[]> {
  if (user !== undefined) {
    const found = await control.call(address, "ul.lookup", ["location", user]).catch((error: unknown) => {
      if (error instanceof OperatorError && error.code === "SIPR_RPC_FAULT" && /not found/i.test(error.message))
        return { AoR: user, Contacts: [] };
      throw error;
    });
    return sorted(parseUser(found));
  }
  const contacts = await countRegistrations(control, address);
  if (contacts > LISTABLE_CONTACTS)
    throw new OperatorError("SIPR_RPC_FAULT", `${contacts} phones are registered, more than can be listed.`, {
      remedy: "Ask for one user.",
    });
  return parseLocations(await control.call(address, "ul.dump"));
}

/** How many contacts there are. @throws OperatorError SIPR_RPC_* */
export const countRegistrations = async (control: Control, address: ControlAddress): Promise<number> =>
  parseCount(await control.call(address, "stats.fetch", ["usrloc:"]));

/** Of each user; undefined: none was asked for, or this Kamailio keeps no locations, as an older one that is being replaced. */
export async function readContacts(
  control: Control,
  address: ControlAddress,
  users: readonly string[],
): Promise<Readonly<Record<string, readonly Registration[]>> | undefined> {
  if (users.length === 0) return undefined;
  const found: Record<string, readonly Registration[]> = {};
  for (const user of users) {
    const contacts = await readRegistrations(control, address, user).catch((error: unknown) => {
      if (error instanceof OperatorError && error.code === "SIPR_RPC_FAULT") return undefined;
      throw error;
    });
    if (contacts === undefined) return undefined;
    found[user] = contacts;
  }
  return found;
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
  const value = isFields(result) ? result["usrloc.location_contacts"] : undefined;
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
