/**
 * Scalar fields shared by both kinds. Every string that can reach a Kamailio file has an allow-list pattern and a
 * maximum length here (see docs: security, injection); the renderer checks again.
 */
import { z } from "zod";

/** RFC 1123 label: names of sets, routes, listeners, and of Kubernetes Services. */
export const name = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
/** RFC 1123 subdomain: names of Kubernetes objects such as Secrets and PbxBackends. */
export const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
/** IPv4, IPv6 (without brackets) or DNS name. */
export const host = z
  .string()
  .min(1)
  .max(253)
  .regex(/^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/);
/** DNS name or IP of a SIP domain (the host part of a request URI, RFC 3261 19.1). */
export const domain = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
export const port = z.int().min(1).max(65535);
export const transport = z.enum(["UDP", "TCP", "TLS"]);
/** One number ("1000") or an inclusive range of two numbers of the same length ("1000-1999"). */
export const extension = z
  .string()
  .min(1)
  .max(41)
  .regex(/^([0-9*#+]{1,20}|[0-9]{1,20}-[0-9]{1,20})$/);
/** Leading digits of a called number; a leading + is literal. */
export const prefix = z
  .string()
  .min(1)
  .max(20)
  .regex(/^\+?[0-9*#]{0,19}$/);
/** IPv4 or IPv6 network: "10.0.0.0/8", or one address. */
export const cidr = z
  .string()
  .min(2)
  .max(49)
  .regex(/^([0-9]{1,3}(\.[0-9]{1,3}){3}(\/[0-9]{1,2})?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(\/[0-9]{1,3})?)$/);

export type Transport = z.infer<typeof transport>;
