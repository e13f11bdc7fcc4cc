// Bundles the page: node app/build.mjs <folder of the bindings> <folder to write>. `cargo xtask web` calls it.
//
// What it writes stands alone: kafka-lab.js with klab_web_bg.wasm beside it is the element for any page of the same origin
// (a book copies these two); picture.js draws a frame where there is no document (the book's posters); index.html, page.js, page.css and icon.svg are the playground around it.

import { build } from "esbuild";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { dirname, join, resolve } from "node:path";

const here = dirname(fileURLToPath(import.meta.url));
const [bindings, out] = process.argv.slice(2).map((path) => resolve(path));
if (!bindings || !out) throw new Error("node app/build.mjs <folder of the bindings> <folder to write>");

const common = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  loader: { ".css": "text" },
  alias: { "klab-web": join(bindings, "door.js") },
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({ ...common, entryPoints: { "kafka-lab": "src/element.ts", picture: "src/picture.ts" }, outdir: out });
// The page shares the element's one instance of the engine.
const shared = {
  name: "one-engine",
  setup(plugin) {
    plugin.onResolve({ filter: /\/(lab|engine)\.ts$/ }, () => ({ path: "./kafka-lab.js", external: true }));
  },
};
await build({ ...common, entryPoints: { page: "src/main.ts" }, outdir: out, plugins: [shared] });
for (const file of ["index.html", "page.css", "icon.svg"]) await copyFile(join(here, file), join(out, file));
await copyFile(join(bindings, "klab_web_bg.wasm"), join(out, "klab_web_bg.wasm"));
