import { expect, test } from "vitest";
import { OperatorError } from "../../../src/errors.ts";
import { decidePod } from "../../../src/reload/index.ts";
import { parseDataFiles, renderFiles } from "../../../src/render/files.ts";
import type { RouterPlan } from "../../../src/ir/index.ts";
import { routerPlan } from "../../support/sip/plan.ts";

const planOf = (generation: string | undefined): RouterPlan =>
  routerPlan({
    sets: [{ name: "pbx", id: 1, destinations: [{ host: "192.0.2.1", port: 5061, transport: "TLS" }] }],
    routes: [{ name: "all", set: "pbx", digits: "1" }],
    ...(generation === undefined ? {} : { certificate: { port: 5061, generation } }),
  });

test("the certificate's hash is read back from the data files", () => {
  const { data, desired } = renderFiles(planOf("abc123"));
  expect(parseDataFiles(data)).toEqual(desired);
  expect(desired.tables.at(-1)).toMatchObject({ name: "tls", generation: "abc123", port: 5061 });
  expect(renderFiles(planOf(undefined)).data["certificate"]).toBeUndefined();
  expect(() => parseDataFiles({ ...data, certificate: "5061 ../key\n" })).toThrow(OperatorError);
  expect(() => renderFiles(planOf('"\nca_list = "/etc/passwd'))).toThrow(OperatorError);
});

test("a pod reloads its certificate when it shows another one, and for no other reason", () => {
  const { desired } = renderFiles(planOf("abc123"));
  const reading = {
    destinations: [],
    tables: Object.fromEntries(desired.tables.map(({ name, generation }) => [name, generation])),
    draining: false,
  };
  const reloaded = (tables: Readonly<Record<string, string>>) =>
    decidePod(desired, { ...reading, tables }).actions.flatMap((action) =>
      action.kind === "reloadTable" ? [action.table] : [],
    );
  expect(reloaded(reading.tables)).toEqual([]);
  expect(reloaded({ ...reading.tables, ext: "other" })).toEqual(["ext"]);
  expect(reloaded({ ...reading.tables, tls: "def456" })).toEqual(["tls"]);
});
