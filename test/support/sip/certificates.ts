/** Certificates of a certification authority of the test's own, made with openssl. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface KeyPair {
  /** PEM */
  readonly certificate: string;
  readonly key: string;
}

export class Authority {
  readonly own: KeyPair;
  #serial = 1;

  constructor(name: string) {
    this.own = withFolder((folder) => {
      openssl(folder, ["req", "-x509", ...newKey, "-days", "30", "-subj", `/CN=${name}`, "-out", "crt.pem"]);
      return pairIn(folder);
    });
  }

  issue(name: string): KeyPair {
    return withFolder((folder) => {
      writeFileSync(join(folder, "ca.pem"), this.own.certificate);
      writeFileSync(join(folder, "ca.key"), this.own.key, { mode: 0o600 });
      openssl(folder, ["req", ...newKey, "-subj", `/CN=${name}`, "-out", "request.pem"]);
      const serial = String((this.#serial += 1));
      const sign = ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", serial];
      openssl(folder, [...sign, "-days", "30", "-out", "crt.pem"]);
      return pairIn(folder);
    });
  }
}

const newKey = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"];
const openssl = (cwd: string, args: readonly string[]): void =>
  void execFileSync("openssl", args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
const pairIn = (folder: string): KeyPair => ({
  certificate: readFileSync(join(folder, "crt.pem"), "utf8"),
  key: readFileSync(join(folder, "key.pem"), "utf8"),
});

function withFolder<Value>(work: (folder: string) => Value): Value {
  const folder = mkdtempSync(join(tmpdir(), "sipr-tls-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
