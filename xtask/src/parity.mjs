// The wasm half of `cargo xtask parity`: node parity.mjs <folder of the bindings> <job file>.
// Prints one line of JSON per run: { scenario, seed, hash, verdict, census } or { scenario, seed, error }.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, jobFile] = process.argv.slice(2).map((path) => resolve(path));
const { initSync, Run } = await import(pathToFileURL(join(folder, "door.js")));
const job = JSON.parse(readFileSync(jobFile, "utf8"));

initSync({ module: readFileSync(join(folder, "klab_web_bg.wasm")) });
rehearsePanic(job.scenarios[0].text);
rehearsePanic(job.scenarios[0].text);
for (const [scenario, { text, twin, from, to }] of job.scenarios.entries()) {
  for (let seed = from; seed < to; seed++) {
    console.log(JSON.stringify({ scenario, seed, ...runWhole(text, twin, BigInt(seed)) }));
  }
}

function runWhole(text, twin, seed) {
  try {
    const session = Run.open(text, twin, seed);
    while (!session.run(job.slice));
    const ended = { hash: session.hash(), verdict: session.verdict(), census: JSON.parse(session.census()) };
    session.free();
    return ended;
  } catch (error) {
    return { error: error.message };
  }
}

// A panic must arrive here as an Error with its own words, its run must say that it is gone, and the module must live on: the runs that
// follow are the proof of the last.
function rehearsePanic(text) {
  const session = Run.open(text, 0, 1n);
  assert.throws(() => session.rehearse_panic(), /^Error: a bug in klab: panicked at .*rehearsed$/s);
  assert.throws(() => session.hash(), /open it again/);
  session.free();
}
