/** Programs of this machine. */
import { execFile } from "node:child_process";

/** Standard output, byte for byte; throws with standard error. */
export const runBytes = (program: string, args: readonly string[], input = ""): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const options = { maxBuffer: 1 << 28, encoding: "buffer" } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${program} ${args.join(" ")}: ${stderr.toString() || error.message}`));
      else resolve(stdout);
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
export const run = async (program: string, args: readonly string[], input = ""): Promise<string> =>
  (await runBytes(program, args, input)).toString();
