/**
 * The control port: RPC with a bearer token, health and metrics; a listener of its own. A body is accepted only in the
 * one form that the operator writes, without escapes, so that what is checked is what Kamailio's JSON parser sees (it
 * takes the first of two `method` keys, in any case).
 */
import type { StructurePlan } from "../../ir/types.ts";
import { integer } from "./quote.ts";
import { MAX_RPC_BODY, PING_METHOD, rpcMethods } from "../layout.ts";
import { measureMemory } from "./messageCounters.ts";
import { limitDump } from "./registrar.ts";
import { controlTokenInCfg } from "./tokens.ts";

const value = '("[^"\\\\]*"|-?[0-9]+)';
/** The canonical body: exactly these keys, in this order, without spaces. */
const canonical = (method: string): string =>
  `^\\{"jsonrpc":"2\\.0","method":"${method}","params":\\[(${value}(,${value})*)?\\],"id":[0-9]{1,15}\\}$`;
const methods = `(${rpcMethods.map((method) => method.replace(".", "\\.")).join("|")})`;

const sipUri = "sip:[][0-9A-Za-z.:;=@-]+";
const crlf = "[\\\\]r[\\\\]n";
/** OPTIONS to an address, nothing else: a request of any other method could place a call. */
const ping = `^\\{"jsonrpc":"2\\.0","method":"${PING_METHOD.replace(".", "\\.")}","params":\\["OPTIONS","${sipUri}","\\.","\\.","From: <${sipUri}>;tag=[0-9a-f]+${crlf}To: <${sipUri}>${crlf}"\\],"id":[0-9]{1,15}\\}$`;

/** How long a pod that was just started, or was cut off, waits for the operator before it takes calls. */
const SEED_SECONDS = 10;
/** Three periods of the readiness probe without any: by then the pod is out of the load balancers. */
const CUT_OFF_SECONDS = 6;

export const renderControl = (structure: StructurePlan): readonly string[] =>
  `
event_route[xhttp:request] {
  if ($Rp != ${integer("the control port", structure.controlPort)}) drop;
  if ($hu == "/rpc") {
    route(CONTROL_RPC);
    exit;
  }
  if ($hu != "/healthz" && $hu != "/readyz" && $hu != "/metrics") {
    xhttp_reply("404", "Not Found", "text/plain", "not found\\n");
    exit;
  }
  if ($rm != "GET") {
    append_to_reply("Allow: GET\\r\\n");
    xhttp_reply("405", "Method Not Allowed", "text/plain", "GET only\\n");
    exit;
  }
  if ($hu == "/metrics") {${measureMemory}
    prom_dispatch();
    exit;
  }
  if ($hu == "/readyz" && $sht(st=>drain) == 1) {
    xhttp_reply("503", "Service Unavailable", "text/plain", "draining\\n");
    exit;
  }
  if ($hu == "/readyz") {
    # who was asked by nobody for a while was cut off and may have missed changes: it is as if it had just been started
    if ($sht(st=>asked) > 0 && $TS - $sht(st=>asked) > ${CUT_OFF_SECONDS}) {
      $sht(st=>seeded) = 0;
      $sht(st=>since) = $TS;
    }
    $sht(st=>asked) = $TS;
  }
  $var(since) = $Tb;
  if ($sht(st=>since) > 0) $var(since) = $sht(st=>since);
  # the operator tells a fresh pod first which destinations do not answer; without an operator it serves after ${SEED_SECONDS} s
  if ($hu == "/readyz" && $sht(st=>seeded) != 1 && $TS - $var(since) < ${SEED_SECONDS}) {
    xhttp_reply("503", "Service Unavailable", "text/plain", "not read back yet\\n");
    exit;
  }
  xhttp_reply("200", "OK", "text/plain", "ok\\n");
}

route[CONTROL_RPC] {
  if ($hdr(Authorization) != "Bearer ${controlTokenInCfg}") {
    append_to_reply("WWW-Authenticate: Bearer\\r\\n");
    xhttp_reply("401", "Unauthorized", "text/plain", "the bearer token is missing or wrong\\n");
    exit;
  }
  if ($rm != "POST") {
    append_to_reply("Allow: POST\\r\\n");
    xhttp_reply("405", "Method Not Allowed", "text/plain", "POST only\\n");
    exit;
  }
  if ($cl > ${MAX_RPC_BODY}) {
    xhttp_reply("413", "Content Too Large", "text/plain", "at most ${MAX_RPC_BODY} bytes\\n");
    exit;
  }
  if ($rb =~ '${ping}') {
    jsonrpc_dispatch();
    exit;
  }
  if (!($rb =~ '${canonical("[a-zA-Z0-9_.]{1,64}")}')) {
    xhttp_reply("400", "Bad Request", "text/plain", "not the canonical form of a request\\n");
    exit;
  }
  if (!($rb =~ '${canonical(methods)}')) {
    xhttp_reply("403", "Forbidden", "text/plain", "this method is not served\\n");
    exit;
  }
  if ($rb =~ '^[^[]*"mtree\\.(match|reload|summary)","params":\\["ext"[],]') {
    route(CONTROL_MTREE);
    exit;
  }
${limitDump(structure)}  jsonrpc_dispatch();
}

# mtree frees what it replaces while another process may still read it (its guard is not in shared memory, 5.6 to 6.1):
# so "ext" is two trees. Calls read one, a reload fills the other, and only when that is done calls are switched.
route[CONTROL_MTREE] {
  lock("mtree");
  $var(tree) = $sht(st=>tree);
  if ($rb =~ '"method":"mtree\\.reload"') {
    $var(tree) = 1 - $var(tree);
    # whoever still reads it since the last switch
    usleep("2000");
  }
  $var(body) = $(rb{s.select,0,[}) + '["ext' + $var(tree) + $(rb{s.after,[}{s.substr,4,0});
  jsonrpc_exec("$var(body)");
  if ($jsonrpl(code) == 200) $sht(st=>tree) = $var(tree);
  unlock("mtree");
  xhttp_reply("$jsonrpl(code)", "Answer", "application/json", "$jsonrpl(body)");
}
`.split("\n");
