/**
 * `registration.mode: ForwardAll`: the router asks the phone who he is, and registers it at every destination of the set
 * at once. The first that takes it is enough. PBXes trust the router: a challenge of theirs is no answer for a phone.
 */
import { RETRY_AFTER } from "./replies.ts";

/** Lines of the route REGISTER: who is admitted as a backend has not been asked who he is. */
export const authenticateAll = `
  if ($var(backend) == 1) route(AUTHENTICATE);`;

export const renderForwardAll = (): readonly string[] =>
  `

route[TO_ALL] {
  if ($var(rule) == "" || !ds_select_routes("$var(rule)", "1")) {
    append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
    sl_send_reply("503", "Service Unavailable");
    exit;
  }
  $var(first) = $ru;
  while (ds_next_domain()) append_branch();
  $ru = $var(first);
  t_on_failure("NONE_REGISTERED");
  t_relay();
}

failure_route[NONE_REGISTERED] {
  if ($T_reply_code == 403 || $T_reply_code == 404 || $T_reply_code == 423) exit;
  append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
  t_reply("503", "Service Unavailable");
}
`.split("\n");
