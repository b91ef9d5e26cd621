/** How wide a text is on a terminal: in characters as a reader sees them, not in units of UTF-16. Pure. */

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
const ascii = /^[\u0020-\u007E]*$/;
/** Two columns each: East Asian scripts and forms (Unicode's property of the script), emoji shown as such. */
const wide =
  /^(?![\uFF61-\uFFDC])[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Bopomofo}\p{Emoji_Presentation}\u3000-\u303E\uFF01-\uFF60\uFFE0-\uFFE6]|\uFE0F/u;
/** Nothing of its own: a combining mark that has nothing to stand on. */
const none = /^[\p{Mn}\p{Me}]/u;

const charactersOf = (text: string): string[] =>
  ascii.test(text) ? [...text] : [...segmenter.segment(text)].map(({ segment }) => segment);
const columnsOf = (character: string): number => (wide.test(character) ? 2 : none.test(character) ? 0 : 1);

/** Columns of a terminal. */
export const widthOf = (text: string): number =>
  ascii.test(text) ? text.length : charactersOf(text).reduce((sum, one) => sum + columnsOf(one), 0);

/** As much of the beginning as fits. */
function fitting(characters: readonly string[], width: number): string[] {
  let used = 0;
  const end = characters.findIndex((one) => (used += columnsOf(one)) > width);
  return end === -1 ? [...characters] : characters.slice(0, end);
}

/** At most `width` columns; what is cut is said by "…". */
export const cut = (text: string, width: number): string =>
  widthOf(text) <= width ? text : `${fitting(charactersOf(text), width - 1).join("")}…`;

/** The same, of the end. */
export const cutStart = (text: string, width: number): string =>
  widthOf(text) <= width
    ? text
    : `…${fitting(charactersOf(text).toReversed(), width - 1)
        .toReversed()
        .join("")}`;

export const padEnd = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - widthOf(text)));
