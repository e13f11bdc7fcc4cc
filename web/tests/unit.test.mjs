// The pure parts of the page, under Node alone: the picture of true frames, the course of a story, links, text as text.
// Run by `cargo xtask web --test`, which builds the module first.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { build } from "esbuild";
import { bindings, here } from "./place.mjs";

const source = `
  export { stage } from "./stage.ts";
  export { h, text } from "./vdom.ts";
  export { advance, stops } from "./player.ts";
  export { read, write, readTime, readSeed } from "./link.ts";
`;
const bundle = await build({
  stdin: { contents: source, resolveDir: `${here}/../app/src`, loader: "ts" },
  bundle: true,
  format: "esm",
  write: false,
});
const { stage, h, text, advance, stops, read, write, readTime, readSeed } = await import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].text).toString("base64")}`);
const engine = await import(`${bindings}/door.js`);
engine.initSync({ module: readFileSync(`${bindings}/klab_web_bg.wasm`) });

function opened(name) {
  const story = JSON.parse(engine.library()).find((one) => one.name === name);
  const session = engine.Session.open(story.text, 0, 42n);
  while (!session.run(5000));
  return { session, info: JSON.parse(session.info()) };
}
const { session, info } = opened("quickstart");
const frame = (at) => JSON.parse(session.frame(at));
const svg = (at, width = 800) => text(stage(frame(at), width, undefined).tree);

test("a frame and a width give one picture, and nothing else does", () => {
  const one = frame(info.opening.at);
  assert.equal(text(stage(one, 800, undefined).tree), text(stage(structuredClone(one), 800, undefined).tree));
  assert.notEqual(text(stage(one, 800, undefined).tree), text(stage(one, 390, undefined).tree));
});

test("a broker that is killed is hatched and struck through, and says so in words", () => {
  assert.ok(!svg(1.9e9).includes("killed"));
  const after = svg(2e9);
  assert.match(after, /class="broker killed dark"/);
  assert.match(after, /class="panel dark killed"/);
  assert.match(after, /✖ killed/);
});

test("cells below the high watermark are solid, those above it are not", () => {
  const at = info.opening.at;
  const picture = svg(at);
  const cells = frame(at).partitions.flatMap((partition) => partition.replicas).flatMap((replica) => replica.cells);
  const count = (pattern) => picture.match(pattern)?.length ?? 0;
  assert.equal(count(/class="cell committed/g), cells.filter((cell) => cell.committed).length);
  assert.equal(count(/class="cell tail/g), cells.filter((cell) => !cell.committed).length);
  assert.ok(cells.some((cell) => !cell.committed && cell.acked));
});

test("requests move along their wire as time goes on", () => {
  const at = info.opening.at;
  const flight = frame(at).flights.find((one) => one.letter === "F");
  const where = (t) => {
    const moved = { ...frame(at), at: t, flights: [flight] };
    return Number(/class="chip[^>]*>.*?<rect x="([\d.]+)"/.exec(text(stage(moved, 800, undefined).tree))[1]);
  };
  const middle = (flight.departed + flight.arrives) / 2;
  const places = [where(flight.departed), where(middle), where(flight.arrives)];
  const order = places[0] < places[2] ? places : places.toReversed();
  assert.ok(order[0] < order[1] && order[1] < order[2], String(places));
});

test("a picture stays below two thousand nodes", () => {
  for (const name of ["quickstart", "replication/r22-all-of-one"]) {
    const run = opened(name);
    for (let n = 0; n <= 20; n++) {
      const drawn = text(stage(JSON.parse(run.session.frame((run.info.to / 20) * n)), 800, undefined).tree);
      assert.ok(drawn.match(/<[a-z]/g).length < 2000, `${name} at ${n}`);
    }
  }
});

test("a text is never markup", () => {
  const wild = '<img src=x onerror="alert(1)">&';
  assert.equal(text(h("p", { title: wild }, wild)), `<p title="&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;">&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;</p>`);
});

test("a story takes as long for nine quiet seconds as for the moment before the crash", () => {
  const all = stops(info.marks, info.opening.at, info.to);
  const crash = all.indexOf(2e9);
  assert.ok(crash > 0, String(all));
  const half = advance(all[crash], 400, "story", all, info.to);
  assert.equal(Math.round(half), Math.round((all[crash] + all[crash + 1]) / 2));
  let t = info.opening.at;
  let ms = 0;
  while (t < info.to) {
    const next = advance(t, 16, "story", all, info.to);
    assert.ok(next > t);
    t = next;
    ms += 16;
  }
  assert.ok(ms < 12_000, `${ms} ms`);
  assert.equal(advance(0, 1000, 1, all, info.to), 1e9);
});

test("a link leads to what it was made of, and to nothing that it should not", async () => {
  const place = { scenario: "replication/r24-paused-leader", seed: 7n, twin: 1, at: 1_800_000_000 };
  assert.deepEqual(await read(await write(place)), place);
  const text = "{ \"title\": \"ü <b>\" }".repeat(50);
  assert.deepEqual(await read(await write({ text, seed: 1n })), { text, seed: 1n });
  const bomb = await write({ text: "x".repeat(3_000_000) });
  await assert.rejects(read(bomb), /too long/);
  await assert.rejects(read("#text=%%%"));
  assert.equal(readSeed("99999999999999999999"), undefined);
  assert.equal(readSeed("-1"), undefined);
  assert.equal(readTime("11.8s"), 11_800_000_000);
  assert.equal(readTime("1e9s"), undefined);
});

test("no word about a record's fate is written outside the engine", () => {
  const words = /\b(lost|loss|loses|duplicat\w*|doubled|twice|reorder\w*|ghost\w*|acknowledg\w*|refus\w*|guarante\w*|skipped|delivered)\b/i;
  const folder = `${here}/../app/src`;
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts"))) {
    const lines = readFileSync(`${folder}/${file}`, "utf8").split("\n");
    lines.forEach((line, index) => {
      const code = line.replace(/^\s*(\/\/|\/\*\*|\*).*$/, "");
      const strings = code.match(/"[^"]*"|`[^`]*`|'[^']*'/g) ?? [];
      for (const string of strings) assert.ok(!words.test(string), `${file}:${index + 1}: ${string}`);
    });
  }
});
