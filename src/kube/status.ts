/** Writes the status subresource: server-side apply, so that a field that is left out goes away; only when it changed. */
import type { ObjectRef } from "../api/index.ts";
import { FIELD_MANAGER } from "../render/layout.ts";
import { APPLY } from "./apply.ts";
import type { Caches } from "./caches.ts";
import type { Connection } from "./connection.ts";
import { stableStringify } from "./drift.ts";
import { isStatus } from "./failure.ts";
import { apiVersionOf, kindInfo, pathOf } from "./kinds.ts";

const ATTEMPTS = 4;

/** An object that is gone needs no status. Throws ApiError after {@link ATTEMPTS} conflicts. */
export const writeStatus = async (
  connection: Connection,
  caches: Caches,
  ref: ObjectRef,
  status: object,
): Promise<void> => {
  const info = kindInfo(ref.kind);
  for (let attempt = 1; ; attempt += 1) {
    const live = caches.get(ref.kind, ref.namespace, ref.name);
    if (!live || stableStringify(live.status ?? {}) === stableStringify(status)) return;
    const { namespace, name, uid } = live.metadata;
    const body = { apiVersion: apiVersionOf(info), kind: ref.kind, metadata: { namespace, name, uid }, status };
    try {
      const write = connection.request("PATCH", pathOf(info, namespace, name, "status"), {
        query: { fieldManager: FIELD_MANAGER, force: true },
        body,
        contentType: APPLY,
      });
      return void (await caches.write(ref.kind, `${namespace}/${name}`, write));
    } catch (error) {
      if (isStatus(error, 404) && (error as { code?: string }).code !== "SIPR_CRD_MISSING") return;
      // another object of that name by now: its own visit follows
      if (isStatus(error, 409) && /uid/i.test(String(error))) return;
      if (!isStatus(error, 409) || attempt >= ATTEMPTS) throw error;
    }
  }
};
