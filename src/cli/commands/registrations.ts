/** `registrations`: gather, print, exit code. */
import type { SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { readRegistrations } from "../../kamailio/registrations.ts";
import { askAll, type OutputOptions } from "../print/output.ts";
import { registrationsJson, renderNone, renderRegistrations } from "../views/registrations.ts";
import { registeredNames } from "../views/tenants.ts";
import { showRouters, type Context, type WatchOptions } from "./context.ts";
import { controlOf, NO_ADDRESS } from "./verify.ts";

export interface RegistrationsOptions extends OutputOptions, WatchOptions {
  /** beginning of the users' names */
  readonly aor?: string;
  /** one user exactly: the pods are asked for nobody else */
  readonly user?: string;
  readonly perPod?: boolean;
  readonly limit: number;
  readonly offset: number;
}

export async function registrations(
  context: Context,
  router: string | undefined,
  options: RegistrationsOptions,
): Promise<number> {
  const { fleet } = context;
  if (options.user !== undefined && (!/^[\x20-\x7E]+$/.test(options.user) || /["\\]/.test(options.user)))
    throw new OperatorError("SIPR_USAGE", `${JSON.stringify(options.user)} is no user of a phone.`, {
      remedy: "Use printable ASCII without quotes and backslashes.",
    });
  const backends = await fleet.backends();
  const keeps = ({ spec, metadata }: SipRouter): boolean =>
    spec.registration?.mode === "Registrar" ||
    backends.some((one) => one.metadata.namespace === metadata.namespace && "registration" in one.spec);
  return showRouters(context, router, options, async (one) => {
    if (!keeps(one))
      return {
        data: { namespace: one.metadata.namespace, router: one.metadata.name, total: 0, registrations: [] },
        lines: () => renderNone(one),
        answers: undefined,
      };
    const wanted = options.user === undefined ? { prefix: options.aor } : { users: registeredNames(one, options.user) };
    const answers = await askAll(await fleet.pods(one), (pod) =>
      readRegistrations(controlOf(fleet, pod), NO_ADDRESS, wanted),
    );
    const { aor, limit, offset, perPod = false } = options;
    const data = { router: one, answers, prefix: aor, limit, offset, perPod };
    return { data: registrationsJson(data), lines: (style) => renderRegistrations(data, style), answers };
  });
}
