/**
 * The capture of one call (`kubectl sip capture`): module sipdump hands every message that comes or goes to an event route,
 * once it is switched on by RPC. Until then it tests one integer for each message, and Kamailio copies each message that it
 * sends for those that listen: 5,000 of the 335,000 instructions of a call. The control port begins a capture
 * (../../kamailio/capture.ts): key `session` of the table, which expires by itself, and with it the capture ends. Credentials
 * and keys are removed before a message is stored.
 *
 * Loaded after topoh: what comes has passed topoh by then, and what goes has not (Kamailio asks those that listen in the order
 * of their loading for what comes, and the other way round for what goes).
 */
import type { StructurePlan } from "../../ir/types.ts";
import { CAPTURE } from "../layout.ts";
import { integer } from "./quote.ts";
import { peerKeyInCfg } from "./tokens.ts";

/** Bytes of a message that are looked at, which the transformation `re.subst` (8,191) takes. */
const LOOKED_AT = 8000;
/** Bytes of a message that are kept, as base64. */
const KEPT = 3000;

/** POSIX extended regular expressions; a newline is never matched by `.` and `[^ ]` unless the flag s is given. */
const headersOnly = "{re.subst,/[[:cntrl:]][[:cntrl:]][[:cntrl:]][[:cntrl:]].*$//s}";
const callId = "{re.subst,/^.*[[:cntrl:]](call-id|i)[[:space:]]*:[[:space:]]*([^[:space:]]+).*$/\\2/is}";
const credentials = "{re.subst,/^((proxy-)?authorization[[:space:]]*:)(.|[[:cntrl:]][[:blank:]])*$/\\1 ***/ig}";
const passwords = "{re.subst,/(sips?:[^][:space:]<>@:;?,[]+):[^][:space:]<>@,[]*@/\\1:***@/ig}";
/** by which replicas know each other: in a Path of theirs */
const peerKey = `{re.subst,/${peerKeyInCfg}/***/g}`;
const mediaKeys = "{re.subst,/^(a=crypto:[0-9]+ [^ ]+).*$/\\1 ***/ig}";
const otherKeys = "{re.subst,/^(k=|a=key-mgmt:|a=ice-pwd:).*$/\\1***/ig}";

export const renderCapture = ({ controlPort }: StructurePlan): readonly string[] => {
  const control = integer("the control port", controlPort);
  return `loadmodule "sipdump.so"
modparam("sipdump", "enable", 0)
# only the event route, nothing is written to a file
modparam("sipdump", "mode", 2)
modparam("htable", "htable", "${CAPTURE.table}=>size=8;autoexpire=${CAPTURE.maxSeconds};")

event_route[sipdump:msg] {
  # the control port has the token
  if ($sipdump(tag) == "rcv" && $sipdump(dst_port) == ${control}) exit;
  if ($sipdump(tag) == "snd" && $sipdump(src_port) == ${control}) exit;
  if ($sht(${CAPTURE.table}=>session) == $null) {
    jsonrpc_exec('{"jsonrpc":"2.0","method":"sipdump.enable","params":[0],"id":1}');
    exit;
  }
  if ($sipdump(len) < 100) exit;
  $var(captureId) = $(sipdump(buf){s.substr,0,${LOOKED_AT}}${headersOnly}${callId});
  if ($(var(captureId){s.len}) > 256) exit;
  $var(captureCall) = "" + $sht(${CAPTURE.table}=>session) + ":" + $var(captureId);
  if ($sht(${CAPTURE.table}=>$var(captureCall)) == $null) {
    if ($sht(${CAPTURE.table}=>first) == $null) exit;
    if (!($sipdump(buf) =~ $sht(${CAPTURE.table}=>first))) exit;
    if ($shtinc(${CAPTURE.table}=>calls) > ${CAPTURE.maxCalls}) exit;
    $sht(${CAPTURE.table}=>$var(captureCall)) = 1;
  }
  $var(captureAt) = $shtinc(${CAPTURE.table}=>count);
  if ($var(captureAt) > ${CAPTURE.maxMessages}) exit;
  $var(captureText) = $(sipdump(buf){s.substr,0,${LOOKED_AT}});
  # a body that is no SDP is what somebody wrote to somebody
  if (!($var(captureText) =~ "application/sdp")) $var(captureText) = $(var(captureText)${headersOnly});
  $var(captureText) = $(var(captureText)${credentials}${passwords}${peerKey}${mediaKeys}${otherKeys}{s.substr,0,${KEPT}}{s.encode.base64});
  $sht(${CAPTURE.table}=>$var(captureAt)) = "" + $sht(${CAPTURE.table}=>session) + " " + $TV(Sn) + " " + $sipdump(tag) + " " + $sipdump(proto) + " " + $sipdump(src_ip) + " " + $sipdump(src_port) + " " + $sipdump(dst_ip) + " " + $sipdump(dst_port) + " " + $sipdump(len) + " " + $var(captureText);
}
`.split("\n");
};
