/** `--watch` on a terminal: what was there before stays, a picture that is too high loses its end, the last one is left. */
import { expect, test } from "vitest";
import type { CliIO } from "../../../src/cli/print/output.ts";
import { openScreen } from "../../../src/cli/print/watch.ts";

const ESC = String.fromCodePoint(27);

test("pictures are drawn on the alternate screen, cut to its height; the last one is whole on the screen before", () => {
  let terminal = "";
  let rows = 5;
  const io: CliIO = {
    stdout: (line) => void (terminal += `${line}\n`),
    stderr: (line) => void (terminal += `${line}\n`),
    write: (text) => void (terminal += text),
    columns: 80,
    get rows() {
      return rows;
    },
    env: {},
    cwd: "/",
    signal: new AbortController().signal,
  };
  const draw = (to: CliIO): void => {
    to.stdout("first\nsecond\nthird\nfourth");
    to.stderr("no answer");
  };
  const screen = openScreen(io);
  screen.show(draw);
  const pictures = (): string[] => terminal.split(`${ESC}[2J`);
  expect(terminal.startsWith(`${ESC}[?1049h`)).toBe(true);
  expect(pictures()[1]?.split("\n").slice(0, 4)).toEqual(["first", "second", "… 2 more lines", "no answer"]);
  rows = 40;
  screen.show(draw);
  screen.close();
  const [, , second = ""] = pictures();
  const [drawn, left] = second.split(`${ESC}[?1049l`);
  expect([drawn, left]).toEqual([
    "first\nsecond\nthird\nfourth\nno answer",
    "first\nsecond\nthird\nfourth\nno answer\n",
  ]);
  // the scrollback is the user's
  expect(terminal).not.toContain(`${ESC}[3J`);
});
