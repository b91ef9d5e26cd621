/** Kamailio's own HTTP listener in each pod: RPC, health and metrics. Never on a SIP port. */
export const CONTROL_PORT = 9060;

/** Kamailio's own listener for what the replicas of a router tell each other (UDP). Never a SIP port. */
export const PEER_PORT = 9061;
