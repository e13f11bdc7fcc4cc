// The built book in Chromium, as a reader uses it. Run by `cargo xtask book --test`.
//
// What is baked must be what the page computes; both exercises must be solvable where they stand; nothing may load before a lab is
// opened, overlap, leak a key to the book, or leave the origin.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BOOK_POLICY, serve } from "../../web/app/serve.mjs";
import { chromium as browserPath } from "../../web/tests/place.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const packages = createRequire(join(here, "../../web/package.json"));
const { chromium } = packages("playwright-core");
const AXE = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");
const book = resolve(process.env.KLAB_BOOK ?? join(here, "../../target/book"));
/** A folder for screenshots, if somebody wants to look at them. */
const shots = process.env.KLAB_SHOTS;
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const EXERCISES = readdirSync(join(here, "../exercises")).map((file) => file.replace(".jsonc", ""));

let server;
let browser;
let origin;

before(async () => {
  server = await serve(book, 0, {}, BOOK_POLICY);
  origin = `http://localhost:${server.address().port}`;
  browser = await chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  server?.close();
});

/** A test with a page of its own, which must stay silent and at home. */
function reader(name, options, body) {
  test(name, { timeout: 180_000 }, async () => {
    const context = await browser.newContext({ viewport: DESKTOP, ...options });
    const page = await context.newPage();
    const errors = [];
    const asked = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (request) => asked.push(request.url()));
    try {
      await body(page, asked);
      assert.deepEqual(errors, [], "the console stays silent");
      const strangers = asked.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith("blob:") && !url.startsWith("data:"));
      assert.deepEqual(strangers, [], "no request leaves the origin");
    } finally {
      await context.close();
    }
  });
}

const chapter = (page) => page.goto(`${origin}/acks.html`);
const box = (page, n) => page.locator(".klab").nth(n);
/** Opens the lab of a box and waits until its run is known. */
async function open(page, n) {
  await box(page, n).locator(".klab-open button").click();
  await page.waitForFunction((at) => document.querySelectorAll(".klab")[at].querySelector("kafka-lab")?.info !== undefined, n, { timeout: 60_000 });
  return box(page, n).locator("kafka-lab");
}
async function exercise(page, id) {
  const at = await page.locator(".klab").evaluateAll((boxes, wanted) => boxes.findIndex((one) => one.dataset.attributes.includes(`exercise="${wanted}"`)), id);
  return open(page, at);
}
/** Presses Check and returns what is told at the end. */
async function check(page, lab) {
  const told = lab.evaluate((element) => new Promise((done) => element.addEventListener("klab-told", (event) => done(event.detail), { once: true })));
  await lab.locator("#check").click();
  return told;
}
async function choose(lab, setting, value) {
  await lab.locator(".exercise fieldset", { hasText: setting }).locator("label", { hasText: new RegExp(`^${value}$`) }).click();
}

reader("what is baked is what the page computes", {}, async (page) => {
  await chapter(page);
  const count = await page.locator(".klab").count();
  assert.equal(count, 5);
  for (let n = 0; n < count; n++) {
    const baked = await box(page, n).evaluate((one) => ({
      hash: one.dataset.hash,
      now: one.querySelector(".klab-now").textContent,
      clock: one.querySelector(".klab-clock").textContent,
      end: one.querySelector(".klab-end").textContent,
      evidence: [...one.querySelectorAll("details > p")].slice(1).map((p) => p.textContent),
      label: one.querySelector("img").alt,
      telling: [...one.querySelectorAll(".klab-telling li")].map((li) => li.textContent),
    }));
    const lab = await open(page, n);
    const computed = await lab.evaluate((element) => {
      const end = JSON.parse(element.frameAt(element.info.to));
      const { frame, info } = element;
      return { hash: info.hash, now: frame.verdict.headline, clock: `At ${frame.clock}.`, end: end.verdict.headline, evidence: end.verdict.evidence, label: frame.label };
    });
    const { telling, ...captions } = baked;
    assert.deepEqual(captions, computed, `lab ${n}`);
    assert.ok(telling.length > 2, `lab ${n}: ${telling}`);
  }
});

for (const id of EXERCISES) {
  reader(`${id}: not yet with the starter, each wrong answer for its own reason, solved with the solution`, {}, async (page) => {
    await chapter(page);
    const lab = await exercise(page, id);
    const file = JSON.parse(await box(page, 0).page().evaluate(async (wanted) => [...document.querySelectorAll("kafka-lab[exercise]")].find((one) => one.getAttribute("exercise") === wanted).querySelector("script").textContent, id));
    const starter = await check(page, lab);
    assert.equal(starter.solved, false);
    assert.ok(starter.headline.startsWith("Not yet: in "), starter.headline);
    assert.ok(starter.headline.includes(file.starter.fails), starter.headline);
    for (const wrong of file.wrong) {
      for (const [pointer, value] of Object.entries(wrong.set)) await choose(lab, pointer.split("/").at(-1), String(value));
      const told = await check(page, lab);
      assert.ok(!told.solved && told.headline.includes(wrong.fails), `${JSON.stringify(wrong.set)}: ${told.headline}`);
      const words = await lab.locator("#outcome").innerText();
      assert.ok(words.includes(wrong.says), words);
      for (const reason of wrong.because ?? []) assert.ok(words.includes(reason), words);
    }
    await lab.locator("#look").click();
    await lab.locator("#headline").waitFor();
    await lab.locator("#solve").click();
    await lab.locator("#outcome.tone-well").waitFor({ timeout: 60_000 });
    const words = await lab.locator("#outcome").innerText();
    assert.ok(words.includes(`Solved: all ${file["page-seeds"]} runs do what was asked.`), words);
    assert.ok(words.includes(file.solution.note), words);
  });
}

reader("nothing of a lab is loaded before one is opened, and a printed book keeps its posters", {}, async (page, asked) => {
  await chapter(page);
  await page.waitForLoadState("networkidle");
  assert.deepEqual(asked.filter((url) => /kafka-lab\.js|\.wasm/.test(url)), []);
  await page.addInitScript(() => {
    window.print = () => {};
  });
  await page.goto(`${origin}/print.html`);
  await page.waitForLoadState("networkidle");
  assert.equal(await page.locator(".klab").count(), 5);
  assert.equal(await page.locator(".klab-open:visible").count(), 0);
  const widths = await page.locator(".klab img:visible").evaluateAll((all) => all.map((image) => image.naturalWidth));
  assert.ok(widths.length === 5 && widths.every((width) => width > 0), String(widths));
});

reader("with scripts off the pictures, the verdicts and the tellings are there", { javaScriptEnabled: false }, async (page) => {
  await chapter(page);
  const text = await page.locator(".klab").first().textContent();
  assert.match(text, /acknowledged records? (is|are) lost/);
  assert.equal(await page.locator(".klab-open:visible").count(), 0);
});

reader("no key pressed in a lab turns a page of the book", {}, async (page) => {
  await chapter(page);
  const lab = await open(page, 0);
  await lab.locator("#primary").focus();
  for (const key of ["ArrowRight", "ArrowLeft", "s", "/", "?"]) await page.keyboard.press(key);
  assert.equal(page.url(), `${origin}/acks.html`);
  assert.equal(await page.locator("#mdbook-searchbar:visible, #searchbar:visible").count(), 0);
});

const looks = [
  ["desktop-light", DESKTOP, "light"],
  ["desktop-dark", DESKTOP, "navy"],
  ["phone-light", PHONE, "light"],
  ["phone-dark", PHONE, "navy"],
];
for (const [name, viewport, theme] of looks) {
  reader(`${name}: nothing is wider than the page, and axe finds nothing serious`, { viewport }, async (page) => {
    await page.addInitScript((wanted) => localStorage.setItem("mdbook-theme", wanted), theme);
    await chapter(page);
    await page.waitForLoadState("networkidle");
    if (shots) await shot(page, `${name}-posters`, true);
    await exercise(page, EXERCISES[0]).then((lab) => check(page, lab));
    await open(page, 0);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    const smallest = await page.evaluate(() => Math.min(...[...document.querySelectorAll("kafka-lab")].flatMap((lab) => [...lab.shadowRoot.querySelectorAll("p.note, span.note, .scope, summary, .headline, button")].filter((one) => one instanceof HTMLElement).map((one) => Number.parseFloat(getComputedStyle(one).fontSize)))));
    assert.ok(smallest >= 12.5, `a text of ${smallest} pixels`);
    if (shots) await shot(page, `${name}-labs`, true);
    await page.evaluate(AXE);
    const serious = await page.evaluate(async () => {
      const found = await globalThis.axe.run("main", { resultTypes: ["violations"] });
      return found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
    });
    assert.deepEqual(serious, []);
  });
}

reader("the reference fits a phone, and is in the book", { viewport: PHONE }, async (page) => {
  for (const [path, words] of [["reference/rules.html", "acks=all"], ["reference/settings.html", "replica.lag.time.max.ms"], ["reference/scenario.html", "/topics/*/replication.factor"], ["architecture.html", "Laws"], ["licence.html", "CC BY 4.0"]]) {
    await page.goto(`${origin}/${path}`);
    assert.ok((await page.locator("main").innerText()).includes(words), path);
    const hidden = await page.locator(".table-wrapper").evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length);
    assert.equal(hidden, 0, `${path}: a table is wider than the page`);
    if (shots) await shot(page, path.replaceAll("/", "-"), false);
  }
});

async function shot(page, name, fullPage) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage });
}
