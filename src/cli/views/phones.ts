/**
 * `route explain` at a router that is the registrar: a call to a registered user goes to his phones, and no route is asked.
 * Pure.
 */
import type { SipRouter } from "../../api/index.ts";
import { answered } from "../print/output.ts";
import type { Verdict } from "./caller.ts";
import type { ExplainData } from "./explain.ts";

export const isRegistrar = ({ spec }: SipRouter): boolean => spec.registration?.mode === "Registrar";

/** What one pod knows of the called number as a user. */
export interface Phones {
  /** it is the name of a user */
  readonly user: boolean;
  /** contacts at which he is registered */
  readonly contacts: number;
}

export interface PhonesVerdict {
  /** where the call goes; `nobody`: 480 */
  readonly to: "phones" | "routes" | "nobody";
  readonly text: string;
}

/** undefined: the router keeps no locations, no pod told, or the number is no user's */
export function judgePhones(data: ExplainData, source: Verdict): PhonesVerdict | undefined {
  const { number } = data.question;
  const told = answered(data.answers).flatMap(({ value }) => (value.phones?.user === true ? [value.phones] : []));
  if (!isRegistrar(data.router) || told.length === 0) return undefined;
  const most = Math.max(...told.map(({ contacts }) => contacts));
  if (most > 0)
    return {
      to: "phones",
      text: `${number} is registered: ${most === 1 ? "its phone gets" : `its ${most} phones get`} the call, no route is asked`,
    };
  if (source.backend === true)
    return {
      to: "nobody",
      text: `480: ${number} is a user who is not registered, and a backend's call to a user does not go on to the routes`,
    };
  return { to: "routes", text: `${number} is a user who is not registered: the routes decide` };
}

/** A pod that knows less than the others sends the call elsewhere. */
export const lacksPhones = (verdict: PhonesVerdict | undefined, phones: Phones | undefined): boolean =>
  verdict?.to === "phones" && (phones?.contacts ?? 0) === 0;
