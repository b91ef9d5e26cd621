/**
 * PBXes that register with the router, whatever its mode of registration. Each authenticates with the user and the
 * password of its PbxBackend; its contact is kept as that of a phone of a registrar is, one for each user: a new one
 * takes the place of the old one. The operator reads it and makes it a destination. Nobody is called at it from here.
 */
import type { RouterPlan, StructurePlan } from "../../ir/types.ts";
import { exceptTenants, hasDomains, registrantAor } from "./domains.ts";
import { htableFields, htableShape, secretTable, type DataTableFile, type SecretRows } from "./dataTable.ts";
import { ownPlace } from "./place.ts";
import { refuse } from "./quote.ts";

/**
 * User -> HA1 (RFC 2617 3.2.2.2). Beside domains the realm is another one: pods that still run without them are not told of a hash
 * that answers another challenge than theirs. A PBX that is refused there may not try again.
 */
const tableOf = (structure: StructurePlan): string => (hasDomains(structure) ? "pbxes" : "registrants");
export const registrantTables: readonly DataTableFile[] = ["registrants", "pbxes"].map((name) =>
  secretTable(htableShape(name), (plan) => (tableOf(plan.structure) === name ? rowsOf(plan) : undefined)),
);

function rowsOf({ structure, data: { registrants } }: RouterPlan): SecretRows | undefined {
  if (structure.registrants === undefined) return undefined;
  if (registrants === undefined) return refuse("registration", registrants, "a Secret with a password");
  const rows = registrants.users.map(({ user, ha1 }) => {
    if (!/^[A-Za-z0-9._~-]{1,64}$/.test(user))
      refuse("registration.username", user, "letters, digits, dots, dashes, underscores and tildes");
    if (!/^[0-9a-f]{32}$/.test(ha1)) refuse(`registration: user ${user}`, "(hidden)", "32 hexadecimal digits");
    return [user, htableFields(user, ha1)] as const;
  });
  return { salt: registrants.salt, rows };
}

export const hasRegistrants = ({ registrants }: StructurePlan): boolean => registrants !== undefined;

/** Line of `request_route`, before a REGISTER is one of a phone. */
export const registrantFirst = (structure: StructurePlan): string =>
  hasRegistrants(structure) ? "\n    route(REGISTRANT);" : "";

/**
 * Lines of the route AUTHENTICATE, where $var(ha1) is that of the user who authenticates: a REGISTER for a PBX is
 * answered for with the password of that PBX. (The generation of the table is no hash of 32 digits.)
 */
export const registrantPassword = (structure: StructurePlan): string =>
  hasRegistrants(structure)
    ? `
  if (is_method("REGISTER")) {
    $var(pbx) = $sht(registrants=>$tU);
    if ($(var(pbx){s.len}) == 32) $var(ha1) = $sht(registrants=>$au);
  }`
    : "";

export const renderRegistrants = (structure: StructurePlan): readonly string[] =>
  hasRegistrants(structure) ? [...modules(structure), ...routes(structure)] : [];

const modules = (structure: StructurePlan, table = tableOf(structure)): readonly string[] => [
  `modparam("htable", "htable", "${table}=>size=8;dbtable=${table};")`,
];

/** Who is no backend yet has been asked who he is where the router asks everybody. */
const routes = (structure: StructurePlan): readonly string[] =>
  `
route[REGISTRANT] {
  if ($tU == $null) return;
  $var(pbx) = $sht(${tableOf(structure)}=>$tU);
  if ($(var(pbx){s.len}) != 32) return;${exceptTenants(structure)}
  ${structure.authentication === undefined ? "" : "if ($var(backend) == 1) "}route(AUTHENTICATE);
  remove_hf("Route");${ownPlace}
  if ($pr == "udp") fix_nated_register();
  save("location", "0x04"${hasDomains(structure) ? `, "sip:${registrantAor(structure, "$tU")}"` : ""});
  exit;
}
`.split("\n");
