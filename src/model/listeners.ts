/** Listeners: names and ports that are used twice, TLS without a certificate. */
import type { SipRouter } from "../api/index.ts";
import { refOf, wrong } from "./issue.ts";
import { CONTROL_PORT } from "./ports.ts";
import type { Issue } from "./types.ts";

export function listenerIssues(router: SipRouter): readonly Issue[] {
  const ref = refOf(router);
  const names = new Map<string, string>();
  // TLS is TCP: both cannot listen on one port.
  const ports = new Map<string, string>([[`TCP ${CONTROL_PORT}`, "the control port of the pods"]]);
  return router.spec.listeners.flatMap((listener, index) => {
    const path = `spec.listeners[${index}]`;
    const found: Issue[] = [];
    const port = `${listener.transport === "UDP" ? "UDP" : "TCP"} ${listener.port}`;
    const samePort = ports.get(port);
    const sameName = names.get(listener.name);
    if (samePort !== undefined)
      found.push(
        wrong(
          ref,
          `${path}.port`,
          "ListenerConflict",
          `the port ${listener.port} (${listener.transport}) is also that of ${samePort}: change one of the two.`,
        ),
      );
    if (sameName !== undefined)
      found.push(
        wrong(
          ref,
          `${path}.name`,
          "ListenerConflict",
          `the name ${listener.name} is also that of ${sameName}: rename one of the two.`,
        ),
      );
    ports.set(port, samePort ?? path);
    names.set(listener.name, sameName ?? path);
    if (listener.transport === "TLS" && listener.tls === undefined)
      found.push(wrong(ref, path, "Invalid", "a TLS listener needs a certificate: name its Secret in tls.secretName."));
    if (listener.transport !== "TLS" && listener.tls !== undefined)
      found.push(
        wrong(
          ref,
          `${path}.tls`,
          "Invalid",
          `a ${listener.transport} listener has no certificate: remove tls, or use the transport TLS.`,
        ),
      );
    return found;
  });
}
