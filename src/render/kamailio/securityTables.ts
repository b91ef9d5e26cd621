/** Tables of access control, rate limits and authentication; each there when its feature is on. */
import { isIPv4, isIPv6 } from "node:net";
import { hashOf } from "../../ir/index.ts";
import type { CredentialsPlan, DataPlan } from "../../ir/types.ts";
import { htableFields, htableShape, openTable, secretTable, type DataTableFile, type TableRow } from "./dataTable.ts";
import { DOMAIN_VALUE, domainRow, hasDomains, userRow } from "./domains.ts";
import { integer, isDomain, refuse } from "./quote.ts";

/** Groups of `address.list`: who is a trusted caller, who is never served, who is served at all. */
export const groups = { allow: 1, deny: 2, served: 3, mark: 9 } as const;

const NAME_OF_GENERATION = "generation";
const access = { name: "access", kind: "address", file: "address.list" } as const;

/** `address.list` of the module permissions: lines of group, address, mask, port, tag. */
export const accessTable: DataTableFile = {
  ...access,
  render: ({ structure, data }) => {
    if (!structure.accessControl) return undefined;
    const lines = accessLines(data.access);
    const generation = hashOf(lines);
    const mark = `${groups.mark} ${NAME_OF_GENERATION} 0 0 ${generation}\n`;
    return { table: { ...access, generation }, text: [mark, ...lines].join("") };
  },
  parse: (text) => {
    const generation = /^[0-9]+ generation 0 0 ([0-9a-f]{12})\n/.exec(text)?.[1];
    return generation === undefined ? undefined : { generation };
  },
};

/** Kamailio takes an address without a mask for a host, and one that it cannot read for a name: neither is ever written. */
function accessLines({ allow, deny }: DataPlan["access"]): readonly string[] {
  const served = allow.length === 0 ? ["0.0.0.0/0", "::/0"] : allow;
  const rows = [
    ...allow.flatMap((network) => addressRows(groups.allow, "accessControl.allow", network)),
    ...deny.flatMap((network) => addressRows(groups.deny, "accessControl.deny", network)),
    ...served.flatMap((network) => addressRows(groups.served, "accessControl.allow", network)),
  ];
  return [...new Set(rows)].toSorted();
}

/** One line, or two halves: a mask of 0 counts as none. */
function addressRows(group: number, what: string, network: string): readonly string[] {
  const [address = "", given, ...rest] = network.split("/");
  const version = isIPv4(address) ? 4 : isIPv6(address) && !address.includes("%") ? 6 : undefined;
  if (version === undefined || rest.length > 0 || (given !== undefined && !/^[0-9]{1,3}$/.test(given)))
    return refuse(what, network, "an address or a network such as 10.0.0.0/8");
  const bits = version === 4 ? 32 : 128;
  const mask = given === undefined ? bits : Number(given);
  if (mask !== 0) return [`${group} ${address} ${integer(`${what}: ${address}`, mask, 1, bits)} 0\n`];
  return (version === 4 ? ["0.0.0.0", "128.0.0.0"] : ["::", "8000::"]).map((half) => `${group} ${half} 1 0\n`);
}

export const limitsTable = openTable(htableShape("limits"), ({ structure, data: { limits } }) => {
  if (structure.rateLimit !== true) return undefined;
  if (limits === undefined) return refuse("rateLimit", limits, "requestsPerSecond and banSeconds");
  const { requestsPerSecond, banSeconds } = limits;
  const rows = [
    ["requests", integer("rateLimit.requestsPerSecond", requestsPerSecond, 1, 100_000)],
    ["ban", integer("rateLimit.banSeconds", banSeconds, 1, 86_400)],
  ] as const;
  // value type 1: a number
  return rows.map(([key, value]) => [key, [key, "0", "1", value, "0"]]);
});

/** User -> HA1 (RFC 2617 3.2.2.2). */
export const credentialsTable = secretTable(htableShape("credentials"), ({ structure, data: { credentials } }) => {
  if (structure.authentication === undefined || hasDomains(structure)) return undefined;
  if (credentials === undefined) return refuse("authentication", credentials, "a Secret with users");
  const rows = credentials.users.map((one) => {
    if (one.domain !== undefined) refuse(`authentication: user ${one.user}`, one.domain, "no domain");
    return rowOf(one.user, one);
  });
  return { salt: credentials.salt, rows };
});

/** `user@domain` -> HA1, and a row for each domain (domains.ts). */
export const tenantsTable = secretTable(htableShape("tenants"), ({ structure, data: { credentials } }) => {
  if (!hasDomains(structure)) return undefined;
  if (credentials === undefined) return refuse("authentication", credentials, "a Secret with users");
  const { salt, domains = [] } = credentials;
  const known = new Set(domains);
  const users = credentials.users.map((one) => {
    const { user, domain } = one;
    if (domain === undefined || !known.has(domain)) return refuse(`authentication: user ${user}`, domain, "his domain");
    return rowOf(userRow(user, domain), one);
  });
  return { salt, rows: [...domains.map(ownRow), ...users] };
});

/**
 * The inverse for the users of both tables, as the files of a router's Secret have them. Rows that are no user's are left out.
 * @param files name of the file -> its text
 */
export function parseUsers(files: Readonly<Record<string, string>>): CredentialsPlan["users"] {
  const rows = [credentialsTable, tenantsTable].flatMap(({ name }) => (files[name] ?? "").split("\n"));
  return rows.flatMap((row) => {
    const [, user, domain, ha1] = /^([A-Za-z0-9._-]{1,64})(?:@([a-z0-9.-]+))?:0:0:([0-9a-f]{32}):0$/.exec(row) ?? [];
    if (user === undefined || ha1 === undefined) return [];
    return [{ user, ha1, ...(domain === undefined ? {} : { domain }) }];
  });
}

function rowOf(key: string, { user, ha1 }: { readonly user: string; readonly ha1: string }): TableRow {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(user))
    refuse("authentication: user", user, "letters, digits, dots, dashes and underscores");
  if (!/^[0-9a-f]{32}$/.test(ha1)) refuse(`authentication: user ${user}`, "(hidden)", "32 hexadecimal digits");
  return [key, htableFields(key, ha1)];
}

function ownRow(domain: string): TableRow {
  if (!isDomain(domain) || /(^|\.)invalid$/.test(domain))
    refuse("authentication.domains", domain, "a lower case domain");
  const key = domainRow(domain);
  return [key, htableFields(key, DOMAIN_VALUE)];
}
