/** Completion scripts, from the program's own table of commands: what `--help` shows is what is completed. Pure. */
import { OperatorError } from "../errors.ts";

/** What of a command is completed. */
export interface CommandShape {
  readonly name: string;
  readonly description: string;
  readonly options: readonly string[];
  readonly commands: readonly CommandShape[];
}

/** `kubectl`: the program by which kubectl completes `kubectl sip`, to be put on the PATH as kubectl_complete-sip. */
export const shells = ["bash", "zsh", "fish", "kubectl"] as const;

interface Entry {
  readonly path: readonly string[];
  readonly shape: CommandShape;
}

const entries = (shape: CommandShape, path: readonly string[] = []): Entry[] => [
  { path, shape },
  ...shape.commands.flatMap((one) => entries(one, [...path, one.name])),
];
const wordsOf = ({ shape }: Entry): string => [...shape.commands.map(({ name }) => name), ...shape.options].join(" ");
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** All names of commands, as a pattern of the shell. */
const namesOf = (all: readonly Entry[]): string => [...new Set(all.flatMap(({ path }) => path.slice(-1)))].join("|");

const matches = (entry: Entry): string => (entry.path.length === 0 ? '""' : `"${entry.path.join(" ")}"`);

/** Both `kubectl-sip` and kubectl's own `kubectl_complete-sip` protocol: one candidate a line for the words so far. */
const bash = (
  all: readonly Entry[],
): string => `# bash completion for kubectl-sip: source <(kubectl-sip completion bash)
_kubectl_sip() {
  local current="\${COMP_WORDS[COMP_CWORD]}" spot="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      ${namesOf(all)}) spot="\${spot:+$spot }$word" ;;
    esac
  done
  local words=""
  case "$spot" in
${all.map((entry) => `    ${matches(entry)}) words="${wordsOf(entry)}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _kubectl_sip kubectl-sip
`;

const zsh = (all: readonly Entry[]): string => `#compdef kubectl-sip
# zsh completion for kubectl-sip: source <(kubectl-sip completion zsh)
_kubectl_sip() {
  local spot="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in
      -*) ;;
      ${namesOf(all)}) spot="\${spot:+$spot }$word" ;;
    esac
  done
  local -a candidates
  case "$spot" in
${all.map((entry) => `    ${matches(entry)}) candidates=(${[...entry.shape.commands.map(({ name, description }) => quote(`${name}:${description.replaceAll(":", " ")}`)), ...entry.shape.options.map(quote)].join(" ")}) ;;`).join("\n")}
  esac
  _describe 'kubectl-sip' candidates
}
compdef _kubectl_sip kubectl-sip
`;

const fish = (all: readonly Entry[]): string =>
  [
    "# fish completion for kubectl-sip: kubectl-sip completion fish | source",
    "complete -c kubectl-sip -f",
    ...all.flatMap(({ path, shape }) => {
      const here = path.map((name) => `__fish_seen_subcommand_from ${name}`);
      const inner =
        shape.commands.length === 0
          ? []
          : [`not __fish_seen_subcommand_from ${shape.commands.map(({ name }) => name).join(" ")}`];
      const when = [...here, ...inner].join("; and ");
      const condition = when === "" ? "" : ` -n ${quote(when)}`;
      return [
        ...shape.commands.map(
          ({ name, description }) => `complete -c kubectl-sip${condition} -a ${name} -d ${quote(description)}`,
        ),
        ...shape.options.map((option) =>
          option.startsWith("--")
            ? `complete -c kubectl-sip${condition} -l ${option.slice(2)}`
            : `complete -c kubectl-sip${condition} -s ${option.slice(1)}`,
        ),
      ];
    }),
    "",
  ].join("\n");

const kubectl = '#!/bin/sh\nexec kubectl-sip __complete "$@"\n';

/** Cobra's ShellCompDirectiveNoFileComp: the shell must not offer files instead. */
const NO_FILES = ":4";

/**
 * What `kubectl_complete-sip` answers: a candidate a line with its description behind a tab, then a directive (Cobra's protocol).
 * @param words behind `kubectl sip`; the last one is being written
 */
export function completeWords(root: CommandShape, words: readonly string[]): readonly string[] {
  let at = root;
  for (const word of words.slice(0, -1)) at = at.commands.find(({ name }) => name === word) ?? at;
  const begun = words.at(-1) ?? "";
  const candidates = begun.startsWith("-")
    ? at.options
    : at.commands.map(({ name, description }) => `${name}\t${description}`);
  return [...candidates.filter((one) => one.startsWith(begun)), NO_FILES];
}

export function renderCompletion(shell: string, root: CommandShape): string {
  const all = entries(root);
  if (shell === "bash") return bash(all);
  if (shell === "zsh") return zsh(all);
  if (shell === "fish") return fish(all);
  if (shell === "kubectl") return kubectl;
  throw new OperatorError("SIPR_USAGE", `There is no completion for ${shell}.`, {
    remedy: `Use one of ${shells.join(", ")}.`,
  });
}
