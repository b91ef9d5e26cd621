/** What there is to say about each kind as a whole: its names, subresources, printer columns and rules of the object. */
import type { z } from "zod";
import type { Rule } from "./rules.ts";
import { pbxBackendSpec, pbxBackendStatus } from "./pbxBackend.ts";
import { sipRouterSpec, sipRouterStatus } from "./sipRouter.ts";

export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description: string;
  /** 1: only with `-o wide` */
  readonly priority?: 1;
}

/** The part of an object that rules of the whole object may read. */
interface NamedObject {
  readonly metadata: { readonly name: string };
}

export interface Kind {
  readonly kind: "SipRouter" | "PbxBackend";
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly scale: boolean;
  readonly columns: readonly PrinterColumn[];
  readonly rules: readonly Rule<NamedObject>[];
}

const readyColumn: PrinterColumn = {
  name: "Ready",
  type: "string",
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  description: "Status of the condition Ready.",
};
const messageColumn: PrinterColumn = {
  name: "Message",
  type: "string",
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  description: "Message of the condition Ready.",
  priority: 1,
};
const ageColumn: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Age.",
};

/** The name becomes that of the Service (RFC 1035 label) and, with a suffix, of ConfigMaps and pods. */
const routerName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

export const sipRouterKind: Kind = {
  kind: "SipRouter",
  plural: "siprouters",
  singular: "siprouter",
  shortName: "sipr",
  description: "A fleet of identical Kamailios and its dialplan.",
  spec: sipRouterSpec,
  status: sipRouterStatus,
  scale: true,
  columns: [
    readyColumn,
    { name: "Replicas", type: "integer", jsonPath: ".status.replicas", description: "Kamailio pods." },
    {
      name: "Active",
      type: "string",
      jsonPath: ".status.active",
      description: "Active destinations and all destinations.",
    },
    { name: "Address", type: "string", jsonPath: ".status.addresses[0]", description: "Where SIP traffic goes." },
    ageColumn,
    {
      name: "Revision",
      type: "string",
      jsonPath: ".status.revision",
      description: "Revision of the data.",
      priority: 1,
    },
    messageColumn,
  ],
  rules: [
    {
      name: "router-name-is-short",
      cel: "self.metadata.name.size() <= 40",
      message:
        "the name of a SipRouter has at most 40 characters, as names of pods derive from it: create it with a shorter name.",
      check: ({ metadata }) => (metadata.name.length <= 40 ? [] : [{ path: ["metadata", "name"] }]),
    },
    {
      name: "router-name-fits-service",
      cel: "self.metadata.name.matches('^[a-z][-a-z0-9]*$')",
      message:
        "the name of a SipRouter is also that of its Service: create it with a name of lower-case letters, digits and dashes, a letter first.",
      check: ({ metadata }) => (routerName.test(metadata.name) ? [] : [{ path: ["metadata", "name"] }]),
    },
  ],
};

export const pbxBackendKind: Kind = {
  kind: "PbxBackend",
  plural: "pbxbackends",
  singular: "pbxbackend",
  shortName: "pbx",
  description: "One PBX, one trunk, or one group of identical PBX pods.",
  spec: pbxBackendSpec,
  status: pbxBackendStatus,
  scale: false,
  columns: [
    readyColumn,
    { name: "Address", type: "string", jsonPath: ".status.endpoints[0].address", description: "First SIP address." },
    { name: "Transport", type: "string", jsonPath: ".spec.transport", description: "Transport of SIP messages." },
    {
      name: "State",
      type: "string",
      jsonPath: ".status.routers[0].state",
      description: "Dispatcher state in the first router.",
    },
    ageColumn,
    messageColumn,
  ],
  rules: [],
};

export const kinds: readonly Kind[] = [sipRouterKind, pbxBackendKind];
