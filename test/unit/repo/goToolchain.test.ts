/** Programs of the tests are built with Go: on a machine without one, or with an old one, the pinned toolchain is fetched, and checked. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");
const platform = `${process.platform}-${{ x64: "amd64" }[process.arch as string] ?? process.arch}`;
const archived = { "bin/go": "#!/bin/sh\necho go1.26.99\n", VERSION: "go1.26.99\n" };
let folder: string;
let proxy: Server;
let asked: string[];

const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);

/** A zip archive as the module proxy has it: every file below MODULE@VERSION/. */
function archive(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  for (const [path, text] of Object.entries(files)) {
    const name = Buffer.from(`golang.org/toolchain@v0.0.1-go1.26.99.${platform}/${path}`);
    const packed = deflateRawSync(text);
    const common = [u16(0), u16(8), u32(0), u32(0), u32(packed.length), u32(text.length), u16(name.length), u16(0)];
    const at = Buffer.concat(locals).length;
    locals.push(Buffer.from("PK\x03\x04", "latin1"), u16(20), ...common, name, packed);
    directory.push(Buffer.from("PK\x01\x02", "latin1"), u16(20), u16(20), ...common, u16(0), u16(0), u16(0), u32(0));
    directory.push(u32(at), name);
  }
  const count = Object.keys(files).length;
  const sizes = [u16(0), u16(0), u16(count), u16(count), u32(Buffer.concat(directory).length)];
  const end = [Buffer.from("PK\x05\x06", "latin1"), ...sizes, u32(Buffer.concat(locals).length), u16(0)];
  return Buffer.concat([...locals, ...directory, ...end]);
}

/** The hash of go.sum, as `go mod download` reckons it. */
const sum = (): string => {
  const hex = (text: string) => createHash("sha256").update(text).digest("hex");
  const lines = Object.entries(archived).map(
    ([path, text]) => `${hex(text)}  golang.org/toolchain@v0.0.1-go1.26.99.${platform}/${path}\n`,
  );
  return `h1:${createHash("sha256")
    .update(lines.toSorted((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join(""))
    .digest("base64")}`;
};

const pin = (wanted: string): void =>
  writeFileSync(
    join(folder, "hack/go/toolchain.json"),
    JSON.stringify({ version: "go1.26.99", sums: { [platform]: wanted } }, undefined, 2),
  );
/** A program `go` on the PATH that says so of itself. */
const goOnPath = (version: string): void => {
  writeFileSync(join(folder, "bin/go"), `#!/bin/sh\necho ${version}\n`);
  chmodSync(join(folder, "bin/go"), 0o755);
};

async function install(): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { port } = proxy.address() as AddressInfo;
  const env = { PATH: join(folder, "bin"), HOME: folder, GOPROXY: `http://127.0.0.1:${port},direct` };
  const child = spawn(join(folder, "hack/go/install"), { env });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => (said.stdout += String(data)));
  child.stderr.on("data", (data) => (said.stderr += String(data)));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...said };
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "go-"));
  for (const path of ["hack/go", "hack/tools/go", "bin"]) mkdirSync(join(folder, path), { recursive: true });
  for (const file of ["install", "fetch.mjs"]) cpSync(join(root, "hack/go", file), join(folder, "hack/go", file));
  // a PATH without the machine's own Go
  const find = (program: string): string =>
    (process.env["PATH"] ?? "")
      .split(delimiter)
      .map((each) => join(each, program))
      .find((path) => {
        try {
          return readFileSync(path).length > 0;
        } catch {
          return false;
        }
      }) ?? "";
  for (const program of ["bash", "sh", "env", "sed", "uname", "mkdir", "mktemp", "rm", "mv", "chmod", "dirname"])
    symlinkSync(find(program), join(folder, "bin", program));
  symlinkSync(process.execPath, join(folder, "bin/node"));
  asked = [];
  proxy = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end(archive(archived));
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  pin(sum());
});
afterEach(() => {
  proxy.close();
  rmSync(folder, { recursive: true, force: true });
});

const fetched = (): string => join(folder, ".cache/sip-router-operator/go1.26.99-");

test("a Go that is new enough is taken as it is", async () => {
  goOnPath("go1.26.0");
  expect(await install()).toMatchObject({ code: 0, stdout: `${join(folder, "bin")}\n` });
  expect(asked).toEqual([]);
});

test("without a Go, and with an old one, it is fetched once", async () => {
  const first = await install();
  expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining(fetched()) });
  expect(asked).toEqual([`/golang.org/toolchain/@v/v0.0.1-go1.26.99.${platform}.zip`]);
  goOnPath("go1.19.8");
  expect(await install()).toMatchObject({ code: 0, stdout: first.stdout });
  expect(asked).toHaveLength(1);
});

test("an archive with another content is refused, and nothing is kept", async () => {
  pin("h1:AAAA");
  const { code, stderr, stdout } = await install();
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(`the checksum is ${sum()}, should be h1:AAAA`);
  expect(stderr).toContain("remedy: install Go 1.26 or newer");
  pin(sum());
  expect(await install()).toMatchObject({ code: 0 });
  expect(asked).toHaveLength(2);
});
