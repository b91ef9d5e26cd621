// Fetches a Go toolchain from the module proxy, as a Go since 1.21 does for itself: node fetch.mjs TOOLCHAIN.json FOLDER
// The archive is a module's: checked against its hash "h1" (that of go.sum and of the checksum database), then laid out.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inflateRawSync } from "node:zlib";

const [list, folder] = process.argv.slice(2);
const TRANSFER_MS = 600_000;

/** Names and contents of a zip archive, in the order of its directory. */
function* entries(zip) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw new Error("is no zip archive");
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [method, packed, name, extra, comment] = [
      zip.readUInt16LE(at + 10),
      zip.readUInt32LE(at + 20),
      zip.readUInt16LE(at + 28),
      zip.readUInt16LE(at + 30),
      zip.readUInt16LE(at + 32),
    ];
    const local = zip.readUInt32LE(at + 42);
    const begin = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const content = zip.subarray(begin, begin + packed);
    yield {
      name: zip.toString("utf8", at + 46, at + 46 + name),
      read: () => (method === 0 ? content : inflateRawSync(content)),
    };
    at += 46 + name + extra + comment;
  }
}

/** The hash of a module's files: SHA-256 of the sorted list of their hashes and names. */
function sumOf(files) {
  const hex = (content) => createHash("sha256").update(content).digest("hex");
  const lines = files
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, read }) => `${hex(read())}  ${name}\n`);
  return `h1:${createHash("sha256").update(lines.join("")).digest("base64")}`;
}

/** Programs are those that the go command makes executable: a module's archive has no modes. */
const modeOf = (path) => (/^(bin|pkg\/tool)\//.test(path) ? 0o755 : 0o644);

async function fetchToolchain() {
  const { version, sums } = JSON.parse(readFileSync(list, "utf8"));
  const platform = `${process.platform}-${{ x64: "amd64" }[process.arch] ?? process.arch}`;
  const wanted = sums[platform];
  if (wanted === undefined) throw new Error(`no checksum of ${version} for ${platform} is in hack/go/toolchain.json`);
  const proxy =
    (process.env.GOPROXY ?? "").split(/[,|]/).find((each) => /^https?:/.test(each)) ?? "https://proxy.golang.org";
  const url = `${proxy.replace(/\/$/, "")}/golang.org/toolchain/@v/v0.0.1-${version}.${platform}.zip`;
  console.error(`downloading ${version} from ${url} (about 70 MB, once)`);
  const response = await fetch(url, { signal: AbortSignal.timeout(TRANSFER_MS) }).catch((error) => {
    throw new Error(`${url}: ${error.cause?.message ?? error.message}`);
  });
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  const files = [...entries(Buffer.from(await response.arrayBuffer()))];
  const found = sumOf(files);
  if (found !== wanted) throw new Error(`${url}: the checksum is ${found}, should be ${wanted}`);
  for (const { name, read } of files) {
    const path = name.slice(name.indexOf("/", name.indexOf("@")) + 1);
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), read(), { mode: modeOf(path) });
  }
}

await fetchToolchain().catch((error) => {
  console.error(`error: no Go: ${error.message}`);
  process.exitCode = 1;
});
