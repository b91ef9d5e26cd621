/**
 * A PBX in a pod: Asterisk, with phones that register by digest, or that the router vouches for.
 *
 *   EXTENSION  rings the phone that is registered as such
 *   1900 echo, 1901 music, 1902 rings for a minute, 1910 busy (486), 1911 not available (503)
 */
import { imageOf } from "./environment.ts";
import type { Kubectl } from "./kubectl.ts";

export interface PbxOptions {
  readonly name: string;
  readonly extensions: readonly string[];
  /** false: no password is asked, the router has asked for it */
  readonly authenticates?: boolean;
  /** phones are called at this fixed host instead of where they registered */
  readonly fixedContact?: string;
  readonly replicas?: number;
}

export const secretOf = (extension: string): string => `secret-${extension}`;

const lines = (...text: readonly string[]): string => `${text.join("\n")}\n`;
const pjsip = lines(
  "[global]",
  "type = global",
  "#exec \"sh -c 'echo user_agent = $WHO'\"",
  // requests come from the router: phones are known by their From, everyone else is anonymous
  "endpoint_identifier_order = username,anonymous",
  ...["udp", "tcp"].flatMap((protocol) => [
    `[${protocol}]`,
    "type = transport",
    `protocol = ${protocol}`,
    "bind = 0.0.0.0:5060",
  ]),
  "[anonymous]",
  "type = endpoint",
  "context = calls",
  "disallow = all",
  "allow = ulaw,alaw",
  "direct_media = no",
);
const wizard = ({ extensions, authenticates = true, fixedContact }: PbxOptions): string =>
  lines(
    "[phone](!)",
    "type = wizard",
    "transport = udp",
    "endpoint/context = calls",
    "endpoint/disallow = all",
    "endpoint/allow = ulaw,alaw",
    "endpoint/direct_media = no",
    "endpoint/rewrite_contact = no",
    "endpoint/rtp_symmetric = yes",
    "aor/support_path = yes",
    "aor/qualify_frequency = 10",
    "aor/qualify_timeout = 2",
    "aor/minimum_expiration = 10",
    "aor/default_expiration = 120",
    ...(fixedContact === undefined
      ? ["accepts_registrations = yes", "aor/max_contacts = 3", "aor/remove_existing = yes"]
      : []),
    ...(authenticates ? ["accepts_auth = yes", "inbound_auth/realm = pbx.example"] : []),
    ...extensions.flatMap((extension) => [
      `[${extension}](phone)`,
      ...(fixedContact === undefined ? [] : [`aor/contact = sip:${extension}@${fixedContact}`]),
      ...(authenticates
        ? [`inbound_auth/username = ${extension}`, `inbound_auth/password = ${secretOf(extension)}`]
        : []),
    ]),
  );
const dialplan = lines(
  "[calls]",
  ...Object.entries({
    1900: ["Answer()", "Echo()"],
    1901: ["Answer()", "MusicOnHold()"],
    1902: ["Ringing()", "Wait(60)"],
    1910: ["Hangup(17)"],
    1911: ["Hangup(42)"],
  }).flatMap(([number, [first, ...rest]]) => [
    `exten => ${number},1,${first}`,
    ...rest.map((step) => ` same => n,${step}`),
  ]),
  "exten => _X.,1,Dial(PJSIP/${EXTEN},60)",
  " same => n,Hangup(${HANGUPCAUSE})",
);
const files = (options: PbxOptions): Record<string, string> => ({
  "asterisk.conf": lines("[options]", "execincludes = yes", "transmit_silence = yes"),
  "modules.conf": lines(
    "[modules]",
    "autoload = yes",
    ...["chan_iax2", "chan_unistim", "chan_mgcp", "chan_skinny", "res_hep", "res_xmpp", "cel_radius", "cdr_radius"].map(
      (module) => `noload = ${module}.so`,
    ),
  ),
  "logger.conf": lines("[logfiles]", "console = notice,warning,error,verbose"),
  // every SIP message to the log
  "cli.conf": lines("[startup_commands]", "pjsip set logger on = yes"),
  "rtp.conf": lines("[general]", "rtpstart = 10000", "rtpend = 10999", "icesupport = no"),
  "musiconhold.conf": lines("[default]", "mode = files", "directory = /usr/share/asterisk/moh"),
  "pjsip.conf": pjsip,
  "pjsip_wizard.conf": wizard(options),
  "extensions.conf": dialplan,
});

/** The PBX as a Deployment and a headless Service of the same name. It calls itself by its pod's name in SIP. */
export const pbxObjects = (options: PbxOptions): object[] => {
  const { name, replicas = 1 } = options;
  const labels = { pbx: name };
  const probe = ["sh", "-c", "asterisk -rx 'pjsip show transports' | grep -q udp"];
  const asterisk = {
    name: "asterisk",
    image: imageOf("asterisk"),
    imagePullPolicy: "IfNotPresent",
    command: ["asterisk", "-f", "-n"],
    env: [{ name: "WHO", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    readinessProbe: { exec: { command: probe }, periodSeconds: 1, timeoutSeconds: 3 },
    volumeMounts: [{ name: "files", mountPath: "/etc/asterisk", readOnly: true }],
  };
  return [
    { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: files(options) },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 2,
            containers: [asterisk],
            volumes: [{ name: "files", secret: { secretName: name } }],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name },
      spec: { clusterIP: "None", selector: labels, ports: [{ name: "sip", port: 5060, protocol: "UDP" }] },
    },
  ];
};

/** A command of Asterisk's console; its output. */
export const consoleOf = (kube: Kubectl, name: string, command: string): Promise<string> =>
  kube.exec(`deploy/${name}`, ["asterisk", "-rx", command]);

/** Packets that Asterisk received and sent, for each leg of the calls that run now. */
export const mediaOf = async (kube: Kubectl, name: string): Promise<{ received: number; sent: number }[]> =>
  (await consoleOf(kube, name, "pjsip show channelstats"))
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => /^\d{2}:\d{2}:\d{2}$/.test(fields[2] ?? ""))
    .map((fields) => ({ received: Number(fields[4]), sent: Number(fields[8]) }));

/** Extensions with a contact. */
export const contactsOf = async (kube: Kubectl, name: string): Promise<string[]> =>
  [...(await consoleOf(kube, name, "pjsip show contacts")).matchAll(/Contact:\s+(\d+)\/sip/g)].map(
    ([, extension]) => extension ?? "",
  );

/** Whether Asterisk receives and sends on every leg, within the second after which it is asked again. */
export const soundFlows = async (kube: Kubectl, name: string): Promise<boolean> => {
  const before = await mediaOf(kube, name);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const after = await mediaOf(kube, name);
  return (
    before.length > 0 &&
    before.length === after.length &&
    after.every(({ received, sent }, leg) => received > (before[leg]?.received ?? 0) && sent > (before[leg]?.sent ?? 0))
  );
};
