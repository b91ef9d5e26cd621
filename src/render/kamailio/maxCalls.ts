/** The table of `maxCalls`, limits of concurrent calls: destination -> `<limit>|<backend>`. There when the router has such limits. */
import { htableFields, htableShape, openTable } from "./dataTable.ts";
import { integer, refuse } from "./quote.ts";

export const capsTable = openTable(htableShape("caps"), ({ structure, data }) => {
  if (structure.maxCalls !== true) return undefined;
  return (data.caps ?? []).map(({ uri, backend, limit }) => {
    if (!/^sip:[0-9A-Za-z.:[\]]+;transport=(udp|tcp|tls)$/.test(uri)) refuse("maxCalls: destination", uri, "its URI");
    if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(backend))
      refuse("maxCalls: backend", backend, "lower case letters, digits, dots and hyphens");
    return [uri, htableFields(uri, `${integer("maxCalls", limit, 1, 100_000)}|${backend}`)] as const;
  });
});
