/** Where the Asterisk Managers of a backend are, and what they are logged in to with. */
import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { resolveBackend, snapshotOf } from "../../../src/model/index.ts";
import { resolveManagers } from "../../../src/model/management.ts";

const object = (kind: string, name: string, rest: object): RawObject => ({
  apiVersion: kind === "PbxBackend" ? "siprouter.dev/v1alpha1" : "v1",
  kind,
  metadata: { namespace: "default", name },
  ...rest,
});
const secret = (data: Readonly<Record<string, string>>): RawObject =>
  object("Secret", "ami", {
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
  });
const managers = (spec: object, ...others: readonly RawObject[]) => {
  const snapshot = snapshotOf([object("PbxBackend", "pbx", { spec }), ...others]);
  const { backend, issues } = resolveBackend(snapshot, "default/pbx");
  return {
    managers: backend === undefined ? [] : resolveManagers(snapshot, backend.object, backend.endpoints),
    issues: issues.map(({ path, message }) => `${path}: ${message}`),
  };
};
const login = { username: "operator", password: "s3cret; with: all sorts" };
const ami = (more: object = {}): object => ({ management: { ami: { secretName: "ami", ...more } } });

describe("the managers of a backend", () => {
  test("one at its address, on Asterisk's usual port", () => {
    expect(managers({ address: "192.0.2.1", ...ami() }, secret(login)).managers).toEqual([
      { address: { host: "192.0.2.1", port: 5038 }, login },
    ]);
  });

  test("by TLS for its address, and with the authority of the Secret", () => {
    const tls = { tls: true, port: 5039 };
    expect(
      managers({ address: "2001:db8::1", ...ami(tls) }, secret({ ...login, "ca.crt": "PEM" })).managers,
    ).toMatchObject([
      { address: { host: "2001:db8::1", port: 5039, tls: { name: "2001:db8::1", authorities: "PEM" } } },
    ]);
  });

  test("one for each pod of a Service, whether it is ready or not, by the name of the Service", () => {
    const service = object("Service", "asterisk", { spec: { ports: [{ name: "sip", port: 5060, protocol: "UDP" }] } });
    const slice: RawObject = {
      ...object("EndpointSlice", "asterisk-1", {
        addressType: "IPv4",
        ports: [{ name: "sip", port: 5060, protocol: "UDP" }],
        endpoints: [
          { addresses: ["192.0.2.2"], conditions: { ready: true } },
          { addresses: ["192.0.2.1"], conditions: { ready: false, terminating: true } },
        ],
      }),
    };
    const labelled = {
      ...slice,
      metadata: { ...slice.metadata, labels: { "kubernetes.io/service-name": "asterisk" } },
    };
    const spec = { service: { name: "asterisk" }, ...ami({ tls: true }) };
    expect(managers(spec, service, labelled, secret(login)).managers.map(({ address }) => address)).toMatchObject([
      { host: "192.0.2.1", tls: { name: "asterisk.default.svc" } },
      { host: "192.0.2.2", tls: { name: "asterisk.default.svc" } },
    ]);
  });

  test.each([
    [{ username: "operator" }, "lacks password"],
    [{ ...login, password: "x\r\nAction: Originate" }, "password holds a line end"],
    [{ ...login, username: "a\nb" }, "username holds a line end"],
    [{ ...login, password: "x " }, "password begins or ends with a space"],
    [{ ...login, password: "x".repeat(300) }, "password has more than 256 characters"],
  ])("none with %j, and the issue names no value", (data, why) => {
    const found = managers({ address: "192.0.2.1", ...ami() }, secret(data));
    expect(found.managers).toEqual([]);
    expect(found.issues).toEqual([expect.stringContaining(why)]);
    for (const value of Object.values(data)) expect(found.issues.join()).not.toContain(value);
  });

  test("none without the Secret: the backend serves nevertheless", () => {
    const found = managers({ address: "192.0.2.1", ...ami() });
    expect(found.managers).toEqual([]);
    expect(found.issues).toEqual([expect.stringContaining("Secret default/ami does not exist")]);
  });
});
