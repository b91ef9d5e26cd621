/** Commands about calls: `calls`, `end`. */
import { examples, output, watch, whole, type Kit } from "./kit.ts";

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
  run(end, async (context, [id = ""]) => (await import("../commands/calls.ts")).endCall(context, id));
}
