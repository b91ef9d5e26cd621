/** Statements of `kamailio.cfg`: the address `address`, a pseudo-variable, as the host of a URI (RFC 3986 3.2.2), in `$var(into)`. */
export const bracketed = (address: "$Ri" | "$si", into: string): string => `$var(${into}) = ${address};
  if (${address} =~ ":") $var(${into}) = "[" + ${address} + "]";`;
