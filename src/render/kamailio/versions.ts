/**
 * What differs between the Kamailio versions that are supported (5.6, 5.8, 6.0, 6.1). The version of an image is not
 * known when the file is written, so a difference is a preprocessor condition: every Kamailio defines KAMAILIO_X,
 * KAMAILIO_X_Y and KAMAILIO_X_Y_Z of its own version. (`#!ifexp` would compare, but 5.6 lacks it and reads on.)
 */
export const capabilities = {
  /** dispatcher `ds_retain_latency_stats`: latency survives `dispatcher.reload` */
  retainLatency: { lacking: ["KAMAILIO_5_6"] },
  /** rtpengine `ping_interval`: instances are pinged by a timer, and only by it; 5.x asks one that was down again when a call comes */
  mediaPings: { lacking: ["KAMAILIO_5_6", "KAMAILIO_5_7", "KAMAILIO_5_8"] },
  /** core `msg_recv_max_size`: what is no smaller is dropped; 5.6 and 5.7 take all that UDP carries */
  receivedSize: { lacking: ["KAMAILIO_5_6", "KAMAILIO_5_7"] },
} as const;

export type Capability = keyof typeof capabilities;

/** The lines, seen only by versions that have the capability. */
export const whereAvailable = (capability: Capability, lines: readonly string[]): readonly string[] =>
  capabilities[capability].lacking.reduceRight<readonly string[]>(
    (inner, version) => [`#!ifndef ${version}`, ...inner, "#!endif"],
    lines,
  );
