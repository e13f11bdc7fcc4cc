// Where things are, for the tests of the page. `cargo xtask web --test` says it; by hand the defaults do.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const here = dirname(fileURLToPath(import.meta.url));
const built = resolve(process.env.KLAB_WEB ?? join(here, "../../target/web"));
/** The bindings of the module. */
export const bindings = join(built, "pkg");
/** The built page. */
export const page = join(built, "page");
/** The native command line, to compare with. */
export const klab = resolve(process.env.KLAB ?? join(here, "../../target/release/klab"));
/** The Chromium that is named, or the one that is there. */
export const chromium = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path)) ?? missing();

function missing() {
  throw new Error("no Chromium is here: apt-get install chromium, or name one in CHROMIUM");
}
