/** Tables of access control, rate limits and authentication; each there when its feature is on. */
import { isIPv4, isIPv6 } from "node:net";
import { hashOf } from "../../ir/index.ts";
import type { DataPlan, RouterPlan } from "../../ir/types.ts";
import { integer, refuse } from "./quote.ts";
import type { DataTable } from "../types.ts";
import {
  htableFields,
  parseGeneration,
  renderTable,
  tableShapes,
  type RenderedTable,
  type TableShape,
} from "./tables.ts";

export const securityShapes = {
  limits: { ...tableShapes.domains, name: "limits", file: "limits" },
  credentials: { ...tableShapes.domains, name: "credentials", file: "credentials" },
} as const satisfies Record<string, TableShape>;

/** `address.list` of the module permissions: lines of group, address, mask, port, tag. */
const access = { name: "access", kind: "address", file: "address.list" } as const;
/** In the ConfigMap; the table itself is in the Secret. */
const CREDENTIALS_MARK = "credentials.generation";
const NAME_OF_GENERATION = "generation";

/** Groups of `address.list`: who is a trusted caller, who is never served, who is served at all. */
export const groups = { allow: 1, deny: 2, served: 3, mark: 9 } as const;

/** @throws OperatorError SIPR_RENDER_REFUSED (the message never shows a hash) */
export const renderSecurityTables = ({ structure, data }: RouterPlan): readonly RenderedTable[] => [
  ...(structure.accessControl ? [accessTable(data.access)] : []),
  ...(structure.rateLimit === true ? [limitsTable(data.limits)] : []),
  ...(structure.authentication === undefined ? [] : [credentialsTable(data.credentials)]),
];

/** Kamailio takes an address without a mask for a host, and one that it cannot read for a name: neither is ever written. */
function accessTable({ allow, deny }: DataPlan["access"]): RenderedTable {
  const served = allow.length === 0 ? ["0.0.0.0/0", "::/0"] : allow;
  const rows = [
    ...allow.flatMap((network) => addressRows(groups.allow, "accessControl.allow", network)),
    ...deny.flatMap((network) => addressRows(groups.deny, "accessControl.deny", network)),
    ...served.flatMap((network) => addressRows(groups.served, "accessControl.allow", network)),
  ];
  const lines = [...new Set(rows)].toSorted();
  const generation = hashOf(lines);
  const mark = `${groups.mark} ${NAME_OF_GENERATION} 0 0 ${generation}\n`;
  return { table: { ...access, generation }, text: [mark, ...lines].join("") };
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

function limitsTable(limits: DataPlan["limits"]): RenderedTable {
  if (limits === undefined) return refuse("rateLimit", limits, "requestsPerSecond and banSeconds");
  const { requestsPerSecond, banSeconds } = limits;
  const rows = [
    ["requests", integer("rateLimit.requestsPerSecond", requestsPerSecond, 1, 100_000)],
    ["ban", integer("rateLimit.banSeconds", banSeconds, 1, 86_400)],
  ] as const;
  // value type 1: a number
  return renderTable(
    securityShapes.limits,
    rows.map(([key, value]) => [key, [key, "0", "1", value, "0"]]),
  );
}

function credentialsTable(credentials: DataPlan["credentials"]): RenderedTable {
  if (credentials === undefined) return refuse("authentication", credentials, "a Secret with users");
  const { table, text } = renderTable(
    securityShapes.credentials,
    credentials.users.map(({ user, ha1 }) => {
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(user))
        refuse("authentication: user", user, "letters, digits, dots, dashes and underscores");
      if (!/^[0-9a-f]{32}$/.test(ha1)) refuse(`authentication: user ${user}`, "(hidden)", "32 hexadecimal digits");
      return [user, htableFields(user, ha1)];
    }),
    credentials.salt,
  );
  return {
    table: { ...table, file: CREDENTIALS_MARK },
    text: `${table.generation}\n`,
    secret: { file: table.file, text },
  };
}

/**
 * The tables whose files are there.
 * @throws OperatorError SIPR_RENDER_REFUSED when one has no generation
 */
export function parseSecurityTables(data: Readonly<Record<string, string>>): readonly DataTable[] {
  const { limits, credentials } = securityShapes;
  const tables: readonly (readonly [DataTable["kind"], string, string, (text: string) => string | undefined])[] = [
    [access.kind, access.name, access.file, (text) => /^[0-9]+ generation 0 0 ([0-9a-f]{12})\n/.exec(text)?.[1]],
    [limits.kind, limits.name, limits.file, (text) => parseGeneration(limits, text)],
    [credentials.kind, credentials.name, CREDENTIALS_MARK, (text) => /^([0-9a-f]{12})\n$/.exec(text)?.[1]],
  ];
  return tables
    .filter(([, , file]) => file in data)
    .map(([kind, name, file, read]) => {
      const generation = read(data[file] ?? "");
      if (generation === undefined) return refuse("the data files", Object.keys(data), `${file} with its generation`);
      return { name, kind, file, generation };
    });
}
