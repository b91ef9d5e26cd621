/**
 * Messages and memory, counted under the names of Kamailio's module kex. kex itself is not loaded: with it every piece of
 * private memory that is taken or given back makes a process sum up all of it, a tenth of what a call costs.
 */
const classes = [2, 3, 4, 5, 6] as const;
const memory = ["total", "used", "real_used", "max_used", "free"] as const;

const counter = (name: string, text: string): string =>
  `modparam("counters", "script_counter", "core.${name} ${text}")`;

/** Behind `loadmodule "counters.so"`. */
export const counterParameters: readonly string[] = [
  counter("rcv_requests", "Requests received"),
  counter("rcv_requests_invite", "INVITE requests received"),
  counter("rcv_requests_register", "REGISTER requests received"),
  ...classes.map((one) => counter(`rcv_replies_${one}xx_invite`, `Replies ${one}xx to INVITE received`)),
];

/** Behind `loadmodule "xhttp_prom.so"`. */
export const gaugeParameters: readonly (readonly ["xhttp_prom", "prom_gauge", string])[] = memory.map((one) => [
  "xhttp_prom",
  "prom_gauge",
  `name=shmem_${one}_size`,
]);

/** Lines of `request_route`; `options` is run for each OPTIONS. */
export const countRequest = (options: string): string => `  cnt_inc("core.rcv_requests");
  if (is_method("INVITE")) {
    cnt_inc("core.rcv_requests_invite");
  } else if (is_method("REGISTER|OPTIONS")) {
    if (is_method("REGISTER")) cnt_inc("core.rcv_requests_register");
    else ${options}
  }`;

/** Lines of `reply_route`, for final replies. */
export const countReply = `
    if (is_method("INVITE")) {
${classes.map((one, index) => `      ${index === 0 ? "" : "else "}if ($rs < ${one + 1}00) cnt_inc("core.rcv_replies_${one}xx_invite");`).join("\n")}
    }`;

/** Lines of the answer to `GET /metrics`. */
export const measureMemory = `
    jsonrpc_exec('{"jsonrpc":"2.0","method":"core.shmmem","params":["b"],"id":1}');
${memory.map((one) => `    prom_gauge_set("shmem_${one}_size", "$(jsonrpl(body){re.subst,/.*[^a-z_]${one}[^a-z_][ :]*([0-9]+).*/\\1/s})");`).join("\n")}`;
