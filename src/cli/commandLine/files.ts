/** Commands that need no fleet: `validate`, `render`, `completion`. */
import { Argument, Option, type Command } from "commander";
import { renderCompletion, shells, type CommandShape, type OptionShape } from "../completion.ts";
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
    .addOption(new Option("-o, --output <format>", "how it is printed").choices(["yaml", "json"]).default("yaml"))
    .action(async (options: { file: string[]; recursive?: boolean; output: string }) =>
      alone(async (io) => (await import("../../commands/render.ts")).render(options, io)),
    );

  const completion = program
    .command("completion")
    .description("completion script for a shell")
    .addArgument(new Argument("<shell>", "whose script it is").choices(shells));
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
  aliases: command.aliases(),
  description: command.description(),
  options: command.options.filter(({ hidden }) => !hidden).map((option) => optionShapeOf(option)),
  values: command.registeredArguments[0]?.argChoices ?? [],
  commands: command.commands.map((one) => shapeOf(one)),
});

/** Its placeholder says what a value is. */
function optionShapeOf({ flags, long, short, argChoices = [], required, optional }: Option): OptionShape {
  const names = [long, short].filter((one): one is string => typeof one === "string");
  if (!required && !optional) return { names, values: [] };
  const takes = /<(file|path)\b/.test(flags) ? "file" : /<dir\b/.test(flags) ? "folder" : "text";
  return { names, takes, values: argChoices };
}
