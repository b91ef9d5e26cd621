/** Which instances of the media proxy answer a pod, by `rtpengine.ping` of each (the same answer from 5.6 to 6.1). */
import { orWhen, type Call } from "./ask.ts";
import { parsePingAnswer } from "./parse.ts";
import type { PodReading } from "./types.ts";

/** One that this Kamailio does not know, as an older one that is being replaced, is a fault and not told. */
export async function readMediaProxies(
  call: Call,
  sockets: readonly string[],
): Promise<NonNullable<PodReading["mediaProxies"]>> {
  const found: { readonly socket: string; readonly answers: boolean }[] = [];
  for (const socket of sockets) {
    const status = parsePingAnswer(await orWhen(/./, undefined, call("rtpengine.ping", socket)));
    if (status !== undefined) found.push({ socket, answers: status === "success" });
  }
  return found;
}
