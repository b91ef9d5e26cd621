/** Kamailio's own HTTP listener in each pod: RPC, health and metrics. Never on a SIP port. */
export const CONTROL_PORT = 9060;
