/**
 * How module topoh masks (th_mask.c, the same from 5.6 to 6.1): base64 with an alphabet that the key shuffles. It offers
 * no function for a Call-ID inside of a Refer-To, so that `kamailio.cfg` masks that one itself, with this alphabet.
 */
import { createHash } from "node:crypto";

const PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";

/** The 64 characters that stand for the values 0 to 63. */
export function maskAlphabet(key: string): string {
  const alphabet = [...PLAIN];
  const digest = createHash("md5").update(key).update(key).digest();
  const words = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at));
  const crc = crc16(key);
  for (let last = alphabet.length; last > 1; last -= 1) {
    const turn = crc + last + key.length;
    const sum = ((words[turn % 4] ?? 0) + key.charCodeAt(turn % key.length)) >>> 0;
    const chosen = sum % last;
    [alphabet[chosen], alphabet[last - 1]] = [alphabet[last - 1] ?? "", alphabet[chosen] ?? ""];
  }
  return alphabet.join("");
}

/** CRC-16/X-25 */
function crc16(text: string): number {
  let crc = 0xffff;
  for (const byte of Buffer.from(text, "latin1")) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x8408;
  }
  return ~crc & 0xffff;
}
