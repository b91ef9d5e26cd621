/** A caller: requests through a router from one {@link SipPeer}, with the transactions and dialogs of RFC 3261. */
import { randomBytes } from "node:crypto";
import { callIdOf, header, headers, inUri, uriIn, writeMessage, type SipMessage } from "./message.ts";
import type { Address, SipPeer } from "./peer.ts";

const unique = (): string => randomBytes(6).toString("hex");

export interface RequestInput {
  readonly method: string;
  readonly uri: string;
  readonly from?: string;
  readonly to?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly contact?: string | null;
  readonly maxForwards?: number;
  readonly branch?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** A request as sent, and what came back to its branch. */
export class Sent {
  readonly peer: SipPeer;
  readonly router: Address;
  readonly input: Required<Pick<RequestInput, "callId" | "branch" | "from" | "cseq">> & RequestInput;
  readonly text: string;

  constructor(peer: SipPeer, router: Address, input: RequestInput) {
    const {
      callId = unique(),
      branch = `z9hG4bK${unique()}`,
      from = `<sip:caller@${inUri(peer.host)}>;tag=${unique()}`,
    } = input;
    const cseq = input.cseq ?? 1;
    const contact =
      input.contact === undefined
        ? `<sip:caller@${inUri(peer.host)}:${peer.port};transport=${peer.transport.toLowerCase()}>`
        : input.contact;
    this.peer = peer;
    this.router = router;
    this.input = { ...input, callId, branch, from, cseq };
    this.text = writeMessage({
      first: `${input.method} ${input.uri} SIP/2.0`,
      fields: [
        ["Via", `SIP/2.0/${peer.transport} ${inUri(peer.host)}:${peer.port};branch=${branch};rport`],
        ["Max-Forwards", String(input.maxForwards ?? 70)],
        ["From", from],
        ["To", input.to ?? `<${input.uri}>`],
        ["Call-ID", callId],
        ["CSeq", `${cseq} ${input.method}`],
        ...(contact === null ? [] : [["Contact", contact] as [string, string]]),
        ...(input.fields ?? []),
      ],
      ...(input.body === undefined ? {} : { body: input.body }),
    });
  }

  get callId(): string {
    return this.input.callId;
  }

  async send(): Promise<this> {
    await this.peer.send(this.router, this.text);
    return this;
  }

  get replies(): readonly SipMessage[] {
    const { callId, branch, cseq, method } = this.input;
    return this.peer.received.filter(
      (message) =>
        message.status !== undefined &&
        callIdOf(message) === callId &&
        header(message, "cseq") === `${cseq} ${method}` &&
        (headers(message, "via")[0] ?? "").includes(branch),
    );
  }

  get finals(): readonly SipMessage[] {
    return this.replies.filter(({ status = 0 }) => status >= 200);
  }

  /** The final reply; a failed INVITE is acknowledged (RFC 3261 17.1.1.3). */
  async final(timeoutMs = 15_000): Promise<SipMessage> {
    const { callId, branch, cseq, method, from, uri } = this.input;
    const reply = await this.peer.waitFor(
      `a final reply to ${method} ${uri}`,
      (message) => this.finals[0] === message,
      timeoutMs,
    );
    if (method === "INVITE" && (reply.status ?? 0) >= 300)
      await new Sent(this.peer, this.router, {
        method: "ACK",
        uri,
        callId,
        branch,
        cseq,
        from,
        to: header(reply, "to"),
        contact: null,
      }).send();
    return reply;
  }
}

export const request = (peer: SipPeer, router: Address, input: RequestInput): Promise<Sent> =>
  new Sent(peer, router, input).send();

/** An established dialog, seen from the caller or from the callee. */
export interface Dialog {
  readonly callId: string;
  readonly local: string;
  readonly remote: string;
  readonly target: string;
  readonly routes: readonly string[];
}

/** RFC 3261 12.1.2: the caller's dialog from the 2xx. */
export const callerDialog = (reply: SipMessage): Dialog => ({
  callId: callIdOf(reply),
  local: header(reply, "from"),
  remote: header(reply, "to"),
  target: uriIn(header(reply, "contact")),
  routes: headers(reply, "record-route").toReversed(),
});

/** RFC 3261 12.1.1: the callee's dialog from the INVITE. */
export const calleeDialog = (invite: SipMessage, tag = "callee"): Dialog => ({
  callId: callIdOf(invite),
  local: `${header(invite, "to")};tag=${tag}`,
  remote: header(invite, "from"),
  target: uriIn(header(invite, "contact")),
  routes: headers(invite, "record-route"),
});

/** A request within a dialog, along its route set to `router`. */
export const within = (
  peer: SipPeer,
  router: Address,
  dialog: Dialog,
  method: string,
  cseq: number,
  more: Partial<RequestInput> = {},
): Promise<Sent> =>
  request(peer, router, {
    method,
    uri: dialog.target,
    from: dialog.local,
    to: dialog.remote,
    callId: dialog.callId,
    cseq,
    fields: dialog.routes.map((route): [string, string] => ["Route", route]),
    ...more,
  });

/** INVITE, and ACK when it is answered. */
export async function call(
  peer: SipPeer,
  router: Address,
  number: string,
  more: Partial<RequestInput> = {},
): Promise<{ sent: Sent; reply: SipMessage; dialog: Dialog }> {
  const sent = await request(peer, router, { method: "INVITE", uri: `sip:${number}@${inUri(router.host)}`, ...more });
  const reply = await sent.final();
  const dialog = callerDialog(reply);
  if ((reply.status ?? 0) < 300) await within(peer, router, dialog, "ACK", sent.input.cseq, { contact: null });
  return { sent, reply, dialog };
}

/** INVITE, ACK, BYE; the status of the INVITE's final reply. */
export async function callOnce(
  peer: SipPeer,
  router: Address,
  number: string,
  more: Partial<RequestInput> = {},
): Promise<{ status: number; callId: string; reply: SipMessage }> {
  const { sent, reply, dialog } = await call(peer, router, number, more);
  if ((reply.status ?? 0) < 300) await (await within(peer, router, dialog, "BYE", sent.input.cseq + 1)).final();
  return { status: reply.status ?? 0, callId: sent.callId, reply };
}
