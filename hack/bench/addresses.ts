/** Loopback addresses of the call benchmarks; BENCH_NETWORK (first three bytes, 127.80.0) lets two run side by side. */
const network = process.env["BENCH_NETWORK"] ?? "127.80.0";

export const hostAt = (last: number): string => `${network}.${last}`;
