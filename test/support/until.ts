/** Waits for a condition: the value it returns once it is neither undefined nor false. */
export async function until<Value>(
  what: string,
  look: () => Value | Promise<Value>,
  timeoutMs = 20_000,
): Promise<Exclude<Value, undefined | false>> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined && value !== false) return value as Exclude<Value, undefined | false>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for: ${what} (last: ${String(last)})`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
