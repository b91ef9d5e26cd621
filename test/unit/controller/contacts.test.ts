import { describe, expect, test } from "vitest";
import { createContactBook, type ContactsRead } from "../../../src/controller/contacts.ts";
import type { PodReading, Registration } from "../../../src/kamailio/types.ts";
import { backend } from "../../support/controllerBench.ts";

const USER = "pbx-1";
const BACKEND = "default/pbx-1";
const at = (host: string, modifiedAt = 100, expiresSeconds = 60): Registration => ({
  user: USER,
  contact: `sip:pbx-1@${host}:5060`,
  expiresSeconds,
  connected: false,
  modifiedAt,
});

const reading = (contacts: readonly Registration[] | undefined, fresh = false): PodReading => ({
  destinations: [],
  tables: {},
  draining: false,
  ...(contacts === undefined ? {} : { contacts: { [USER]: contacts } }),
  ...(fresh ? { fresh: true } : {}),
});

function bookOf() {
  const book = createContactBook();
  const read = (pod: string, found: PodReading, more: Partial<ContactsRead> = {}): readonly string[] => [
    ...book.read({
      router: "default/edge",
      pod,
      pods: ["a", "b"],
      reading: found,
      backends: new Map([[USER, BACKEND]]),
      own: new Set(["192.0.2.100", "2001:db8::100"]),
      now: 0,
      ...more,
    }),
  ];
  const known = (): readonly string[] =>
    (book.current().get(BACKEND) ?? []).map(({ uri }) => /@([^:]*)/.exec(uri)?.[1] ?? uri);
  return { book, read, known };
}

describe("contacts of a PBX that registers", () => {
  test("what one pod tells is known, and told once", () => {
    const { book, read, known } = bookOf();
    expect(read("a", reading([]))).toEqual([]);
    expect(read("a", reading([at("192.0.2.1")]))).toEqual([BACKEND]);
    const before = book.current();
    expect(read("b", reading([at("192.0.2.1")]))).toEqual([]);
    expect(read("a", reading([at("192.0.2.1", 130)]))).toEqual([]);
    expect(book.current()).toBe(before);
    expect(known()).toEqual(["192.0.2.1"]);
  });

  test("it is gone when every pod that had it says so, and not before", () => {
    const { read, known } = bookOf();
    read("a", reading([at("192.0.2.1")]));
    read("b", reading([at("192.0.2.1")]));
    expect(read("a", reading([]))).toEqual([]);
    expect(known()).toEqual(["192.0.2.1"]);
    expect(read("b", reading([]))).toEqual([BACKEND]);
    expect(known()).toEqual([]);
  });

  test("the newest of several pods counts, whichever is read last", () => {
    const { read, known } = bookOf();
    read("a", reading([at("192.0.2.2", 200)]));
    expect(read("b", reading([at("192.0.2.1", 100)]))).toEqual([]);
    expect(known()).toEqual(["192.0.2.2"]);
    expect(read("b", reading([at("192.0.2.3", 300)]))).toEqual([BACKEND]);
    expect(known()).toEqual(["192.0.2.3"]);
    // the pod that still has the old one does not bring it back
    read("a", reading([at("192.0.2.2", 200)]));
    expect(known()).toEqual(["192.0.2.3"]);
  });

  test("a pod that was started anew takes nothing away; its time does", () => {
    const { read, known } = bookOf();
    const alone = { pods: ["a"] };
    read("a", reading([at("192.0.2.1")]), alone);
    expect(read("a", reading([], true), alone)).toEqual([]);
    expect(read("a", reading([]), { ...alone, now: 59_000 })).toEqual([]);
    expect(known()).toEqual(["192.0.2.1"]);
    expect(read("a", reading([]), { ...alone, now: 71_000 })).toEqual([BACKEND]);
    expect(known()).toEqual([]);
  });

  test("a pod that is started anew while it is read may tell what it had, and not deny it afterwards", () => {
    const { read, known } = bookOf();
    const alone = { pods: ["a"] };
    read("a", reading([at("192.0.2.1")]), alone);
    read("a", reading([at("192.0.2.1")], true), alone);
    expect(read("a", reading([]), alone)).toEqual([]);
    expect(known()).toEqual(["192.0.2.1"]);
  });

  test("a pod that goes, with what it had, takes nothing away either", () => {
    const { read, known } = bookOf();
    read("a", reading([at("192.0.2.1")]));
    expect(read("b", reading([]), { pods: ["b"] })).toEqual([]);
    expect(known()).toEqual(["192.0.2.1"]);
  });

  test("what is over, and what leads back to the router, is no contact", () => {
    const { read, known } = bookOf();
    read("a", reading([at("192.0.2.1", 100, 0)]));
    read("a", reading([at("192.0.2.100")]));
    read("a", reading([at("[2001:DB8:0::100]")]));
    expect(known()).toEqual([]);
  });

  test("a pod that keeps no contacts says nothing about them", () => {
    const { read, known } = bookOf();
    read("a", reading([at("192.0.2.1")]));
    expect(read("a", reading(undefined))).toEqual([]);
    expect(known()).toEqual(["192.0.2.1"]);
  });

  test("what the status tells after a restart of the operator counts until the pods deny it", () => {
    const { book, read, known } = bookOf();
    const endpoints = [
      { address: "192.0.2.1", port: 5080, transport: "TCP", ready: true },
      { address: "not an address", port: 1, transport: "UDP", ready: true },
    ];
    const { spec: _address, ...object } = backend("pbx-1");
    book.remember({ ...object, spec: { registration: { username: USER } }, status: { endpoints } }, 0);
    expect(book.current().get(BACKEND)).toEqual([{ uri: "sip:192.0.2.1:5080;transport=tcp" }]);
    expect(read("a", reading([]))).toEqual([]);
    expect(known()).toHaveLength(1);
    expect(read("b", reading([]))).toEqual([BACKEND]);
    expect(known()).toEqual([]);
  });

  test("the status of a backend with an address of its own is no contact", () => {
    const { book } = bookOf();
    const endpoints = [{ address: "192.0.2.1", port: 5060, transport: "UDP", ready: true }];
    book.remember({ ...backend("pbx-1"), status: { endpoints } }, 0);
    expect(book.current().size).toBe(0);
  });

  test("a router that is gone, or uses the backend no longer, knows nothing of it", () => {
    const { book, read, known } = bookOf();
    read("a", reading([at("192.0.2.1")]));
    expect(read("a", reading(undefined), { backends: new Map() })).toEqual([BACKEND]);
    read("a", reading([at("192.0.2.1")]));
    expect([...book.forget("default/edge")]).toEqual([BACKEND]);
    expect(known()).toEqual([]);
  });
});
