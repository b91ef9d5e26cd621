/** Commands that look at whole routers: `status`, `dump`, `stats`, `top`, `registrations`, `route explain`, `ping`, `diagnose`, `ui`. */
import type { OutputOptions } from "../print/output.ts";
import { address, examples, output, watch, whole, type Kit } from "./kit.ts";

export function addFleetCommands(kit: Kit): void {
  addStates(kit);
  addCounts(kit);
  addRegistrations(kit);
  addQuestions(kit);
}

function addStates({ connected, run }: Kit): void {
  const status = watch(
    connected("status", "routers, sets, backends and pods as a tree; what is wrong comes first")
      .argument("[router]")
      .addOption(output()),
  ).option("--check", "exit code 1 when something is wrong");
  examples(status, "kubectl sip status", "kubectl sip status edge --watch", "kubectl sip status -A --check");
  run(status, async (context, [router], options) =>
    (await import("../commands/view.ts")).status(context, router, options),
  );

  const dump = connected("dump", "destinations as every pod has them, merged; disagreements are marked")
    .argument("[router]")
    .addOption(output())
    .option("--set <name>", "only this dispatcher set")
    .option("--per-pod", "one line per pod and destination");
  examples(
    dump,
    "kubectl sip dump edge",
    "kubectl sip dump edge --set trunks --per-pod",
    "kubectl sip dump edge -o json",
  );
  run(dump, async (context, [router], options) => (await import("../commands/view.ts")).dump(context, router, options));
}

function addCounts({ connected, run }: Kit): void {
  const stats = watch(
    connected("stats", "calls, calls per second, replies by class, memory: each pod and the sum")
      .argument("[router]")
      .addOption(output()),
  ).option("--no-rate", "at once, without calls per second (they take two readings)");
  examples(
    stats,
    "kubectl sip stats edge",
    "kubectl sip stats edge --watch --interval 5",
    "kubectl sip stats edge --no-rate -o json",
  );
  run(stats, async (context, [router], options) =>
    (await import("../commands/view.ts")).stats(context, router, options),
  );

  const top = watch(
    connected("top", "backends, routes, callers and called numbers with the most calls")
      .argument("[router]")
      .addOption(output()),
  ).option("--limit <number>", "lines of each list", whole(1, 1000), 10);
  run(top, async (context, [router], options) =>
    (await import("../commands/calls.ts")).topCalls(context, router, options),
  );
}

function addRegistrations({ connected, run }: Kit): void {
  const registrations = watch(
    connected("registrations", "who is registered, where, until when")
      .alias("ul")
      .argument("[router]")
      .addOption(output()),
  )
    .option("--aor <prefix>", "only users whose name begins with this")
    .option("--user <name>", "only this user, with or without a domain: the quickest where there are many")
    .option("--per-pod", "one line per pod and contact")
    .option("--limit <number>", "contacts shown", whole(1, 100_000), 50)
    .option("--offset <number>", "contacts left out first", whole(0, 10_000_000), 0);
  examples(
    registrations,
    "kubectl sip registrations edge",
    "kubectl sip registrations edge --aor 12 --limit 500",
    "kubectl sip ul --user 1001 --per-pod",
    "kubectl sip ul --user 1001@a.example.com",
  );
  run(registrations, async (context, [router], options) =>
    (await import("../commands/registrations.ts")).registrations(context, router, options),
  );
}

function addQuestions({ program, connected, run }: Kit): void {
  const route = program
    .command("route")
    .description("the dialplan; route explain NUMBER says which route takes a call, and why");
  const explain = connected("explain", "what happens to a call to a number, and what the running pods say", route)
    .argument("<number>", "called number")
    .argument("[router]")
    .addOption(output())
    .option("--from <user>", "user of the caller's address, with or without its domain")
    .option("--domain <name>", "host part of the called address")
    .option("--source <ip>", "address of the caller", address);
  examples(
    explain,
    "kubectl sip route explain 1234",
    "kubectl sip route explain +442071234567 edge --from ann --source 192.0.2.7",
    "kubectl sip route explain 1234 --domain b.example.com",
  );
  run(
    explain,
    async (
      context,
      [number = "", router],
      options: OutputOptions & { from?: string; domain?: string; source?: string },
    ) => {
      const { from, domain, source } = options;
      const { routeExplain } = await import("../commands/routes.ts");
      return routeExplain(context, router, { number, from, domain, source }, options);
    },
  );

  const ping = connected("ping", "OPTIONS to each destination from each pod, now")
    .argument("[backend]")
    .addOption(output())
    .option("--router <name>", "only from this router");
  examples(ping, "kubectl sip ping", "kubectl sip ping freepbx-1 --router edge");
  run(ping, async (context, [backend], options) =>
    (await import("../commands/routes.ts")).ping(context, backend, options),
  );

  const diagnose = connected("diagnose", "one archive for a bug report, without secrets; lists what it holds")
    .argument("[router]")
    .option("--to <file>", "write it here (.tar.gz); without it, only the list");
  examples(diagnose, "kubectl sip diagnose edge", "kubectl sip diagnose edge --to edge.tar.gz");
  run(diagnose, async (context, [router], options) =>
    (await import("../commands/diagnose.ts")).diagnose(context, router, options),
  );

  const ui = connected("ui", "the routing map as a page, live, for a browser on this machine; read only")
    .argument("[router]")
    .option("--port <number>", "of 127.0.0.1 (default: any that is free)", whole(1, 65_535), 0);
  examples(ui, "kubectl sip ui", "kubectl sip ui edge --port 8090");
  run(ui, async (context, [router], options) => (await import("../commands/ui.ts")).ui(context, router, options));
}
