/** The Kamailios that the data plane is tested with. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export interface KamailioProgram {
  readonly name: string;
  /** holds the programs kamailio and kamcmd */
  readonly folder: string;
}

/** Debian 12's, from its package. */
export function kamailio5(): KamailioProgram {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"];
  const folder = folders.find((one) => existsSync(join(one, "kamailio")));
  if (folder === undefined) throw new Error("kamailio is not installed: apt-get install kamailio");
  return { name: versionOf(folder), folder };
}

/** Kamailio 6 in a folder of its own, made on the first use (some minutes; needs a Debian mirror). */
export function kamailio6(): KamailioProgram {
  const script = join(import.meta.dirname, "../../../hack/kamailio-6/install");
  const folder = execFileSync(script, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
  return { name: versionOf(folder), folder };
}

const versionOf = (folder: string): string =>
  /kamailio ([0-9.]+)/.exec(execFileSync(join(folder, "kamailio"), ["-v"], { encoding: "utf8" }))?.[1] ?? "?";
