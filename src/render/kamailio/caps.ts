/** The table of limits of concurrent calls: destination -> `<limit>|<backend>`. There when the router has such limits. */
import type { RouterPlan } from "../../ir/types.ts";
import type { DataTable } from "../types.ts";
import { integer, refuse } from "./quote.ts";
import { htableFields, parseGeneration, renderTable, tableShapes, type RenderedTable } from "./tables.ts";

const shape = { ...tableShapes.domains, name: "caps", file: "caps" } as const;

/** @throws OperatorError SIPR_RENDER_REFUSED */
export function renderCaps({ structure, data }: RouterPlan): readonly RenderedTable[] {
  if (structure.maxCalls !== true) return [];
  const rows = (data.caps ?? []).map(({ uri, backend, limit }) => {
    if (!/^sip:[0-9A-Za-z.:[\]]+;transport=(udp|tcp|tls)$/.test(uri)) refuse("maxCalls: destination", uri, "its URI");
    if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(backend))
      refuse("maxCalls: backend", backend, "lower case letters, digits, dots and hyphens");
    return [uri, htableFields(uri, `${integer("maxCalls", limit, 1, 100_000)}|${backend}`)] as const;
  });
  return [renderTable(shape, rows)];
}

/** No table without the file: no backend has a limit. */
export function parseCaps(data: Readonly<Record<string, string>>): readonly DataTable[] {
  const text = data[shape.file];
  if (text === undefined) return [];
  const generation = parseGeneration(shape, text);
  if (generation === undefined) return refuse("the data files", Object.keys(data), "caps with its generation");
  return [{ name: shape.name, kind: shape.kind, file: shape.file, generation }];
}
