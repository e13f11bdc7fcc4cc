// Serves the built page on this machine alone: node serve.mjs <folder> [port] [page|book]. With the headers that a public server should send.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".woff2": "font/woff2",
};
export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/** mdBook's own pages hold scripts and styles inline, and make markup by script. */
export const BOOK_POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'";

/** Starts a server; `pages` are further files by their path, for tests. */
export function serve(folder, port, pages = {}, policy = POLICY) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const name = path.endsWith("/") ? `${path}index.html` : path;
    const file = join(folder, normalize(name));
    const headers = { "content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache" };
    try {
      if (!file.startsWith(folder)) throw new Error("outside");
      const body = pages[name] ?? (await readFile(file));
      response.writeHead(200, { ...headers, "content-type": TYPES[extname(name)] ?? "application/octet-stream" });
      response.end(body);
    } catch {
      response.writeHead(404, headers);
      response.end("not here");
    }
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  const [folder, port, kind] = process.argv.slice(2);
  const server = await serve(resolve(folder ?? "."), Number(port ?? 8017), {}, kind === "book" ? BOOK_POLICY : POLICY);
  console.log(`http://localhost:${server.address().port}/  (Ctrl-C ends it)`);
}
