/** This machine as a part of the SIP network: it reaches pods by their addresses, and pods reach it. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { callOnce, type RequestInput } from "../../support/sip/caller.ts";
import { header } from "../../support/sip/message.ts";
import { type Behaviour, SipPeer } from "../../support/sip/peer.ts";

/** Throws unless the control port of a pod can be reached from here. */
export async function assertReaches(pod: string, port = 9060): Promise<void> {
  const socket = connect({ host: pod, port, timeout: 10_000 });
  try {
    await Promise.race([
      once(socket, "connect"),
      once(socket, "timeout").then(() => Promise.reject(new Error("no answer"))),
    ]);
  } catch (error) {
    throw new Error(
      `this machine does not reach the pod ${pod}:${port} (${(error as Error).message}): make a route to the pods' addresses, or leave the scenario out by naming those to run (docs/testing.md).`,
      { cause: error },
    );
  } finally {
    socket.destroy();
  }
}

/** A SIP endpoint at the address by which this machine reaches a pod, at a free port. */
export async function peerTowards(pod: string, behaviour?: Behaviour): Promise<SipPeer> {
  const probe = createSocket("udp4");
  probe.connect(5060, pod);
  await once(probe, "connect");
  const { address: host, port } = probe.address();
  probe.close();
  await once(probe, "close");
  return SipPeer.listen({ host, port }, behaviour);
}

/** Calls a number at a pod; "200 NAME-OF-THE-PBX", "403 router" and such. */
export async function answerTo(
  peer: SipPeer,
  pod: string,
  number: string,
  more: Partial<RequestInput> = {},
): Promise<string> {
  const { status, reply } = await callOnce(peer, { host: pod, port: 5060 }, number, more);
  // what the router itself answers names no server
  return `${status} ${header(reply, "server") || "router"}`;
}
