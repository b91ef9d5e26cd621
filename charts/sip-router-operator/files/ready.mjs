// Asks until the operator answers that it is ready, or for a minute; prints the last answer.
const url = process.argv.at(-1);
const until = Date.now() + 60_000;
for (;;) {
  let last;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    last = `${response.status} ${(await response.text()).trim()}`;
    if (response.ok) process.exit(console.log(last));
  } catch (error) {
    last = String(error.cause ?? error);
  }
  if (Date.now() > until) process.exit((console.error(`${url}: ${last}`), 1));
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
