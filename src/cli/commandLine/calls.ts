/** Commands about calls: `calls`, `end`, `capture`. */
import { CAPTURE } from "../../render/layout.ts";
import { examples, output, watch, whole, wholeSeconds, type Kit } from "./kit.ts";

export function addCallCommands({ connected, run }: Kit): void {
  const calls = watch(
    connected("calls", "live calls, the oldest first").alias("online").argument("[router]").addOption(output()),
  )
    .option("--from <text>", "only callers whose address contains this")
    .option("--to <text>", "only called addresses that contain this")
    .option("--call-id <text>", "only Call-IDs that contain this")
    .option("--limit <number>", "calls shown", whole(1, 10_000), 50)
    .option("--offset <number>", "calls left out first", whole(0, 10_000_000), 0)
    .option("-f, --follow", "a line whenever a call begins, is answered or ends, until interrupted");
  examples(
    calls,
    "kubectl sip calls edge",
    "kubectl sip calls --from 1234 -o wide",
    "kubectl sip calls --offset 50",
    "kubectl sip calls edge --follow --to 1234",
    "kubectl sip end 61:3523@edge-7c9f-x2x8k",
  );
  run(calls, async (context, [router], options) =>
    (await import("../commands/calls.ts")).listCalls(context, router, options),
  );

  const end = connected("end", "end one call: BYE to both sides").argument("<id>", "from the column ID of calls");
  // the ID says which namespace
  end.hook("preAction", (command) => {
    const [, namespace] = /@([^/]+)\/[^/]+$/.exec(command.args[0] ?? "") ?? [];
    if (namespace !== undefined && command.opts()["allNamespaces"] !== true)
      command.setOptionValue("namespace", namespace);
  });
  run(end, async (context, [id = ""]) => (await import("../commands/calls.ts")).endCall(context, id));

  const capture = connected("capture", "one call's SIP messages on every pod, as a ladder; credentials and keys masked")
    .argument("[router]")
    .addOption(output())
    .option("--call-id <id>", "the call with this Call-ID")
    .option("--number <user>", "calls from or to this number that begin from now on")
    .option("--for <duration>", "longest time; it ends when the call is over", wholeSeconds(1, CAPTURE.maxSeconds), 60);
  examples(
    capture,
    "kubectl sip capture edge --number 1234",
    "kubectl sip capture --call-id 3c2671b@192.0.2.7 --for 600",
    "kubectl sip capture edge --number ann -o wide",
  );
  run(capture, async (context, [router], options) =>
    (await import("../commands/capture.ts")).capture(context, router, options),
  );
}
