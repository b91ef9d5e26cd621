// Marks the built entry points executable: tsc keeps the shebang line, not the mode.
import { chmodSync, existsSync } from "node:fs";

for (const file of ["dist/main.js", "dist/kubectl-sip.js"]) if (existsSync(file)) chmodSync(file, 0o755);
