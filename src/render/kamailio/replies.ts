/** What refusing replies have in common. */

/** Seconds after which a refused caller may try again (RFC 3261 20.33). */
export const RETRY_AFTER = 5;
