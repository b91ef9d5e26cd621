/** A manager interface that says what a test wants it to, for the faults that a real Asterisk does not have. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export type Fields = ReadonlyMap<string, string>;
/** what is written for an action; undefined: nothing; "end": the connection is cut */
export type Script = (action: Fields, peer: Socket) => string | undefined;

export class ScriptedAmi {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** of all connections, in the order of arrival */
  readonly actions: Fields[] = [];
  connections = 0;
  greeting: string | undefined = "Asterisk Call Manager/11.0.0\r\n";
  script: Script;

  private constructor(script: Script) {
    this.script = script;
    this.#server = createServer((peer) => this.#serve(peer));
  }

  static async start(script: Script, host = "127.63.0.1"): Promise<ScriptedAmi> {
    const made = new ScriptedAmi(script);
    made.#server.listen(0, host);
    await once(made.#server, "listening");
    return made;
  }

  get address(): { readonly host: string; readonly port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  #serve(peer: Socket): void {
    this.connections += 1;
    this.#open.add(peer);
    peer.on("error", () => undefined);
    peer.on("close", () => this.#open.delete(peer));
    if (this.greeting !== undefined) peer.write(this.greeting);
    let text = "";
    peer.on("data", (data) => {
      text += data.toString("utf8");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const fields = new Map(
          text
            .slice(0, end)
            .split("\r\n")
            .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
        );
        text = text.slice(end + 4);
        this.actions.push(fields);
        const said = this.script(fields, peer);
        if (said !== undefined) peer.write(said);
      }
    });
  }

  cut(): void {
    for (const peer of this.#open) peer.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

const message = (action: Fields, ...lines: readonly string[]): string =>
  `${[...lines, `ActionID: ${action.get("ActionID")}`].join("\r\n")}\r\n\r\n`;

/** A PBX with so many channels that does everything right; `instead` may answer an action in another way. */
export const wellBehaved =
  (channels: () => number, instead: Readonly<Record<string, Script>> = {}): Script =>
  (action, peer) => {
    const name = action.get("Action") ?? "";
    const other = instead[name];
    if (other !== undefined) return other(action, peer);
    if (name === "Challenge") return message(action, "Response: Success", "Challenge: 123456789");
    if (name === "CoreSettings") return message(action, "Response: Success", "AsteriskVersion: 22.5.2");
    if (name !== "CoreShowChannels") return message(action, "Response: Success");
    const events = Array.from({ length: channels() }, (_, index) =>
      message(action, "Event: CoreShowChannel", `Channel: PJSIP/a-${index}`),
    );
    const last = message(action, "Event: CoreShowChannelsComplete", "EventList: Complete", `ListItems: ${channels()}`);
    return message(action, "Response: Success", "EventList: start") + events.join("") + last;
  };
export const say =
  (...lines: readonly string[]): Script =>
  (action) =>
    message(action, ...lines);
