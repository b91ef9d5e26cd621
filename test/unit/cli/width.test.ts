/** What callers write in their headers: it stays in its column, and shows what it is. */
import { describe, expect, test } from "vitest";
import { plain, renderTable, wrap } from "../../../src/cli/print/table.ts";
import { cut, cutStart, widthOf } from "../../../src/cli/print/width.ts";
import { escapeHtml } from "../../../src/cli/ui/html.ts";

describe("columns of a terminal", () => {
  test.each([
    ["abc", 3],
    ["", 0],
    ["Zürich", 6],
    ["Zu\u0308rich", 6],
    ["山田太郎", 8],
    ["한국", 4],
    ["ｶﾅ", 2],
    ["ＡＢ", 4],
    ["📞 1", 4],
    ["☎️", 2],
    ["🇩🇪", 2],
    ["│─▶✓", 4],
  ])("%s: %i", (text, width) => expect(widthOf(text)).toBe(width));

  test("what does not fit is cut between characters", () => {
    expect(cut("山田太郎", 6)).toBe("山田…");
    expect(cut("📞📞📞", 5)).toBe("📞📞…");
    expect(cutStart("📞📞📞", 4)).toBe("…📞");
    expect(cut("Zu\u0308rich", 3)).toBe("Zu\u0308…");
    expect(cut("abc", 0)).toBe("…");
  });

  test("columns of a table stand below each other", () => {
    const rows = [
      ["山田太郎", "1"],
      ["ann", "2"],
      ["📞 Zu\u0308rich", "3"],
    ];
    const lines = renderTable([{ header: "FROM" }, { header: "TO" }], rows, { colour: false, wide: false });
    expect(lines).toEqual(["FROM        TO", "山田太郎    1", "ann         2", "📞 Zu\u0308rich   3"]);
    expect(wrap("山田 太郎 山田 太郎 山田", "", 20)).toEqual(["山田 太郎 山田 太郎", "山田"]);
  });
});

test.each([
  ["a right-to-left override", "100\u202E9876\u202C"],
  ["an isolate", "\u2067abc\u2069"],
  ["a zero-width space", "ad\u200Bmin"],
  ["a zero-width joiner", "ad\u200Dmin"],
  ["a soft hyphen", "ad\u00ADmin"],
  ["a byte order mark", "\uFEFFadmin"],
  ["a Hangul filler", "admin\u3164"],
  ["half a character", "admin\uD83D"],
])("%s is seen, on a terminal and on the page", (_what, text) => {
  for (const shown of [plain(text), escapeHtml(text)]) {
    expect(shown).toContain("\uFFFD");
    expect(shown).not.toMatch(/[\u202A-\u202E\u2066-\u2069\u200B-\u200F\u00AD\uFEFF\u3164\uD83D]/);
  }
});

test("what is written in any language stays as it is", () => {
  for (const text of ["Zürich", "山田", "☎️", "שלום", "नमस्ते"])
    expect([plain(text), escapeHtml(text)]).toEqual([text, text]);
});
