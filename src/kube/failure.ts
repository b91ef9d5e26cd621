/** What the API server refuses, as errors that name verb, resource and remedy. */
import { GROUP } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

/** An answer of the API server that is not a success, or no answer at all (`status` 0). */
export class ApiError extends OperatorError {
  /** HTTP status; 0 when there was no answer */
  readonly status: number;
  /** machine-readable reason of the Status object, e.g. "AlreadyExists" */
  readonly reason: string;
  /** seconds of a Retry-After header or of the Status' details */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      remedy: string;
      cause?: unknown;
      status: number;
      reason: string;
      retryAfterSeconds?: number | undefined;
    },
  ) {
    super(code, message, options);
    this.name = "ApiError";
    this.status = options.status;
    this.reason = options.reason;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export const isStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof ApiError && statuses.includes(error.status);

/** What a request asked for, in RBAC's words. */
export interface RequestInfo {
  readonly verb: string;
  /** "siprouters.siprouter.dev", "siprouters.siprouter.dev/status", "secrets"; a path that is no resource's: "/openapi/v3/…" */
  readonly resource: string;
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
}

const verbs: Record<string, string> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };

/** Reads the request's meaning from its method and path, as the API server does. */
export const parseRequest = (method: string, path: string, watch: boolean): RequestInfo => {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts[0] !== "api" && parts[0] !== "apis")
    return { verb: verbs[method] ?? "get", resource: path, group: "", namespace: "", name: "" };
  const group = parts[0] === "apis" ? (parts[1] ?? "") : "";
  const rest = parts.slice(parts[0] === "apis" ? 3 : 2);
  const namespaced = rest[0] === "namespaces" && rest.length > 2;
  const [plural = "", name = "", subresource = ""] = namespaced ? rest.slice(2) : rest;
  const get = watch ? "watch" : name ? "get" : "list";
  const base = group ? `${plural}.${group}` : plural;
  return {
    verb: verbs[method] ?? get,
    resource: subresource ? `${base}/${subresource}` : base,
    group,
    namespace: namespaced ? decodeURIComponent(rest[1] ?? "") : "",
    name: decodeURIComponent(name),
  };
};

const what = (request: RequestInfo): string => {
  const where = request.namespace ? `in namespace ${request.namespace}` : "in all namespaces";
  return `${request.verb} ${request.resource}${request.name ? ` ${request.name}` : ""} ${where}`;
};

interface StatusBody {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
}

/** @param retryAfter value of the Retry-After header, seconds */
export const apiError = (request: RequestInfo, status: number, body: unknown, retryAfter?: string): ApiError => {
  const answer: StatusBody = typeof body === "object" && body !== null ? body : {};
  const message = answer.message ?? (typeof body === "string" && body !== "" ? body.slice(0, 300) : `HTTP ${status}`);
  const header = Number(retryAfter);
  const common = {
    status,
    reason: answer.reason ?? "",
    retryAfterSeconds: answer.details?.retryAfterSeconds ?? (header > 0 ? header : undefined),
  };
  if (status === 403 && answer.reason !== "AlreadyExists") {
    return new ApiError("SIPR_FORBIDDEN", `Not allowed to ${what(request)}: ${message}`, {
      ...common,
      remedy: `Grant the operator's account the verb "${request.verb}" on "${request.resource}" ${
        request.namespace
          ? `with a Role in namespace ${request.namespace}`
          : "with a ClusterRole (or name the namespaces to watch with --namespace)"
      }; config/rbac has the full set of permissions.`,
    });
  }
  if (
    status === 404 &&
    request.group === GROUP &&
    (request.name === "" || /could not find the requested/.test(message))
  ) {
    return new ApiError("SIPR_CRD_MISSING", `The API server does not serve ${request.resource} (${what(request)})`, {
      ...common,
      remedy: "Install the custom resource definitions of this version: kubectl apply -f crds/",
    });
  }
  return new ApiError("SIPR_API", `Could not ${what(request)}: ${message}`, {
    ...common,
    remedy:
      status === 401
        ? "The credentials were not accepted: check the kubeconfig or the service account token."
        : "The request is repeated; if this stays, look at the API server's log and at the object named.",
  });
};

export const unreachable = (request: RequestInfo, server: string, cause: unknown): ApiError =>
  new ApiError("SIPR_API", `No answer from the API server ${server} (${what(request)}): ${String(cause)}`, {
    cause,
    status: 0,
    reason: "Unreachable",
    remedy: "Check that the API server runs and that the kubeconfig names its address; the request is repeated.",
  });
