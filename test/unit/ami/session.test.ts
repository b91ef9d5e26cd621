import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { connectAmi, type AmiError } from "../../../src/ami/index.ts";
import { say, ScriptedAmi, wellBehaved, type Script } from "../../support/scriptedAmi.ts";

const login = { username: "operator", password: "s3cret" };
let pbx: ScriptedAmi;
const start = async (script: Script): Promise<ScriptedAmi> => (pbx = await ScriptedAmi.start(script));
const connect = (timeoutMs = 200) => connectAmi(pbx.address, login, { timeoutMs });
const read = async () => {
  const session = await connect();
  try {
    return await session.read();
  } finally {
    session.close();
  }
};
/** "state: message" of the error */
const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no error",
    (error: AmiError) => `${error.state}: ${error.message}`,
  );
afterEach(() => pbx.stop());

describe("an Asterisk that works", () => {
  test("version and channels are read, the password is not on the wire", async () => {
    await start(wellBehaved(() => 3));
    expect(await read()).toEqual({ version: "22.5.2", channels: 3 });
    const [, sent] = pbx.actions;
    expect(sent?.get("Key")).toBe(createHash("md5").update("123456789s3cret").digest("hex"));
    expect(JSON.stringify(pbx.actions.map((action) => [...action]))).not.toContain(login.password);
  });

  test("events that nobody asked for, and answers to others, do not count as the answer", async () => {
    const noise = "Event: FullyBooted\r\n\r\nResponse: Error\r\nActionID: 999\r\n\r\n";
    const good = wellBehaved(() => 1);
    await start((action, peer) => `${noise}${good(action, peer) ?? ""}`);
    expect(await read()).toEqual({ version: "22.5.2", channels: 1 });
  });

  test("one connection answers again and again; the version is asked once", async () => {
    let channels = 5;
    await start(wellBehaved(() => channels));
    const session = await connect();
    expect((await session.read()).channels).toBe(5);
    channels = 0;
    expect((await session.read()).channels).toBe(0);
    session.close();
    expect(pbx.connections).toBe(1);
    expect(pbx.actions.filter((action) => action.get("Action") === "CoreSettings")).toHaveLength(1);
  });
});

describe("an Asterisk that does not", () => {
  test("a refused login and a user without rights are told apart, and neither names the password", async () => {
    await start(wellBehaved(() => 0, { Login: say("Response: Error", "Message: Authentication failed") }));
    const wrong = await refusal(read());
    expect(wrong).toMatch(/^LoginRefused: .*correct username and password/);
    pbx.script = wellBehaved(() => 0, { CoreShowChannels: say("Response: Error", "Message: Permission denied") });
    const denied = await refusal(read());
    expect(denied).toMatch(/^Denied: .*system,reporting/);
    expect(wrong + denied).not.toContain(login.password);
  });

  test("silence at any point ends in time", async () => {
    await start(wellBehaved(() => 0));
    pbx.greeting = undefined;
    expect(await refusal(connect(50))).toMatch(/^Unreachable: .*in time/);
    pbx.greeting = "Asterisk Call Manager/11.0.0\r\n";
    for (const action of ["Challenge", "Login", "CoreSettings", "CoreShowChannels"]) {
      pbx.script = wellBehaved(() => 0, { [action]: () => undefined });
      expect(await refusal(read()), action).toMatch(/^Unreachable: .*in time/);
    }
  });

  test("a connection that is cut in the middle of a message is an error, not a number", async () => {
    await start(
      wellBehaved(() => 0, {
        CoreShowChannels: (action, peer) => {
          peer.end(`Response: Success\r\nActionID: ${action.get("ActionID")}\r\n\r\nEvent: CoreShowCh`);
          return undefined;
        },
      }),
    );
    expect(await refusal(read())).toMatch(/^Unreachable: .*closed the connection/);
  });

  test("a list without an end ends nevertheless, though something comes all the time", async () => {
    await start(
      wellBehaved(() => 0, {
        CoreShowChannels: (action, peer) => {
          const id = action.get("ActionID");
          peer.write(`Response: Success\r\nActionID: ${id}\r\n\r\n`);
          const timer = setInterval(() => peer.write(`Event: CoreShowChannel\r\nActionID: ${id}\r\n\r\n`), 20);
          peer.once("close", () => clearInterval(timer));
          return undefined;
        },
      }),
    );
    const session = await connect(100);
    expect(await refusal(session.read())).toMatch(/^Unreachable: .*in time/);
  });

  test("what is no manager interface at all is said as such", async () => {
    await start(() => undefined);
    pbx.greeting = "220 mail.example.com ESMTP\r\n";
    expect(await refusal(connect())).toMatch(/^Unreachable: .*manager's port/);
  });
});
