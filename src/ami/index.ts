/**
 * ami: what an Asterisk says of itself by its manager interface (AMI): version and live channels, read only. A session logs
 * in and asks (`session.ts`), the protocol is in `protocol.ts` (pure), and a watch keeps one session for each PBX at a
 * bounded rate (`watch.ts`). Calls never depend on any of it.
 */
export * from "./types.ts";
export { connectAmi } from "./session.ts";
export { createAmiWatch, type AmiTarget, type AmiWatch } from "./watch.ts";
