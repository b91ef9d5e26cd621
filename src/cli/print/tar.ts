/** A tar archive of text files (POSIX.1-1988 ustar). Pure. */
import type { Evidence } from "../fleet/index.ts";

const BLOCK = 512;

/** @param seconds modification time of all entries, since the epoch */
export function packTar(entries: readonly Evidence[], seconds: number): Buffer {
  const blocks = entries.flatMap(({ name, content }) => {
    const body = Buffer.from(content, "utf8");
    const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
    return [header(name, body.length, seconds), body, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(name: string, size: number, seconds: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { prefix, rest } = splitName(name);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
  block.write(rest, 0, 100, "utf8");
  block.write(octal(0o600, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(Math.floor(seconds), 12), 136);
  block.write("        ", 148);
  block.write("0", 156);
  block.write("ustar\0", 257);
  block.write("00", 263);
  block.write(prefix, 345, 155, "utf8");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** The name field holds 100 bytes, folders before it 155 more. Names here are ASCII. */
function splitName(name: string): { readonly prefix: string; readonly rest: string } {
  if (name.length <= 100) return { prefix: "", rest: name };
  const at = name.lastIndexOf("/", 155);
  return at === -1
    ? { prefix: "", rest: name.slice(-100) }
    : { prefix: name.slice(0, at), rest: name.slice(at + 1).slice(-100) };
}
