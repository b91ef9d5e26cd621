/**
 * The log: one JSON line per action on standard error, timestamps in RFC 3339. Secrets are redacted by field name here;
 * that none is put into a message is the caller's duty.
 */
import { pino } from "pino";
import type { Logger } from "pino";
import { OperatorError } from "../errors.ts";

const secretFields = [
  "token",
  "password",
  "authorization",
  "Authorization",
  "ha1",
  "secret",
  "data",
  "stringData",
  "key",
  "cert",
];

export type { Logger };

/** @param write takes one line without its line end */
export const createLog = (level: string, write: (line: string) => void): Logger =>
  pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: "[redacted]" },
      serializers: { err: describeError },
    },
    { write: (line: string) => write(line.trimEnd()) },
  );

/** An error of the closed table needs no stack; any other is a mistake in the program and does. */
const describeError = (error: unknown): unknown => {
  if (error instanceof OperatorError) return { code: error.code, message: error.message, remedy: error.remedy };
  return error instanceof Error ? { message: error.message, stack: error.stack } : error;
};
