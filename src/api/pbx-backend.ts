/** PbxBackend: one PBX, or one group of identical PBX pods. */
import { z } from "zod";
import { host, name, objectName, port, transport } from "./fields.ts";
import { conditions } from "./conditions.ts";

export const adminState = z.enum(["Enabled", "Draining", "Disabled"]);
export type AdminState = z.infer<typeof adminState>;

export const pbxBackendSpec = z.strictObject({
  address: host.optional(),
  port: port.optional(),
  transport: transport.default("UDP"),
  service: z.strictObject({ name, port: z.union([name, port]).optional() }).optional(),
  registration: z.strictObject({ username: z.string().min(1).max(64).regex(/^[A-Za-z0-9._~-]+$/), secretName: objectName }).optional(),
  adminState: adminState.default("Enabled"),
  maxCalls: z.int().min(1).max(100_000).optional(),
  credentialsSecretName: objectName.optional(),
  management: z.strictObject({ ami: z.strictObject({ port: port.default(5038), secretName: objectName }) }).optional(),
});
export type PbxBackendSpec = z.infer<typeof pbxBackendSpec>;

/** The dispatcher state of a backend as the pods of one router report it. */
export const backendState = z.enum(["Active", "Inactive", "Probing", "Disabled", "Mixed", "Unknown"]);
export type BackendState = z.infer<typeof backendState>;

export const pbxBackendStatus = z.object({
  observedGeneration: z.int().default(-1),
  conditions,
  endpoints: z.array(z.object({ address: z.string(), port: z.int(), transport, ready: z.boolean() })).optional(),
  routers: z
    .array(
      z.object({
        name: z.string(),
        state: backendState,
        activePods: z.int(),
        totalPods: z.int(),
        lastTransitionTime: z.string(),
      }),
    )
    .optional(),
});
export type PbxBackendStatus = z.infer<typeof pbxBackendStatus>;
