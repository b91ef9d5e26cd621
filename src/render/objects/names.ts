/** Names and labels of a router's objects. Pure. */
import { labels } from "../layout.ts";

/** value of `app.kubernetes.io/component` on everything that belongs to the Kamailio pods */
export const COMPONENT = "kamailio";

/** Labels by which the pods of a router are found: the Deployment's selector, which can never change. */
export const podSelector = (router: string): Readonly<Record<string, string>> => ({
  [labels.router]: router,
  [labels.component]: COMPONENT,
});
export const structureName = (router: string, structureHash: string): string => `${router}-kamailio-${structureHash}`;
export const dataName = (router: string): string => `${router}-dispatcher`;
/** Secret with the files that hold credentials; there when the router has any */
export const credentialsName = (router: string): string => `${router}-credentials`;
/** headless Service by which replicas find each other */
export const peersName = (router: string): string => `${router}-peers`;
export const controlName = (router: string): string => `${router}-control`;
