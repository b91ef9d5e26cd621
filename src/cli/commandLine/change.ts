/** Commands that change something: `reload`, `drain`, `undrain`. */
import { examples, output, seconds, type Kit } from "./kit.ts";

export function addChangeCommands({ connected, run }: Kit): void {
  const reload = connected("reload", "have every pod read back and put right; ends when all run the current revision")
    .argument("[router]")
    .addOption(output())
    .option("--timeout <duration>", "longest wait", seconds, 120);
  examples(reload, "kubectl sip reload edge");
  run(reload, async (context, [router], options) =>
    (await import("../commands/reload.ts")).reload(context, router, options),
  );

  const target = "name of a backend, or pod/NAME";
  const drain = connected("drain", "no new calls to a backend or a pod; waits until its calls are over")
    .argument("<target>", target)
    .option("--no-wait", "do not wait for the calls")
    .option("--timeout <duration>", "longest wait", seconds, 3600);
  examples(drain, "kubectl sip drain freepbx-1", "kubectl sip drain pod/edge-7c9f-x2x8k --timeout 600");
  run(drain, async (context, [name = ""], options) =>
    (await import("../commands/drain.ts")).drain(context, name, options),
  );

  const undrain = connected("undrain", "a drained backend or pod, or a disabled backend, takes calls again").argument(
    "<target>",
    target,
  );
  examples(undrain, "kubectl sip undrain freepbx-1", "kubectl sip undrain pod/edge-7c9f-x2x8k");
  run(undrain, async (context, [name = ""]) => (await import("../commands/drain.ts")).undrain(context, name));
}
