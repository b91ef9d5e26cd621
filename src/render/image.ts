/** The image of the Kamailio pods where neither the router nor the operator's options name one: the project's own, of 6.x. */
export const DEFAULT_IMAGE = "ghcr.io/kamailio/kamailio:6.1.4-bookworm";
