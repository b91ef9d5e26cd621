/** Where a Kamailio container finds its files, and the names shared by the renderer, the runner and the controller. */

/** kamailio.cfg: ConfigMap `<router>-kamailio-<structureHash>`, immutable */
export const STRUCTURE_DIR = "/etc/sip-router/structure";
/** dispatcher.list and db_text tables: ConfigMap `<router>-dispatcher`, updated in place. Never mounted with subPath. */
export const DATA_DIR = "/etc/sip-router/data";
/** control.cfg (the RPC token as a cfg define): Secret `<router>-control` */
export const CONTROL_DIR = "/etc/sip-router/control";
/** one folder per TLS listener: `<TLS_DIR>/<listener>/tls.crt` and `tls.key` */
export const TLS_DIR = "/etc/sip-router/tls";
/** writable: pid file, sockets (emptyDir, memory) */
export const RUN_DIR = "/run/sip-router";

export { CONTROL_PORT } from "../model/ports.ts";

export const labels = {
  router: "siprouter.dev/router",
  component: "app.kubernetes.io/component",
  managedBy: "app.kubernetes.io/managed-by",
} as const;
export const annotations = {
  /** on the pod template: a change rolls the Deployment */
  structureHash: "siprouter.dev/structure-hash",
  /** on the data ConfigMap and on each Pod */
  revision: "siprouter.dev/revision",
} as const;
export const MANAGED_BY = "sip-router-operator";
export const FIELD_MANAGER = "sip-router-operator";
