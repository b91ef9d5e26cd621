/** Certificates and keys of one throw-away API server: a CA, a serving certificate for 127.0.0.1, a service-account key. */
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Pki {
  readonly ca: string;
  readonly servingCert: string;
  readonly servingKey: string;
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
}

export async function makePki(folder: string): Promise<Pki> {
  const at = (file: string): string => path.join(folder, file);
  const writeKey = (file: string): void => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    writeFileSync(at(file), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  };
  const openssl = async (...args: string[]): Promise<unknown> => run("openssl", args);
  writeKey("ca.key");
  writeKey("serving.key");
  const account = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  writeFileSync(at("sa.key"), account.privateKey.export({ type: "sec1", format: "pem" }), { mode: 0o600 });
  writeFileSync(at("sa.pub"), account.publicKey.export({ type: "spki", format: "pem" }));
  await openssl(
    "req",
    "-x509",
    "-new",
    "-key",
    at("ca.key"),
    "-subj",
    "/CN=test-ca",
    "-days",
    "30",
    "-out",
    at("ca.crt"),
    "-addext",
    "keyUsage=critical,digitalSignature,keyCertSign,cRLSign",
  );
  await openssl("req", "-new", "-key", at("serving.key"), "-subj", "/CN=kube-apiserver", "-out", at("serving.csr"));
  writeFileSync(
    at("serving.ext"),
    "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc\nextendedKeyUsage=serverAuth\n",
  );
  await openssl(
    "x509",
    "-req",
    "-in",
    at("serving.csr"),
    "-CA",
    at("ca.crt"),
    "-CAkey",
    at("ca.key"),
    "-CAcreateserial",
    "-days",
    "30",
    "-out",
    at("serving.crt"),
    "-extfile",
    at("serving.ext"),
  );
  return {
    ca: at("ca.crt"),
    servingCert: at("serving.crt"),
    servingKey: at("serving.key"),
    serviceAccountKey: at("sa.key"),
    serviceAccountPublicKey: at("sa.pub"),
  };
}
