# One call from inside a pod, with nothing but bash: INVITE, ACK, BYE over UDP (RFC 3261).
# Arguments: address and port of the router, called number. Prints the final answer's code and the PBX's name.
set -euo pipefail
router=$1 port=$2 number=$3
exec 3<>"/dev/udp/$router/$port"
read -r own _ < <(hostname -I)
id=$RANDOM$RANDOM from="<sip:pod@$own>;tag=$RANDOM"
send() { # method, request URI, To, sequence number, extra header line; dd: bash would send each line as a datagram
  printf '%s\r\n' "$1 $2 SIP/2.0" "Via: SIP/2.0/UDP $own:5060;rport;branch=z9hG4bK$RANDOM$RANDOM" "Max-Forwards: 70" \
    "From: $from" "To: $3" "Call-ID: $id@$own" "CSeq: $4 $1" "Contact: <sip:pod@$own>" ${5:+"$5"} "Content-Length: 0" "" |
    dd bs=65536 iflag=fullblock status=none >&3
}
receive() { timeout 10 dd bs=65536 count=1 <&3 2>/dev/null | tr -d '\r'; }
field() { sed -n "s/^$1: *//Ip" <<<"$reply"; }
final() {
  while :; do
    reply=$(receive) || { echo none; exit 1; }
    code=$(sed -n '1s/^SIP\/2.0 \([0-9]*\).*/\1/p' <<<"$reply")
    [ "${code:-0}" -lt 200 ] || return 0
  done
}
uri="sip:$number@$router:$port"
send INVITE "$uri" "<$uri>" 1
final
answer="$code $(field Server | head -1)"
to=$(field To)
if [ "$code" -lt 300 ]; then
  target=$(field Contact | sed 's/.*<\(.*\)>.*/\1/')
  route=$(field Record-Route | tac | paste -sd,)
  send ACK "$target" "$to" 1 "${route:+Route: $route}"
  send BYE "$target" "$to" 2 "${route:+Route: $route}"
  final
  [ "$code" = 200 ] || answer="$answer, BYE $code"
else
  send ACK "$uri" "$to" 1
fi
echo "$answer"
