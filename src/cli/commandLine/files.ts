/** Commands that need no fleet: `validate`, `render`, `completion`. */
import type { Command } from "commander";
import { renderCompletion, shells, type CommandShape } from "../completion.ts";
import { EXIT } from "../print/output.ts";
import { examples, type Kit } from "./kit.ts";

export function addFileCommands({ program, alone }: Kit): void {
  const files = "YAML files or folders; - for standard input";
  const below = "folders with what is below them";
  const validate = program
    .command("validate")
    .description("every issue of resource files; needs no cluster")
    .requiredOption("-f, --file <path...>", files)
    .option("-R, --recursive", below)
    .option("--strict", "what only a cluster has (Secrets, Services, DNS names) has to be there, too");
  examples(
    validate,
    "kubectl sip validate -f config/",
    "kubectl sip validate -R -f config/",
    "kustomize build . | kubectl sip validate -f -",
  );
  validate.action(async (options: { file: string[]; recursive?: boolean; strict?: boolean }) =>
    alone(async (io) => (await import("../../commands/validate.ts")).validate(options, io)),
  );

  program
    .command("render")
    .description("what would run (files and objects), or every issue; needs no cluster")
    .requiredOption("-f, --file <path...>", files)
    .option("-R, --recursive", below)
    .option("-o, --output <format>", "yaml or json", "yaml")
    .action(async (options: { file: string[]; recursive?: boolean; output: string }) =>
      alone(async (io) => (await import("../../commands/render.ts")).render(options, io)),
    );

  const completion = program
    .command("completion")
    .description("completion script for a shell")
    .argument("<shell>", shells.join(", "));
  examples(
    completion,
    "source <(kubectl-sip completion bash)",
    "kubectl-sip completion fish > ~/.config/fish/completions/kubectl-sip.fish",
    "kubectl-sip completion kubectl > ~/bin/kubectl_complete-sip; chmod +x ~/bin/kubectl_complete-sip",
  );
  completion.action(async (shell: string) =>
    alone(async (io) => (io.stdout(renderCompletion(shell, shapeOf(program)).trimEnd()), EXIT.ok)),
  );
}

export const shapeOf = (command: Command): CommandShape => ({
  name: command.name(),
  description: command.description(),
  options: command.options.flatMap(({ long, short, hidden }) =>
    hidden ? [] : [long, short].filter((one): one is string => typeof one === "string"),
  ),
  commands: command.commands.map((one) => shapeOf(one)),
});
