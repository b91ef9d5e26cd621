/** One connection to an Asterisk's manager interface. */
import { createHash } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { formatAction, newStream, parseAmi, type AmiMessage } from "./protocol.ts";
import { AmiError, type AmiAddress, type AmiLogin, type AmiReading, type AmiSession } from "./types.ts";

export interface SessionOptions {
  /** for each answer, milliseconds */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5000;
/** An answer in pieces, a long list of channels, may take this many times as long as one piece. */
const PIECES = 6;

/** Logs in: with a digest of challenge and password on plain TCP, so that the password itself is not on the wire. */
export async function connectAmi(
  address: AmiAddress,
  login: AmiLogin,
  options: SessionOptions = {},
): Promise<AmiSession> {
  const wire = new Wire(address, options.timeoutMs ?? TIMEOUT_MS);
  try {
    await wire.open();
    await logIn(wire, address, login);
  } catch (error) {
    wire.close();
    throw error;
  }
  let version: string | undefined;
  return {
    async read(): Promise<AmiReading> {
      try {
        version ??= await readVersion(wire);
        return { version, channels: await countChannels(wire) };
      } catch (error) {
        wire.close();
        throw error;
      }
    },
    close: () => wire.close(),
  };
}

type Fields = readonly (readonly [string, string])[];
const refused = (message: AmiMessage | undefined): boolean => message?.get("response")?.toLowerCase() !== "success";

async function logIn(wire: Wire, address: AmiAddress, { username, password }: AmiLogin): Promise<void> {
  const proof: Fields = address.tls === undefined ? await digest(wire, password) : [["Secret", password]];
  const [answer] = await wire.ask([["Action", "Login"], ["Username", username], ...proof, ["Events", "off"]]);
  if (refused(answer))
    throw new AmiError(
      "LoginRefused",
      "the login is refused: correct username and password in the Secret, or let this address in (permit in manager.conf).",
    );
}

async function digest(wire: Wire, password: string): Promise<Fields> {
  const [answer] = await wire.ask([
    ["Action", "Challenge"],
    ["AuthType", "MD5"],
  ]);
  const challenge = answer?.get("challenge");
  if (refused(answer) || challenge === undefined)
    throw new AmiError("LoginRefused", "it gives no challenge to log in with: ask for TLS, or allow MD5 there.");
  const key = createHash("md5").update(`${challenge}${password}`).digest("hex");
  return [
    ["AuthType", "MD5"],
    ["Key", key],
  ];
}

const denied = (action: string): AmiError =>
  new AmiError("Denied", `the manager user may not ${action}: give it read = system,reporting in manager.conf.`);

async function readVersion(wire: Wire): Promise<string> {
  const [answer] = await wire.ask([["Action", "CoreSettings"]]);
  if (refused(answer)) throw denied("CoreSettings");
  return (answer?.get("asteriskversion") ?? "").slice(0, 64);
}

/** The channels are counted as they come, not kept. */
async function countChannels(wire: Wire): Promise<number> {
  let counted = 0;
  const [answer, last] = await wire.ask([["Action", "CoreShowChannels"]], (message) => {
    const event = message.get("event")?.toLowerCase();
    if (event === "coreshowchannel") counted += 1;
    return event === "coreshowchannelscomplete";
  });
  if (refused(answer)) throw denied("CoreShowChannels");
  const said = last?.get("listitems") ?? "";
  return /^\d{1,7}$/.test(said) ? Number(said) : counted;
}

interface Question {
  readonly id: string;
  /** of a list: true for its last event */
  readonly isLast: ((message: AmiMessage) => boolean) | undefined;
  /** milliseconds of the monotonic clock */
  readonly deadline: number;
  answer: AmiMessage | undefined;
  readonly resolve: (messages: readonly [AmiMessage | undefined, AmiMessage | undefined]) => void;
  readonly reject: (error: AmiError) => void;
}

/** One question at a time; the first error ends the connection. */
class Wire {
  readonly #address: AmiAddress;
  readonly #timeoutMs: number;
  #socket: Socket | undefined;
  #stream = newStream;
  #question: Question | undefined;
  #failure: AmiError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #serial = 0;

  constructor(address: AmiAddress, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves with the greeting. */
  open(): Promise<unknown> {
    const greeted = this.#expect("", undefined);
    const { host, port, tls } = this.#address;
    const socket =
      tls === undefined
        ? connectTcp(port, host)
        : connectTls({
            host,
            port,
            minVersion: "TLSv1.2",
            ...(isIP(tls.name) === 0 ? { servername: tls.name } : {}),
            ...(tls.authorities === undefined ? {} : { ca: tls.authorities }),
          });
    this.#socket = socket;
    socket.setNoDelay(true);
    // whoever ends does not wait for a PBX
    socket.unref();
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(describe(error)));
    socket.on("close", () => this.#fail(new AmiError("Unreachable", "it closed the connection.")));
    return greeted;
  }

  /** The answer, and the last event of its list where `isLast` is given. */
  ask(
    fields: Fields,
    isLast?: (message: AmiMessage) => boolean,
  ): Promise<readonly [AmiMessage | undefined, AmiMessage | undefined]> {
    const id = String((this.#serial += 1));
    const asked = this.#expect(id, isLast);
    this.#socket?.write(formatAction([...fields, ["ActionID", id]]));
    return asked;
  }

  close(): void {
    this.#fail(new AmiError("Unreachable", "the connection was closed."));
  }

  #expect(id: string, isLast: Question["isLast"]): ReturnType<Wire["ask"]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + PIECES * this.#timeoutMs;
      this.#question = { id, isLast, deadline, answer: undefined, resolve, reject };
      this.#await(deadline);
    });
  }

  #await(deadline: number): void {
    clearTimeout(this.#timer);
    const late = (): void => this.#fail(new AmiError("Unreachable", "it does not answer in time."));
    this.#timer = setTimeout(late, Math.min(this.#timeoutMs, Math.max(0, deadline - performance.now())));
    this.#timer.unref();
  }

  #take(chunk: Buffer): void {
    const greeted = this.#stream.greeting !== undefined;
    const { stream, messages, error } = parseAmi(this.#stream, chunk);
    this.#stream = stream;
    if (!greeted && stream.greeting !== undefined) this.#done(undefined);
    for (const message of messages) this.#answer(message);
    if (error !== undefined) this.#fail(new AmiError("Unreachable", `${error}: is this the manager's port?`));
  }

  #answer(message: AmiMessage): void {
    const question = this.#question;
    // events nobody asked for have no ActionID
    if (question === undefined || message.get("actionid") !== question.id) return;
    this.#await(question.deadline);
    const isFirst = question.answer === undefined;
    question.answer ??= message;
    if (question.isLast === undefined || (isFirst && refused(message))) return this.#done(undefined);
    if (!isFirst && question.isLast(message)) this.#done(message);
  }

  #done(last: AmiMessage | undefined): void {
    const question = this.#question;
    this.#question = undefined;
    clearTimeout(this.#timer);
    question?.resolve([question.answer, last]);
  }

  #fail(error: AmiError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#question?.reject(error);
    this.#question = undefined;
  }
}

/** Errors of TLS are about the certificate unless they are the connection's own. */
function describe(error: NodeJS.ErrnoException): AmiError {
  const code = error.code ?? "";
  if (/^(E[A-Z]+)$/.test(code) && code !== "EPROTO") return new AmiError("Unreachable", `${code.toLowerCase()}.`);
  return new AmiError(
    "Untrusted",
    `TLS fails (${(code || error.message).slice(0, 100)}): its certificate must be for its address or name and of an authority in ca.crt of the Secret.`,
  );
}
