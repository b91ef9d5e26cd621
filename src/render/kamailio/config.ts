/**
 * render/kamailio: `kamailio.cfg` and the files it reads. One file for each feature, with its routes; what a router does
 * not use is not in its text. This is the whole `kamailio.cfg`, from structure only.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { renderBalance } from "./balance.ts";
import { renderCapture } from "./capture.ts";
import { renderControl } from "./control.ts";
import { renderDialplan } from "./dialplan.ts";
import { renderLateReplies } from "./lateReplies.ts";
import { renderLocalRequests } from "./localRequests.ts";
import { renderMedia } from "./media.ts";
import { renderModules } from "./modules.ts";
import { renderNextHop } from "./nextHop.ts";
import { renderListenerCheck, renderParameters } from "./parameters.ts";
import { renderRecordedRoute } from "./recordedRoute.ts";
import { renderRegistration } from "./registration.ts";
import { renderRequests } from "./requests.ts";
import { renderSecurity } from "./security.ts";
import { renderTlsModule } from "./tls.ts";
import { renderTopology } from "./topology.ts";
import { renderTrunks } from "./trunks.ts";

/** @throws OperatorError SIPR_RENDER_REFUSED */
export const renderConfig = (structure: StructurePlan): string =>
  [
    ...renderParameters(structure),
    ...renderTlsModule(structure),
    ...renderModules(structure),
    ...renderSecurity(structure),
    ...renderTrunks(structure),
    ...renderTopology(structure),
    ...renderCapture(structure),
    ...renderBalance(structure),
    ...renderMedia(structure),
    ...renderRequests(structure),
    ...renderLocalRequests(structure),
    ...renderLateReplies(structure),
    ...renderRecordedRoute(structure),
    ...renderNextHop(structure),
    ...renderDialplan(structure),
    ...renderRegistration(structure),
    ...renderControl(structure),
    ...renderListenerCheck(structure),
  ].join("\n");
