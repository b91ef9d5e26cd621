/** A figure that a Kamailio shows on its control port, without its labels. */
export async function metricOf(host: string, name: string): Promise<number> {
  const at = host.includes(":") ? `[${host}]` : host;
  const text = await (await fetch(`http://${at}:9060/metrics`)).text();
  return Number(new RegExp(`^kamailio_${name}(?:{[^}]*})? ([0-9]+)`, "m").exec(text)?.[1] ?? Number.NaN);
}
