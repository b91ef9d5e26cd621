/** Completion scripts, from the program's own table of commands: what `--help` shows is what is completed. Pure. */
import { OperatorError } from "../errors.ts";

/** What of a command is completed. */
export interface CommandShape {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly description: string;
  readonly options: readonly OptionShape[];
  /** what its first argument may be, where that is known */
  readonly values: readonly string[];
  readonly commands: readonly CommandShape[];
}

export interface OptionShape {
  /** `--file`, `-f` */
  readonly names: readonly string[];
  /** what stands behind it; undefined: nothing */
  readonly takes?: "text" | "file" | "folder";
  /** all that it may be, where that is known */
  readonly values: readonly string[];
}

/** `kubectl`: the program by which kubectl completes `kubectl sip`, to be put on the PATH as kubectl_complete-sip. */
export const shells = ["bash", "zsh", "fish", "kubectl"] as const;

interface Entry {
  readonly path: readonly string[];
  /** every way to write the path, aliases included */
  readonly ways: readonly string[];
  readonly shape: CommandShape;
}

const entries = (shape: CommandShape, path: readonly string[] = [], ways: readonly string[] = [""]): Entry[] => [
  { path, ways, shape },
  ...shape.commands.flatMap((one) =>
    entries(
      one,
      [...path, one.name],
      ways.flatMap((way) => [one.name, ...one.aliases].map((name) => (way === "" ? name : `${way} ${name}`))),
    ),
  ),
];
const namesIn = (options: readonly OptionShape[]): string[] => options.flatMap(({ names }) => names);
const wordsOf = ({ shape }: Entry): string =>
  [...shape.commands.map(({ name }) => name), ...shape.values, ...namesIn(shape.options)].join(" ");
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** All names of commands, as a pattern of the shell. */
const namesOf = (all: readonly Entry[]): string =>
  [...new Set(all.flatMap(({ path, shape }) => (path.length === 0 ? [] : [shape.name, ...shape.aliases])))].join("|");

const matches = ({ ways }: Entry): string => ways.map((way) => `"${way}"`).join("|");

/** All options of all commands whose next word is of a kind; those that mean another thing elsewhere are told apart by their values. */
function nextWords(all: readonly Entry[]): {
  readonly files: string;
  readonly folders: string;
  readonly texts: string;
  readonly values: readonly { readonly names: string; readonly values: readonly string[] }[];
} {
  const options = all.flatMap(({ shape }) => shape.options);
  const of = (takes: string): string =>
    [...new Set(namesIn(options.filter((one) => one.takes === takes && one.values.length === 0)))].join("|");
  const valued = options.filter(({ values }) => values.length > 0);
  const known = [...new Set(valued.map(({ names }) => names.join("|")))];
  const values = known.map((names) => ({
    names,
    values: [...new Set(valued.filter((one) => one.names.join("|") === names).flatMap((one) => one.values))],
  }));
  return { files: of("file"), folders: of("folder"), texts: of("text"), values };
}

const bash = (all: readonly Entry[]): string => {
  const { files, folders, texts, values } = nextWords(all);
  return `# bash completion for kubectl-sip: source <(kubectl-sip completion bash)
_kubectl_sip() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" spot="" word words="" IFS=$' \\t\\n'
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      ${namesOf(all)}) spot="\${spot:+$spot }$word" ;;
    esac
  done
  case "$before" in
${values.map(({ names, values: known }) => `    ${names}) COMPREPLY=($(compgen -W "${known.join(" ")}" -- "$current")); return ;;`).join("\n")}
    ${files}) IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current")); type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null; return ;;
    ${folders}) IFS=$'\\n'; COMPREPLY=($(compgen -d -- "$current")); type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null; return ;;
    ${texts}) COMPREPLY=(); return ;;
  esac
  case "$spot" in
${all.map((entry) => `    ${matches(entry)}) words="${wordsOf(entry)}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _kubectl_sip kubectl-sip
`;
};

const zsh = (all: readonly Entry[]): string => {
  const { files, folders, texts, values } = nextWords(all);
  const described = ({ shape }: Entry): string =>
    [
      ...shape.commands.map(({ name, description }) => quote(`${name}:${description.replaceAll(":", " ")}`)),
      ...shape.values.map(quote),
      ...namesIn(shape.options).map(quote),
    ].join(" ");
  return `#compdef kubectl-sip
# zsh completion for kubectl-sip: source <(kubectl-sip completion zsh)
_kubectl_sip() {
  local spot="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in
      -*) ;;
      ${namesOf(all)}) spot="\${spot:+$spot }$word" ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
${values.map(({ names, values: known }) => `    ${names}) compadd -- ${known.map(quote).join(" ")}; return ;;`).join("\n")}
    ${files}) _files; return ;;
    ${folders}) _files -/; return ;;
    ${texts}) return ;;
  esac
  local -a candidates
  case "$spot" in
${all.map((entry) => `    ${matches(entry)}) candidates=(${described(entry)}) ;;`).join("\n")}
  esac
  _describe 'kubectl-sip' candidates
}
compdef _kubectl_sip kubectl-sip
`;
};

const fish = (all: readonly Entry[]): string =>
  [
    "# fish completion for kubectl-sip: kubectl-sip completion fish | source",
    "complete -c kubectl-sip -f",
    ...all.flatMap(({ path, ways, shape }) => {
      const here = path.map((_name, at) => {
        const written = [...new Set(ways.map((way) => way.split(" ")[at]))];
        return `__fish_seen_subcommand_from ${written.join(" ")}`;
      });
      const below = shape.commands.flatMap(({ name, aliases }) => [name, ...aliases]);
      const inner = below.length === 0 ? [] : [`not __fish_seen_subcommand_from ${below.join(" ")}`];
      const when = [...here, ...inner].join("; and ");
      const start = `complete -c kubectl-sip${when === "" ? "" : ` -n ${quote(when)}`}`;
      return [
        ...shape.commands.map(({ name, description }) => `${start} -a ${name} -d ${quote(description)}`),
        ...(shape.values.length === 0 ? [] : [`${start} -a ${quote(shape.values.join(" "))}`]),
        ...shape.options.map((option) => `${start} ${fishOption(option)}`),
      ];
    }),
    "",
  ].join("\n");

/** -r: a value stands behind it; -F: a file, in spite of the -f for all. */
function fishOption({ names, takes, values }: OptionShape): string {
  const written = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const value =
    takes === undefined
      ? []
      : values.length > 0
        ? ["-x", "-a", quote(values.join(" "))]
        : takes === "file"
          ? ["-r", "-F"]
          : takes === "folder"
            ? ["-x", "-a", "'(__fish_complete_directories)'"]
            : ["-x"];
  return [...written, ...value].join(" ");
}

const kubectl = '#!/bin/sh\nexec kubectl-sip __complete "$@"\n';

/** Cobra's ShellCompDirective: files may follow; nothing but what is listed; only folders. */
const DIRECTIVE = { files: ":0", listed: ":4", folders: ":16" } as const;

/**
 * What `kubectl_complete-sip` answers: a candidate a line with its description behind a tab, then a directive (Cobra's protocol).
 * @param words behind `kubectl sip`; the last one is being written
 */
export function completeWords(root: CommandShape, words: readonly string[]): readonly string[] {
  let at = root;
  for (const word of words.slice(0, -1))
    at = at.commands.find(({ name, aliases }) => name === word || aliases.includes(word)) ?? at;
  const begun = words.at(-1) ?? "";
  const before = words.at(-2) ?? "";
  const option = [...at.options, ...root.options].find(({ names }) => names.includes(before));
  const offer = (candidates: readonly string[], directive: string = DIRECTIVE.listed): readonly string[] => [
    ...candidates.filter((one) => one.startsWith(begun)),
    directive,
  ];
  if (option?.takes === "file") return [DIRECTIVE.files];
  if (option?.takes === "folder") return [DIRECTIVE.folders];
  if (option?.takes === "text") return offer(option.values);
  if (begun.startsWith("-")) return offer(namesIn(at.options));
  return offer([...at.commands.map(({ name, description }) => `${name}\t${description}`), ...at.values]);
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
