/** The manager interface of a real Asterisk: what is read, and what is said when it cannot be. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAmi, type AmiAddress, type AmiError, type AmiLogin } from "../../../src/ami/index.ts";
import { AMI_PORT, AMI_TLS_PORT, Asterisk, reader, restricted, SIP_PORT } from "../../support/asterisk.ts";
import { Authority } from "../../support/sip/certificates.ts";
import { until } from "../../support/until.ts";
import { startCalls } from "../kube/calls.ts";

const ip = "127.69.1.1";
const authority = new Authority("test authority");
const folder = mkdtempSync(join(tmpdir(), "ami-test-"));
let asterisk: Asterisk;

const plain: AmiAddress = { host: ip, port: AMI_PORT };
const tls = (name: string, authorities?: string): AmiAddress => ({
  host: ip,
  port: AMI_TLS_PORT,
  tls: { name, ...(authorities === undefined ? {} : { authorities }) },
});
const read = async (address: AmiAddress, login: AmiLogin = reader) => {
  const session = await connectAmi(address, login);
  try {
    return await session.read();
  } finally {
    session.close();
  }
};
const stateOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no error",
    (error: AmiError) => error.state,
  );

beforeAll(async () => {
  asterisk = await Asterisk.start({ ip, tls: authority.issue("pbx.test") });
});
afterAll(async () => {
  await asterisk.stop();
  rmSync(folder, { recursive: true });
});

test("its version and its live channels, while calls come and go", async () => {
  const session = await connectAmi(plain, reader);
  expect(await session.read()).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string, channels: 0 });
  const calls = startCalls(
    { number: "1001", from: { ip: "127.69.1.2", port: 26_000 }, to: { ip, port: SIP_PORT }, calls: 3, talkMs: 2000 },
    folder,
  );
  await until("three live channels", async () => (await session.read()).channels === 3);
  await calls.done;
  await until("no channel is left", async () => (await session.read()).channels === 0);
  session.close();
});

test("a wrong password, a user without rights and a port where nobody listens are told apart", async () => {
  expect(await stateOf(read(plain, { ...reader, password: "wrong" }))).toBe("LoginRefused");
  expect(await stateOf(read(plain, { ...reader, username: "nobody" }))).toBe("LoginRefused");
  expect(await stateOf(read(plain, restricted))).toBe("Denied");
  expect(await stateOf(read({ ...plain, port: 5037 }))).toBe("Unreachable");
});

test("by TLS only when the certificate is of the authority and for the name", async () => {
  const { certificate } = authority.own;
  expect((await read(tls("pbx.test", certificate))).channels).toBe(0);
  expect(await stateOf(read(tls("other.test", certificate)))).toBe("Untrusted");
  expect(await stateOf(read(tls("pbx.test", new Authority("another").own.certificate)))).toBe("Untrusted");
  expect(await stateOf(read(tls("pbx.test")))).toBe("Untrusted");
  expect(await stateOf(read({ ...tls("pbx.test", certificate), port: AMI_PORT }))).toBe("Untrusted");
});

test("a session of a PBX that ends is over, and the next one works", async () => {
  const session = await connectAmi(plain, reader);
  await session.read();
  await asterisk.end();
  expect(await stateOf(session.read())).toBe("Unreachable");
  await asterisk.run();
  expect((await read(plain)).channels).toBe(0);
});
