/** What an IP address is good for. */
import { isIP } from "node:net";

/** One spelling per address: IPv6 in the short lower-case form of RFC 5952. */
export const canonicalIp = (ip: string): string =>
  isIP(ip) === 6 ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip;

/** No name, and of one host: neither "any", nor multicast, nor broadcast. */
export const isHostAddress = (ip: string): boolean =>
  isIP(ip) === 4
    ? !/^(0\.|255\.255\.255\.255$|2(2[4-9]|3[0-9])\.)/.test(ip)
    : isIP(ip) === 6 && !/^(::$|ff)/.test(canonicalIp(ip));

/** RFC 1918, RFC 6598, RFC 3927, RFC 1122 3.2.1.3; RFC 4193, RFC 4291 2.5.3 and 2.5.6. */
export const isPrivate = (ip: string): boolean =>
  isIP(ip) === 4
    ? /^(10|127)\.|^192\.168\.|^169\.254\.|^172\.(1[6-9]|2[0-9]|3[01])\.|^100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\./.test(
        ip,
      )
    : /^(::1$|f[cd]|fe[89ab])/.test(canonicalIp(ip));
