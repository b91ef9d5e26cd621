/** What every implementation of the Cluster interface promises of a Secret that is made once. */
import { expect } from "vitest";
import type { RawObject } from "../../src/api/index.ts";
import type { Cluster } from "../../src/cluster/index.ts";

/**
 * @param connect another operator on the same cluster
 * @param lose takes one key out of the stored Secret; resolves when the cluster of the moment knows
 */
export async function expectSecretIsKept(
  secret: RawObject,
  connect: () => Promise<Cluster>,
  lose: (key: string) => Promise<Cluster>,
): Promise<void> {
  let made = 0;
  const generate = ({ token = `token-${(made += 1)}` }: Readonly<Record<string, string>> = {}) => ({
    token,
    salt: `salt of ${token}`,
  });
  const first = await (await connect()).ensureSecret(secret, generate);
  expect(first).toEqual({ token: "token-1", salt: "salt of token-1" });
  const again = await connect();
  expect(await again.ensureSecret(secret, generate)).toEqual(first);
  const poorer = await lose("salt");
  expect(await poorer.ensureSecret(secret, generate)).toEqual(first);
  // a newer version makes more of the same token
  const newer = (present: Readonly<Record<string, string>> = {}) => {
    const { token, salt } = generate(present);
    return { token, salt: `${salt}, and pepper` };
  };
  const next = { token: "token-1", salt: "salt of token-1, and pepper" };
  expect(await poorer.ensureSecret(secret, newer)).toEqual(next);
  // it was stored, not only returned
  const { kind, metadata } = secret;
  const stored = poorer.owned(kind, metadata.namespace, metadata.name)?.["data"] as Record<string, string>;
  const texts = Object.entries(stored).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]);
  expect(Object.fromEntries(texts)).toEqual(next);
}
