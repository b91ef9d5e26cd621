/** `authentication`: who may call and register, with the router itself asking. */
import { z } from "zod";
import { domain, objectName } from "./fields.ts";
import { mapList, withRules } from "./rules.ts";

/** More tenants than one address has; each Secret is watched by its name. */
const MAX_DOMAINS = 256;

/** Kamailio registers a user with his domain as one name of at most 256 bytes: module registrar, MAX_AOR_LEN. A user has 64. */
const MAX_DOMAIN = 191;

const ownDomain = withRules(domain.max(MAX_DOMAIN), [
  {
    name: "authentication-domain-exists",
    cel: "!self.matches('(^|[.])invalid$')",
    message: "domains that end in invalid are nobody's (RFC 2606 2), and the router uses them: use the tenant's own.",
    check: (text) => (/(^|\.)invalid$/.test(text) ? [{ path: [] }] : []),
  },
]);

const domains = mapList(
  z.strictObject({
    domain: ownDomain.describe(
      "Domain of the tenant, as its phones have it in From and To, in lower case. It is the realm of the challenge, too.",
    ),
    credentialsSecretName: objectName.describe(
      "Secret with one key per user of this domain: the password, or `ha1:` and the hash of user, domain and password.",
    ),
  }),
  "domain",
  { min: 1, max: MAX_DOMAINS, rule: "authentication-domains-are-unique" },
);

export const digestAuthentication = withRules(
  z.strictObject({
    mode: z.enum(["Digest"]).describe("Digest authentication (RFC 3261 22)."),
    realm: domain.optional().describe("Realm of the challenge. Required with credentialsSecretName."),
    credentialsSecretName: objectName
      .optional()
      .describe(
        "Secret with one key per user: the password, or `ha1:` and the hash of user, realm and password. One of credentialsSecretName and domains must be given.",
      ),
    domains: domains
      .optional()
      .describe(
        "Tenants, each with users of its own: 1001 of one domain and 1001 of another are two users. Instead of realm and credentialsSecretName.",
      ),
  }),
  [
    {
      name: "authentication-has-one-source",
      cel: "has(self.credentialsSecretName) != has(self.domains)",
      message:
        "exactly one of credentialsSecretName and domains must be given: name the Secret of the users, or one for each domain.",
      check: ({ credentialsSecretName, domains: tenants }) =>
        (credentialsSecretName === undefined) === (tenants === undefined) ? [{ path: [] }] : [],
    },
    {
      name: "realm-belongs-to-one-secret",
      cel: "!has(self.domains) || has(self.credentialsSecretName) || !has(self.realm)",
      fieldPath: ".realm",
      message: "with domains, each domain is its own realm: remove realm.",
      check: ({ realm, credentialsSecretName, domains: tenants }) =>
        tenants !== undefined && credentialsSecretName === undefined && realm !== undefined
          ? [{ path: ["realm"] }]
          : [],
    },
    {
      name: "secret-needs-realm",
      cel: "!has(self.credentialsSecretName) || has(self.domains) || has(self.realm)",
      fieldPath: ".realm",
      message: "credentialsSecretName needs a realm, which phones are asked in: add it, such as example.com.",
      check: ({ realm, credentialsSecretName, domains: tenants }) =>
        credentialsSecretName !== undefined && tenants === undefined && realm === undefined
          ? [{ path: ["realm"] }]
          : [],
    },
  ],
);
