/**
 * The closed table of errors that a person can meet outside a resource's status.
 * Every error has a code (stable, documented), a message that names the object, and a remedy.
 * What is wrong with a *resource* is never thrown: it is an {@link Issue} of `model/`.
 */

export const errorTable = {
  SIPR_USAGE: "The command line is wrong.",
  SIPR_RESOURCE_PARSE: "A resource file does not parse as YAML.",
  SIPR_STATE_LOCKED: "Another instance holds the state folder.",
  SIPR_PORT_IN_USE: "A listener's address and port are in use by another process.",
  SIPR_KAMAILIO_MISSING: "The kamailio program was not found.",
  SIPR_RPC_UNREACHABLE: "A Kamailio's control port did not answer.",
  SIPR_RPC_FAULT: "A Kamailio answered a control request with an error.",
  SIPR_RPC_MALFORMED: "A Kamailio's answer was not understood.",
  SIPR_RENDER_REFUSED: "A string cannot be written safely into a Kamailio file.",
  SIPR_CRD_MISSING: "The cluster lacks the custom resource definitions, or holds an older version.",
  SIPR_FORBIDDEN: "The API server refused a request: a permission is missing.",
  SIPR_NOT_OWNED: "An object of a name that the operator needs exists and belongs to somebody else.",
  SIPR_LEADERSHIP_LOST: "Another instance became the leader, or the lease could not be renewed.",
  SIPR_API: "The API server answered with an error.",
} as const;

export type ErrorCode = keyof typeof errorTable;

export class OperatorError extends Error {
  readonly code: ErrorCode;
  /** What the reader can do about it, one sentence. */
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options: { remedy: string; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "OperatorError";
    this.code = code;
    this.remedy = options.remedy;
  }
}
