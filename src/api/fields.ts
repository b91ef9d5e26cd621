/**
 * Scalar fields shared by both kinds. Every string that can reach a Kamailio file has an allow-list pattern and a
 * maximum length here (see docs: security, injection); the renderer checks again. The message of a pattern says what
 * is allowed; the parser puts the value before it.
 */
import { z } from "zod";
import { isIP } from "node:net";
import { nameText } from "./quote.ts";
import { withRules } from "./rules.ts";

/** RFC 1123 label: names of sets, routes, listeners, and of Kubernetes Services. */
export const name = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    "use lower-case letters, digits and dashes, first and last a letter or digit",
  );
/** RFC 1123 subdomain: names of Kubernetes objects such as Secrets and PbxBackends. */
export const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "use the name of a Kubernetes object: lower-case letters, digits, dashes and dots",
  );

/** An IPv4-mapped IPv6 address is refused: it is the same host as the IPv4 address, under another name. */
const isPlainIp = (text: string): boolean => isIP(text) !== 0 && !/^::ffff:[0-9.]+$/i.test(text) && !text.includes("%");

/** IPv4, IPv6 (without brackets) or DNS name. A last label of digits only is no DNS name (RFC 1123 2.1). */
export const host = withRules(
  z
    .string()
    .min(1)
    .max(253)
    .regex(
      /^([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/,
      "use an IPv4 address, an IPv6 address without brackets, or a DNS name",
    ),
  [
    {
      name: "host-is-address-or-name",
      cel: "isIP(self) || self.matches('^([-A-Za-z0-9]+[.])*[-0-9]*[A-Za-z][-A-Za-z0-9]*$')",
      message:
        "must be an IPv4 address, an IPv6 address without brackets, or a DNS name; correct it, for example 192.0.2.10 or pbx.example.com.",
      check: (text) =>
        isPlainIp(text) || /^([-A-Za-z0-9]+[.])*[-0-9]*[A-Za-z][-A-Za-z0-9]*$/.test(text) ? [] : [{ path: [] }],
    },
  ],
);
/** DNS name or IPv4 address of a SIP domain (the host part of a request URI, RFC 3261 19.1). */
export const domain = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "use a domain in lower case, such as example.com",
  );
/** UDP or TCP port. */
export const port = z.int().min(1).max(65535);
/** Transport of SIP messages (RFC 3261 18): UDP, TCP, or TLS over TCP. */
export const transport = z.enum(["UDP", "TCP", "TLS"]);

/** Two numbers of the same length: one alternative per length, as no regular expression can compare lengths. */
const ranges = Array.from({ length: 20 }, (_, index) => `[0-9]{${index + 1}}-[0-9]{${index + 1}}`).join("|");
/** One number ("1000") or an inclusive range of two numbers of the same length ("1000-1999"). */
export const extension = withRules(
  z
    .string()
    .min(1)
    .max(41)
    .regex(
      new RegExp(`^([0-9*#+]{1,20}|${ranges})$`),
      "use one number of at most 20 digits (also * # +), or a range of two numbers of the same length such as 1000-1999; for numbers of another length add a second range",
    ),
  [
    {
      // No CEL: over 10,000 routes any comparison of two parts of a string exceeds the API server's cost budget. A range
      // that descends is accepted there, and shown by the condition Accepted. Equal length is in the pattern.
      name: "range-ascends",
      message: "the range ends before it begins: write the lower number first.",
      check: (text) => {
        const [from = "", to] = text.split("-");
        return to !== undefined && from > to
          ? [{ path: [], message: `the range ends before it begins: write ${nameText(`${to}-${from}`)}.` }]
          : [];
      },
    },
  ],
);
/** Leading digits of a called number; a leading + is literal. */
export const prefix = z
  .string()
  .min(1)
  .max(20)
  .regex(/^\+?[0-9*#]{0,19}$/, "use at most 19 digits (also * and #); a + only as the first character, before them");

const octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
/** IPv4 or IPv6 network: "10.0.0.0/8", or one address. */
export const cidr = withRules(
  z
    .string()
    .min(2)
    .max(49)
    .regex(
      new RegExp(
        `^(${octet}(\\.${octet}){3}(/(3[0-2]|[12]?[0-9]))?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$`,
      ),
      "use an address or a network such as 192.0.2.10, 10.0.0.0/8 or 2001:db8::/32",
    ),
  [
    {
      name: "network-is-valid",
      cel: "isIP(self) || isCIDR(self)",
      message: "must be an address or a network, such as 192.0.2.10, 10.0.0.0/8 or 2001:db8::/32; correct it.",
      check: (text) => (isPlainIp(text.split("/")[0] ?? "") ? [] : [{ path: [] }]),
    },
  ],
);

export type Transport = z.infer<typeof transport>;
