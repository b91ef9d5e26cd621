import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { resolveBackend, resolveRouter, snapshotOf, type Contact } from "../../../src/model/index.ts";

const object = (kind: string, name: string, rest: object): RawObject => ({
  apiVersion: kind === "Secret" ? "v1" : "siprouter.dev/v1alpha1",
  kind,
  metadata: { namespace: "default", name },
  ...rest,
});
const secret = (password = "secret"): RawObject =>
  object("Secret", "pbx", { data: { password: Buffer.from(password).toString("base64") } });
const pbx = (name: string, spec: object = {}): RawObject =>
  object("PbxBackend", name, { spec: { registration: { username: "pbx", secretName: "pbx" }, ...spec } });
const router = (spec: object = {}): RawObject =>
  object("SipRouter", "edge", {
    spec: { dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx-1" }] }], ...spec },
  });

const endpointsOf = (contact: Contact, spec: object = {}): readonly string[] => {
  const contacts = new Map([["default/pbx-1", [contact]]]);
  const { backend } = resolveBackend({ ...snapshotOf([secret(), pbx("pbx-1", spec)]), contacts }, "default/pbx-1");
  return (backend?.endpoints ?? []).map(({ host, port, transport }) => `${host} ${port} ${transport}`);
};

describe("where a contact leads", () => {
  const received = "sip:203.0.113.7:40000";
  test.each([
    ["as it is", { uri: "sip:pbx@192.0.2.1:5080" }, {}, ["192.0.2.1 5080 UDP"]],
    ["the usual port", { uri: "sip:192.0.2.1" }, {}, ["192.0.2.1 5060 UDP"]],
    ["a transport", { uri: "sip:pbx@192.0.2.1;transport=TCP;x=y" }, {}, ["192.0.2.1 5060 TCP"]],
    ["the transport of the backend", { uri: "sip:192.0.2.1" }, { transport: "TLS" }, ["192.0.2.1 5061 TLS"]],
    ["sips", { uri: "sips:192.0.2.1" }, {}, ["192.0.2.1 5061 TLS"]],
    ["IPv6", { uri: "sip:pbx@[2001:DB8::0:1]:5070" }, {}, ["2001:db8::1 5070 UDP"]],
    ["its own address, seen from another one", { uri: "sip:192.0.2.1", received }, {}, ["192.0.2.1 5060 UDP"]],
    ["both private", { uri: "sip:10.0.0.1", received: "sip:10.9.9.9:5060" }, {}, ["10.0.0.1 5060 UDP"]],
    ["NAT", { uri: "sip:192.168.1.2:5060", received }, {}, ["203.0.113.7 40000 UDP"]],
    ["a name", { uri: "sip:pbx@pbx.example.com", received }, {}, ["203.0.113.7 40000 UDP"]],
    ["any address", { uri: "sip:pbx@0.0.0.0", received }, {}, ["203.0.113.7 40000 UDP"]],
    ["a name over TCP", { uri: "sip:pbx.example.com;transport=tcp", received }, {}, []],
    ["an unknown transport", { uri: "sip:192.0.2.1;transport=ws", received }, {}, []],
    ["no SIP URI", { uri: "tel:+4420", received }, {}, []],
    ["a port that is none", { uri: "sip:192.0.2.1:99999" }, {}, []],
    ["what would be another destination", { uri: "sip:192.0.2.1 \nsip:evil" }, {}, []],
  ] as const)("%s", (_, contact, spec, wanted) => {
    expect(endpointsOf(contact, spec)).toEqual(wanted);
  });
});

describe("a backend that registers itself", () => {
  const issuesOf = (...objects: RawObject[]) =>
    resolveRouter(snapshotOf([router(), ...objects]), "default/edge").issues.map(({ reason }) => reason);

  test("before it does, the router runs, and says why the set is empty", () => {
    const { router: resolved, issues } = resolveRouter(snapshotOf([secret(), pbx("pbx-1"), router()]), "default/edge");
    expect(resolved?.sets[0]?.members.map(({ backend }) => backend.registrant?.username)).toEqual(["pbx"]);
    expect(issues).toMatchObject([{ reason: "NotRegistered", transient: true }]);
  });

  test("without its Secret, or with an unusable one, it cannot register, and the router runs", () => {
    for (const objects of [[pbx("pbx-1")], [pbx("pbx-1"), secret("a\nb")], [pbx("pbx-1"), secret("x".repeat(300))]]) {
      const { router: resolved } = resolveRouter(snapshotOf([router(), ...objects]), "default/edge");
      expect(resolved?.sets[0]?.members.map(({ backend }) => backend.registrant)).toEqual([undefined]);
    }
    expect(issuesOf(pbx("pbx-1"))).toContain("SecretNotFound");
    expect(issuesOf(pbx("pbx-1"), secret("a\nb"))).toContain("SecretInvalid");
  });

  test("a user is that of one backend, and of no subscriber", () => {
    const both = router({ dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx-2" }, { name: "pbx-1" }] }] });
    const contacts = new Map(["default/pbx-1", "default/pbx-2"].map((key) => [key, [{ uri: "sip:192.0.2.1" }]]));
    const shared = resolveRouter(
      { ...snapshotOf([secret(), pbx("pbx-1"), pbx("pbx-2"), both]), contacts },
      "default/edge",
    );
    const found = shared.router?.sets[0]?.members.map(({ backend }) => [
      backend.ref.name,
      backend.registrant?.username,
      backend.endpoints.length,
    ]);
    expect(found).toEqual([
      ["pbx-1", "pbx", 1],
      ["pbx-2", undefined, 0],
    ]);
    expect(shared.issues).toMatchObject([{ reason: "BackendInvalid", message: expect.stringContaining("pbx-2") }]);

    const users = object("Secret", "users", { data: { pbx: "c2VjcmV0" } });
    const authentication = { mode: "Digest", realm: "example.com", credentialsSecretName: "users" };
    const subscriber = resolveRouter(
      { ...snapshotOf([secret(), users, pbx("pbx-1"), router({ authentication })]), contacts },
      "default/edge",
    );
    expect(subscriber.router?.sets[0]?.members[0]?.backend).toMatchObject({ endpoints: [] });
    expect(subscriber.router?.sets[0]?.members[0]?.backend.registrant).toBeUndefined();
    expect(subscriber.issues).toMatchObject([{ reason: "BackendInvalid" }]);

    // a user of a tenant is another one
    const domains = [{ domain: "a.example.com", credentialsSecretName: "users" }];
    const beside = resolveRouter(
      {
        ...snapshotOf([secret(), users, pbx("pbx-1"), router({ authentication: { mode: "Digest", domains } })]),
        contacts,
      },
      "default/edge",
    );
    expect(beside.router?.sets[0]?.members[0]?.backend.registrant?.username).toBe("pbx");
    expect(beside.issues).toEqual([]);
  });

  test("its contact has a transport that the router has no listener for: it waits for another one", () => {
    const contacts = new Map([["default/pbx-1", [{ uri: "sip:192.0.2.1;transport=tls" }]]]);
    const { router: resolved, issues } = resolveRouter(
      { ...snapshotOf([secret(), pbx("pbx-1"), router()]), contacts },
      "default/edge",
    );
    expect(resolved?.sets[0]?.members.map(({ backend }) => backend.endpoints)).toEqual([[]]);
    expect(issues).toMatchObject([{ reason: "BackendInvalid" }]);
  });
});
