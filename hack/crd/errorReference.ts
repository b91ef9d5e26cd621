/** The reference page of error codes: closed by its type, as a code without an entry does not compile. */
import { errorTable, type ErrorCode } from "../../src/errors.ts";

/** What a reader does about it, beyond the remedy that each message names. */
const help: Readonly<Record<ErrorCode, string>> = {
  SIPR_USAGE: "Correct the command line as the message says; `--help` lists commands and options.",
  SIPR_RESOURCE_PARSE: "Correct the file at the line that is named. The other files of the folder count.",
  SIPR_STATE_LOCKED: "Stop the other instance (its process id is named), or give another `--state`.",
  SIPR_PORT_IN_USE:
    "Stop the process that is named, or use another port or address (`--addresses`, `--metrics-port`, `spec.listeners`).",
  SIPR_KAMAILIO_MISSING:
    "Install Kamailio (Debian: `kamailio` and `kamailio-tls-modules`), or name it with `--kamailio`.",
  SIPR_RPC_UNREACHABLE:
    "Is the pod running, and may the operator reach TCP 9060 of it (network policy, route to the pods' network)? It is tried again.",
  SIPR_RPC_FAULT:
    "The answer of Kamailio is in the message; look at the pod's log. It is tried again where that can help.",
  SIPR_RPC_MALFORMED:
    "The Kamailio is of a version that this one does not know (5.6 to 6.1), or something else has the port.",
  SIPR_RENDER_REFUSED: "Change the value that the message names: it cannot be written into Kamailio's files safely.",
  SIPR_CRD_MISSING: "Install the custom resource definitions of this version: `kubectl apply -f crds/`.",
  SIPR_FORBIDDEN: "Grant the verb on the resource that the message names; `config/rbac/` has all that is needed.",
  SIPR_NOT_OWNED: "Rename the SipRouter, or remove the object that is named if nobody needs it.",
  SIPR_LEADERSHIP_LOST: "Nothing, it starts again. If this is often: the API server is slow, or the network to it is.",
  SIPR_API:
    "The answer is in the message. It is tried again; if it stays, look at the API server and at the kubeconfig.",
};

export const errorsReference = (): string =>
  [
    "<!-- Generated from src/errors.ts by hack/generate.ts: change it there. -->",
    "",
    "# Error codes",
    "",
    "What a command prints as `error CODE: message`, with the remedy on the next line, and what the operator's log has in the field",
    "`code`. The table is closed: no other code occurs. What is wrong with a *resource* has no code: it is a",
    "[condition](conditions.md) of that resource.",
    "",
    "| Code | Meaning | What to do |",
    "|---|---|---|",
    ...Object.entries(errorTable).map(([code, meaning]) => `| \`${code}\` | ${meaning} | ${help[code as ErrorCode]} |`),
    "",
  ].join("\n");
