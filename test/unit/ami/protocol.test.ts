import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAction, newStream, parseAmi, type AmiMessage } from "../../../src/ami/protocol.ts";

const greeting = "Asterisk Call Manager/11.0.0\r\n";
const parse = (...chunks: readonly (string | Buffer)[]) => {
  let stream = newStream;
  const messages: AmiMessage[] = [];
  for (const chunk of chunks) {
    const parsed = parseAmi(stream, Buffer.from(chunk as string));
    messages.push(...parsed.messages);
    if (parsed.error !== undefined) return { messages, error: parsed.error, stream };
    stream = parsed.stream;
  }
  return { messages, error: undefined, stream };
};
const plain = (messages: readonly AmiMessage[]): object[] => messages.map((one) => Object.fromEntries(one));
/** Cut into pieces at these places. */
const cut = (bytes: Buffer, places: readonly number[]): Buffer[] => {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
};

const name = fc.stringMatching(/^[A-Za-z]{1,12}$/);
const value = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => text.replaceAll(/[\r\n\0]/g, "").trim());
const message = fc.uniqueArray(fc.tuple(name, value), {
  minLength: 1,
  maxLength: 8,
  selector: ([key]) => key.toLowerCase(),
});

describe("what Asterisk sends", () => {
  test("is understood, whatever the pieces are that it comes in", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), fc.array(fc.nat(4000), { maxLength: 12 }), (sent, places) => {
        const bytes = Buffer.from(greeting + sent.map((fields) => formatAction(fields)).join(""));
        const { messages, error, stream } = parse(...cut(bytes, places));
        expect(error).toBeUndefined();
        expect(stream.greeting).toBe(greeting.trim());
        expect(stream.rest).toHaveLength(0);
        expect(plain(messages)).toEqual(
          sent.map((fields) => Object.fromEntries(fields.map(([key, text]) => [key.toLowerCase(), text]))),
        );
      }),
    );
  });

  test("any bytes give the same answer in one piece and in many, and no more is kept than one message", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.boolean(),
        fc.array(fc.nat(500), { maxLength: 10 }),
        (noise, greeted, places) => {
          const bytes = Buffer.concat([Buffer.from(greeted ? greeting : ""), Buffer.from(noise)]);
          const whole = parse(bytes);
          const pieces = parse(...cut(bytes, places));
          expect(plain(pieces.messages)).toEqual(plain(whole.messages));
          expect(pieces.error).toBe(whole.error);
          expect(pieces.stream.rest.length).toBeLessThanOrEqual(bytes.length);
        },
      ),
    );
  });

  test("another protocol, a line without end and a message without end are told, not kept", () => {
    expect(parse("SSH-2.0-OpenSSH_9.6\r\n").error).toMatch(/does not greet/);
    expect(parse(greeting, "Event: ", Buffer.alloc(70_000, "x")).error).toMatch(/longer than 64 KiB/);
    const endless = Array.from({ length: 2000 }, (_, index) => `Field${index}: x\r\n`).join("");
    expect(parse(greeting, endless).error).toMatch(/more than 1024 fields/);
  });

  test("the first of two values of one name counts: a value cannot replace the ActionID before it", () => {
    expect(plain(parse(greeting, "ActionID: 7\r\nActionID: 8\r\n\r\n").messages)).toEqual([{ actionid: "7" }]);
  });
});

test("a value with a line end is never sent: it would be an action of its own", () => {
  for (const evil of ["a\r\nAction: Originate", "a\n", "a\r", "a\0"])
    expect(() => formatAction([["Username", evil]])).toThrow(TypeError);
});
