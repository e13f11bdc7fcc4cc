// <kafka-lab>: one run that a reader plays, changes and asks. The same element serves the page and the book.
//
// Attributes: `scenario` (the name of one that comes with klab) or `src` (a URL of this origin) or a child
// <script type="application/json"> with the text (of an exercise, if it has the attribute `exercise`); `seed`, `twin` (from 1), `at` ("1800ms"), `theme` ("light", "dark"),
// `mode` ("story" hides the lists). It tells `klab-ready` and `klab-verdict` (detail: headline, hash, seed), and
// of an exercise `klab-told` (detail: id, headline, solved).
//
// Its state is the time, whether it plays, how fast, and what is chosen. Everything else is the engine's.

import { Exercise, load, library, Run, Stopped, Wrong, version } from "./engine.ts";
import { Learner } from "./exercise.ts";
import type { Answer, Frame, Info, Line, Link, Mistake, Offer, Setting, Wire } from "./frame.ts";
import { icon } from "./icons.ts";
import { readSeed, readTime, write, type Place } from "./link.ts";
import * as panels from "./panels.ts";
import { advance, SPEEDS, stops, type Speed } from "./player.ts";
import { stage, wireKey, type Spot } from "./stage.ts";
import css from "./style.css";
import { h, patch, type Element_, type Tree } from "./vdom.ts";

/** What is opened: everything that a run depends on. */
export interface Source extends Place {
  text: string;
  /** Who does an exercise whose scenario the text is. */
  learner?: Learner;
}

interface Asked {
  title: string;
  links: Link[];
}

/** With reduced motion a story goes from mark to mark, one in so many milliseconds. */
const STILL_MS = 700;
/** So far off its line a thing still lies straight ahead, in pixels of the picture. */
const STRAIGHT = 14;
const EVENTS_BEFORE = 40;
const EVENTS_AFTER = 60;

export class KafkaLab extends HTMLElement {
  static readonly observedAttributes = ["scenario", "src", "seed", "twin"];

  readonly #root: ShadowRoot;
  #source: Source | undefined;
  #run: Run | undefined;
  #info: Info | undefined;
  #frame: Frame | undefined;
  #spots: Spot[] = [];
  #busy: string | undefined = "The engine is loading";
  #mistakes: Mistake[] = [];
  #notice: string | undefined;

  #t = 0;
  #playing = 0;
  #speed: Speed = "story";
  #chosen: string | undefined;
  #menu: { key: string; words: string; offers: Offer[]; x: number; y: number } | undefined;
  #tab: panels.Tab = "events";
  #everything = false;
  #asked: Asked | undefined;
  #wanted = new Map<string, string>();
  #dared = false;
  #target = "process:broker-1";
  #width = 0;
  #ticket = 0;
  #lastTick = 0;
  #stillFor = 0;
  #told = "";
  #pending = false;
  #opening = false;
  /** Script time of each drawn frame, in milliseconds, the latest last. */
  readonly frameTimes: number[] = [];

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    this.#root.adoptedStyleSheets = [sheet];
    this.#root.addEventListener("keydown", (event) => this.#key(event as KeyboardEvent));
    this.#root.addEventListener("click", (event) => this.#click(event));
  }

  connectedCallback(): void {
    new ResizeObserver(() => this.#resize()).observe(this);
    this.#draw();
    if (!this.#source) this.#openFromAttributes();
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.#openFromAttributes();
  }

  /** The run as a whole, once it is known. */
  get info(): Info | undefined {
    return this.#info;
  }
  /** The picture that is shown. */
  get frame(): Frame | undefined {
    return this.#frame;
  }
  get time(): number {
    return this.#t;
  }
  /** The file of this very run. */
  export(): string {
    return this.#run?.export() ?? "";
  }
  /** The engine's picture at a time, as text, for tests. */
  frameAt(at: number): string {
    return this.#run?.frameText(at) ?? "";
  }
  /** Panics the engine on purpose, for tests. */
  rehearsePanic(): void {
    this.#guarded(() => this.#run?.rehearsePanic());
  }

  #openFromAttributes(): void {
    // Several attributes may change at once.
    if (this.#opening) return;
    this.#opening = true;
    queueMicrotask(() => {
      this.#opening = false;
      void this.#attributes().then(
        (source) => source && this.open(source),
        (error: unknown) => this.#fail(error),
      );
    });
  }

  async #attributes(): Promise<Source | undefined> {
    const place: Place = {};
    const seed = readSeed(this.getAttribute("seed"));
    if (seed !== undefined) place.seed = seed;
    const twin = Number(this.getAttribute("twin") ?? 0);
    if (Number.isInteger(twin) && twin > 0) place.twin = twin;
    const at = readTime(this.getAttribute("at"));
    if (at !== undefined) place.at = at;
    const src = this.getAttribute("src");
    if (src !== null) {
      const answer = await fetch(src);
      if (!answer.ok) throw new Error(`${src}: ${answer.status} ${answer.statusText}`);
      return { ...place, text: await answer.text() };
    }
    const name = this.getAttribute("scenario");
    if (name !== null) {
      const found = (await library()).find((story) => story.name === name);
      if (!found) throw new Error(`klab has no scenario called ${JSON.stringify(name)}`);
      return { ...place, scenario: name, text: found.text };
    }
    const inline = this.querySelector('script[type="application/json"]')?.textContent;
    if (!inline) return undefined;
    if (!this.hasAttribute("exercise")) return { ...place, text: inline };
    await load();
    const exercise = new Exercise(inline);
    const { witness } = exercise.about;
    if (witness !== null) place.seed ??= BigInt(witness);
    return { ...place, text: exercise.scenario({}), learner: this.#learn(exercise) };
  }

  /** Opens a scenario: runs it whole, and stands still just before its first fault, or at the time that is asked for. */
  async open(source: Source): Promise<void> {
    this.#source = source;
    this.#notice = undefined;
    this.#wanted.clear();
    this.#asked = undefined;
    this.#chosen = undefined;
    this.#dared = false;
    try {
      await load();
      this.#run?.close();
      this.#run = undefined;
      this.#run = new Run(source.text, source.twin ?? 0, source.seed);
      await this.#whole(source.at);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Runs to the end, by slices, and then goes to a time. */
  async #whole(at: number | undefined): Promise<boolean> {
    const run = this.#run;
    const ticket = ++this.#ticket;
    this.#playing = 0;
    this.#menu = undefined;
    this.#mistakes = [];
    this.#busy = "The run is computed";
    this.#draw();
    const whole = await run?.whole(() => undefined);
    if (!run || !whole || ticket !== this.#ticket) return false;
    this.#busy = undefined;
    this.#info = run.info();
    for (const setting of this.#info.settings) {
      const now = setting.now === null ? undefined : setting.values[setting.now]?.json;
      if (this.#wanted.get(setting.pointer) === now) this.#wanted.delete(setting.pointer);
    }
    this.#go(at ?? this.#info.opening?.at ?? 0);
    this.dispatchEvent(new CustomEvent("klab-ready", { bubbles: true, composed: true, detail: { hash: this.#info.hash, seed: this.#info.seed } }));
    return true;
  }

  #fail(error: unknown): void {
    this.#busy = undefined;
    this.#playing = 0;
    if (error instanceof Wrong) {
      this.#mistakes = error.mistakes;
      this.#draw();
    } else if (error instanceof Stopped) {
      void this.#recover(error);
    } else {
      this.#mistakes = [{ words: error instanceof Error ? error.message : String(error), place: null }];
      this.#draw();
    }
  }

  /** A bug in the engine: its instance is gone. Another one opens the same scenario at the same time. */
  async #recover(error: Stopped): Promise<void> {
    const again = this.#notice === undefined;
    this.#run = undefined;
    const source = this.#source;
    const at = this.#t;
    if (again && source) {
      this.#notice = error.message;
      try {
        this.#run = new Run(source.text, source.twin ?? 0, source.seed);
        await this.#whole(at);
        return;
      } catch (second) {
        this.#mistakes = [{ words: second instanceof Error ? second.message : String(second), place: null }];
      }
    } else {
      this.#mistakes = [{ words: error.message, place: null }];
    }
    this.#busy = undefined;
    this.#draw();
  }

  #guarded<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  // An exercise.

  /** What the settings say now. */
  #answerNow(): Answer {
    const now = (setting: Setting): string | undefined => this.#wanted.get(setting.pointer) ?? setting.values[setting.now ?? -1]?.json;
    return Object.fromEntries((this.#info?.settings ?? []).flatMap((setting) => [[setting.pointer, now(setting)] as const]).filter((one): one is [string, string] => one[1] !== undefined));
  }

  #learn(exercise: Exercise): Learner {
    return new Learner(exercise, {
      answer: () => this.#answerNow(),
      choose: (pointer, json) => this.#choose(pointer, json),
      draw: () => this.#draw(),
      fail: (error) => this.#fail(error),
      told: (detail) => {
        this.#announced = detail.headline;
        this.dispatchEvent(new CustomEvent("klab-told", { bubbles: true, composed: true, detail }));
      },
      open: async (text, seed) => {
        await this.open({ ...this.#source, text, seed });
        this.#root.getElementById("headline")?.scrollIntoView({ block: "center" });
      },
    });
  }

  // Time.

  #go(at: number): void {
    if (!this.#info) return;
    this.#t = Math.max(0, Math.min(Math.round(at), this.#info.to));
    this.#show();
  }

  #seek(at: number): void {
    this.#playing = 0;
    this.#dared = true;
    this.#menu = undefined;
    this.#go(at);
  }

  /** Draws the moment, as soon as the engine has come there; never more than a slice at once. */
  #show(): void {
    const run = this.#run;
    if (!run || this.#busy !== undefined) return;
    this.#guarded(() => {
      if (!run.seek(this.#t)) {
        if (!this.#pending) {
          this.#pending = true;
          requestAnimationFrame(() => {
            this.#pending = false;
            this.#show();
          });
        }
        return;
      }
      this.#frame = run.frame(this.#t);
      this.#draw();
      this.#tellVerdict();
    });
  }

  #tellVerdict(): void {
    const said = this.#frame?.verdict;
    if (!said?.last_word || this.#told === `${this.#info?.hash}`) return;
    this.#told = `${this.#info?.hash}`;
    this.#announced = said.headline;
    this.#draw();
    const detail = { headline: said.headline, hash: this.#info?.hash, seed: this.#info?.seed };
    this.dispatchEvent(new CustomEvent("klab-verdict", { bubbles: true, composed: true, detail }));
  }

  #play(direction: number): void {
    const info = this.#info;
    if (!info) return;
    this.#dared = true;
    this.#menu = undefined;
    if (direction > 0 && this.#t >= info.to) this.#t = info.opening?.at ?? 0;
    if (direction < 0 && this.#t <= 0) direction = 0;
    const was = this.#playing;
    this.#playing = direction;
    if (direction !== 0 && was === 0) {
      this.#lastTick = performance.now();
      this.#stillFor = 0;
      requestAnimationFrame((now) => this.#tick(now));
    }
    this.#draw();
  }

  #tick(now: number): void {
    const info = this.#info;
    if (this.#playing === 0 || !info || this.#busy !== undefined) return;
    const began = performance.now();
    const passed = Math.min(100, Math.max(0, now - this.#lastTick));
    this.#lastTick = now;
    const all = this.#stops(info);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) {
      this.#stillFor += passed;
      if (this.#stillFor >= STILL_MS) {
        this.#stillFor = 0;
        this.#t = this.#playing > 0 ? (all.find((stop) => stop > this.#t) ?? info.to) : (all.findLast((stop) => stop < this.#t) ?? 0);
        this.#show();
      }
    } else {
      this.#t = this.#playing > 0 ? advance(this.#t, passed, this.#speed, all, info.to) : info.to - advance(info.to - this.#t, passed, this.#speed, all.map((stop) => info.to - stop).reverse(), info.to);
      this.#t = Math.round(this.#t);
      this.#show();
    }
    if ((this.#playing > 0 && this.#t >= info.to) || (this.#playing < 0 && this.#t <= 0)) {
      this.#playing = 0;
      this.#draw();
    }
    this.frameTimes.push(performance.now() - began);
    if (this.frameTimes.length > 2000) this.frameTimes.splice(0, 1000);
    requestAnimationFrame((next) => this.#tick(next));
  }

  #stops(info: Info): number[] {
    return stops(info.marks, info.opening?.at ?? 0, info.to);
  }

  #step(forward: boolean): void {
    this.#guarded(() => {
      const at = this.#run?.step(this.#t, forward);
      if (at !== undefined) this.#seek(at);
    });
  }

  #jump(forward: boolean): void {
    const info = this.#info;
    if (!info) return;
    const all = this.#stops(info);
    this.#seek((forward ? all.find((stop) => stop > this.#t) : all.findLast((stop) => stop < this.#t)) ?? (forward ? info.to : 0));
  }

  // What is done to the run.

  async #act(offer: Offer): Promise<void> {
    const run = this.#run;
    if (!run) return;
    const speed = this.#playing;
    this.#menu = undefined;
    try {
      const at = run.act(this.#t, offer.act);
      this.#dared = true;
      if ((await this.#whole(at)) && speed !== 0) this.#play(speed);
      this.#focusSpot();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #undo(): Promise<void> {
    const at = this.#t;
    if (this.#guarded(() => this.#run?.undo())) await this.#whole(at).catch((error: unknown) => this.#fail(error));
  }

  async #runAgain(): Promise<void> {
    const run = this.#run;
    if (!run) return;
    try {
      for (const [pointer, json] of this.#wanted) run.set(pointer, json);
      this.#wanted.clear();
      this.#asked = undefined;
      if (await this.#whole(undefined)) this.#play(1);
    } catch (error) {
      this.#wanted.clear();
      this.#fail(error);
    }
  }

  #choose(pointer: string, json: string): void {
    const setting = this.#info?.settings.find((one) => one.pointer === pointer);
    const now = setting && setting.now !== null ? setting.values[setting.now]?.json : undefined;
    if (json === now) this.#wanted.delete(pointer);
    else this.#wanted.set(pointer, json);
    this.#source?.learner?.forget();
    this.#draw();
  }

  #askRecord(source: number, number: number): void {
    const title = this.#frame?.verdict.records.find((one) => one.source === source && one.number === number)?.words;
    const links = this.#guarded(() => this.#run?.whyRecord(this.#t, source, number));
    if (links) this.#answer({ title: title ?? this.#cellWords(source, number), links });
  }

  #cellWords(source: number, number: number): string {
    for (const partition of this.#frame?.partitions ?? [])
      for (const replica of partition.replicas)
        for (const cell of replica.cells) if (cell.source === source && cell.number === number) return cell.words;
    return `#${number}`;
  }

  #askEvent(line: Line | undefined, seq: number): void {
    const links = this.#guarded(() => this.#run?.whyEvent(seq));
    // Asking leads the engine to another time; the picture stays.
    if (links) this.#answer({ title: line?.words ?? `#${seq}`, links });
  }

  #answer(asked: Asked): void {
    this.#asked = asked;
    this.#tab = "why";
    this.#draw();
    const panel = this.#root.getElementById("panel");
    panel?.scrollTo({ top: 0 });
    if (panel && panel.getBoundingClientRect().top > innerHeight * 0.85) panel.scrollIntoView({ block: "nearest" });
  }

  async #share(): Promise<void> {
    const info = this.#info;
    const source = this.#source;
    if (!info || !source) return;
    const plain = !info.changed && info.acts.length === 0;
    const place: Place = { at: this.#t, seed: BigInt(info.seed) };
    if (plain && source.twin) place.twin = source.twin;
    if (plain && source.scenario !== undefined) place.scenario = source.scenario;
    else place.text = plain ? source.text : this.export();
    const hash = await write(place);
    this.dispatchEvent(new CustomEvent("klab-link", { bubbles: true, composed: true, detail: { hash } }));
    const url = new URL(hash, location.href).href;
    try {
      await navigator.clipboard.writeText(url);
      this.#notify("The link is copied: it holds the scenario, the seed and this time.");
    } catch {
      this.#notify("The address of the page now holds the scenario, the seed and this time.");
    }
  }

  #save(): void {
    const url = URL.createObjectURL(new Blob([this.export()], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `klab-${this.#info?.seed ?? 0}.jsonc`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    this.#notify(`Saved as ${link.download}: klab run ${link.download} gives the same run, hash ${this.#info?.hash ?? ""}.`);
  }

  #notify(words: string): void {
    this.#announced = words;
    this.#toast = words;
    this.#draw();
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => {
      this.#toast = undefined;
      this.#draw();
    }, 6000);
  }
  /** What a screen reader is told: the last word, and what was done; never while it plays. */
  #announced = "";
  #toast: string | undefined;
  #toastTimer: ReturnType<typeof setTimeout> | undefined;

  // The picture: choosing, menus, keys.

  #click(event: Event): void {
    const spot = (event.target as Element).closest?.("[data-spot]");
    if (spot) this.#use(spot.getAttribute("data-spot") ?? "");
    else if (this.#menu && !(event.target as Element).closest?.(".popover")) {
      this.#menu = undefined;
      this.#draw();
    }
  }

  /** Opens the menu of a machine or a link; asks why of a record. */
  #use(key: string): void {
    this.#chosen = key;
    const record = this.#recordOf(key);
    if (record) {
      this.#menu = undefined;
      this.#askRecord(record.source, record.number);
      this.#focusSpot();
      return;
    }
    const spot = this.#spots.find((one) => one.key === key);
    const offers = this.#offersFor(key);
    this.#playing = 0;
    this.#dared = true;
    this.#target = key;
    this.#menu = { key, words: this.#wordsFor(key), offers, x: spot?.x ?? 0, y: spot?.y ?? 0 };
    this.#draw();
    this.#placeMenu();
    const first = this.#root.querySelector<HTMLElement>(".popover .offer") ?? this.#root.querySelector<HTMLElement>(".popover button");
    first?.focus({ preventScroll: true });
  }

  #placeMenu(): void {
    const popover = this.#root.querySelector(".popover") as HTMLElement | null;
    const canvas = this.#root.getElementById("stage");
    if (!popover || !canvas || !this.#menu) return;
    const x = this.#menu.x - canvas.scrollLeft;
    const left = Math.max(6, Math.min(x - popover.offsetWidth / 2, canvas.clientWidth - popover.offsetWidth - 6));
    popover.style.left = `${left}px`;
    popover.style.top = `${Math.max(4, Math.min(this.#menu.y + 18, canvas.clientHeight - 40))}px`;
  }

  #recordOf(key: string): { source: number; number: number } | undefined {
    const found = /^record:(.+)@(\d+):(\d+)$/.exec(key);
    if (!found) return undefined;
    const partition = this.#frame?.partitions.find((one) => one.name === found[1]);
    const replica = partition?.replicas.find((one) => one.broker === Number(found[2]));
    const cell = replica?.cells.find((one) => one.offset === Number(found[3]));
    return cell && cell.source !== null && cell.number !== null ? { source: cell.source, number: cell.number } : undefined;
  }

  #offersFor(key: string): Offer[] {
    const [kind, name = ""] = [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)];
    const [a = "", b] = kind === "link" ? name.split("|") : [name];
    return this.#guarded(() => this.#run?.menu(this.#t, a, b)) ?? [];
  }

  #wordsFor(key: string): string {
    const wire = this.#frame?.wires.find((one: Wire) => wireKey(one) === key);
    return wire ? wire.words : key.slice(key.indexOf(":") + 1);
  }

  #targets(): panels.Target[] {
    const frame = this.#frame;
    if (!frame) return [];
    const machines = [...frame.servers, ...frame.producers, ...frame.consumers].map((one) => ({ key: `process:${one.name}`, words: one.name }));
    return [...machines, ...frame.wires.map((wire) => ({ key: wireKey(wire), words: `link ${wire.a} – ${wire.b}` }))];
  }

  #focusSpot(): void {
    const key = this.#chosen;
    if (key === undefined) return;
    const found = [...this.#root.querySelectorAll<SVGElement>("[data-spot]")].find((one) => one.getAttribute("data-spot") === key);
    found?.focus({ preventScroll: true });
  }

  /** From what is chosen to the nearest in a direction. */
  #move(dx: number, dy: number): void {
    const from = this.#spots.find((spot) => spot.key === this.#chosen);
    if (!from) {
      this.#chosen = this.#spots.find((spot) => spot.key.startsWith("process:broker"))?.key ?? this.#spots[0]?.key;
    } else {
      let best: { key: string; far: number } | undefined;
      for (const spot of this.#spots) {
        const ahead = (spot.x - from.x) * dx + (spot.y - from.y) * dy;
        const aside = Math.abs((spot.x - from.x) * dy) + Math.abs((spot.y - from.y) * dx);
        if (spot.key === from.key || ahead < 2) continue;
        // What lies in one row or column with it comes before anything else.
        const far = aside <= STRAIGHT ? ahead : 10_000 + ahead + aside * 2.5;
        if (!best || far < best.far) best = { key: spot.key, far };
      }
      this.#chosen = best?.key ?? this.#chosen;
    }
    this.#draw();
    this.#focusSpot();
  }

  #key(event: KeyboardEvent): void {
    const target = event.composedPath()[0] as HTMLElement;
    const tag = target.tagName;
    const types = tag === "SELECT" || tag === "TEXTAREA" || (tag === "INPUT" && (target as HTMLInputElement).type !== "range");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && this.#menu) {
      this.#menu = undefined;
      this.#draw();
      this.#focusSpot();
    } else if (types) {
      return;
    } else if (target.getAttribute("role") === "tab" && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      const at = panels.TABS.indexOf(this.#tab) + (event.key === "ArrowRight" ? 1 : panels.TABS.length - 1);
      this.#setTab(panels.TABS[at % panels.TABS.length] ?? "events");
      this.#root.getElementById(`tab-${this.#tab}`)?.focus();
    } else if (!this.#shortcut(event, target, tag)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** True if the key means something here. */
  #shortcut(event: KeyboardEvent, target: HTMLElement, tag: string): boolean {
    const spot = target.closest?.("[data-spot]");
    const isButton = tag === "BUTTON" || tag === "SUMMARY" || tag === "A";
    const slider = tag === "INPUT";
    switch (event.key) {
      case " ":
        if (isButton) return false;
        this.#play(this.#playing === 0 ? 1 : 0);
        return true;
      case "Enter":
        if (!spot) return false;
        this.#use(spot.getAttribute("data-spot") ?? "");
        return true;
      case ".":
        this.#step(true);
        return true;
      case ",":
        this.#step(false);
        return true;
      case "]":
        this.#jump(true);
        return true;
      case "[":
        this.#jump(false);
        return true;
      case "Home":
        this.#seek(0);
        return true;
      case "End":
        this.#seek(this.#info?.to ?? 0);
        return true;
      case "1":
      case "2":
      case "3":
      case "4":
      case "5":
        this.#setSpeed(SPEEDS[Number(event.key) - 1]?.speed ?? "story");
        return true;
      case "ArrowLeft":
      case "ArrowRight":
      case "ArrowUp":
      case "ArrowDown": {
        if (slider || this.#menu) return this.#menu !== undefined && this.#moveInMenu(event.key);
        if (!spot && target !== this.#root.getElementById("stage")) return false;
        const sign = event.key === "ArrowLeft" || event.key === "ArrowUp" ? -1 : 1;
        if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.#move(sign, 0);
        else this.#move(0, sign);
        return true;
      }
      case "Escape":
        target.blur();
        return true;
    }
    switch (event.key.toLowerCase()) {
      case "b":
        this.#play(this.#playing < 0 ? 0 : -1);
        return true;
      case "u":
        void this.#undo();
        return true;
      case "f":
        if (this.#chosen !== undefined && !this.#chosen.startsWith("record:")) this.#target = this.#chosen;
        this.#setTab("faults");
        this.#root.querySelector<HTMLElement>("#panel select")?.focus();
        return true;
      case "w": {
        const record = this.#chosen === undefined ? undefined : this.#recordOf(this.#chosen);
        const first = this.#frame?.verdict.records[0];
        if (record) this.#askRecord(record.source, record.number);
        else if (first) this.#askRecord(first.source, first.number);
        else this.#setTab("why");
        return true;
      }
      case "d":
        this.#notify(this.#frame?.label ?? "");
        return true;
    }
    return false;
  }

  #moveInMenu(key: string): boolean {
    const buttons = [...this.#root.querySelectorAll<HTMLElement>(".popover button")];
    const at = buttons.indexOf(this.#root.activeElement as HTMLElement);
    const next = key === "ArrowDown" || key === "ArrowRight" ? at + 1 : at - 1 + buttons.length;
    buttons[next % Math.max(buttons.length, 1)]?.focus();
    return true;
  }

  #setTab(tab: panels.Tab): void {
    this.#tab = tab;
    this.#draw();
  }

  #setSpeed(speed: Speed): void {
    this.#speed = speed;
    this.#draw();
  }

  #resize(): void {
    const width = this.#root.getElementById("stage")?.clientWidth ?? this.clientWidth;
    if (Math.abs(width - this.#width) >= 1) this.#draw();
  }

  // Drawing.

  #draw(): void {
    const inPicture = this.#root.activeElement?.closest("#stage") !== null && this.#root.activeElement !== null;
    patch(this.#root, [h("div", { class: `lab ${this.getAttribute("mode") ?? "lab"}`, key: "lab" }, this.#trees())]);
    const canvas = this.#root.getElementById("stage");
    if (canvas && this.#frame && canvas.clientWidth !== this.#width) {
      this.#width = canvas.clientWidth;
      this.#draw();
      return;
    }
    // What was chosen may be gone at another time: the keys stay with the picture.
    if (inPicture && this.#root.activeElement === null) {
      this.#chosen = undefined;
      canvas?.setAttribute("tabindex", "0");
      canvas?.focus({ preventScroll: true });
    }
    this.#follow();
  }

  /** Keeps the line of now in sight, inside its own list alone. */
  #follow(): void {
    const panel = this.#root.getElementById("panel");
    const now = this.#tab === "events" ? panel?.querySelector<HTMLElement>('[aria-current="true"]') : null;
    if (!panel || !now || now === this.#followed) return;
    this.#followed = now;
    panel.scrollTop += now.getBoundingClientRect().top - panel.getBoundingClientRect().top - panel.clientHeight * 0.4;
  }
  #followed: HTMLElement | undefined;

  #trees(): Tree[] {
    const trees: Tree[] = [h("div", { key: "live", id: "told", class: "hidden", role: "status" }, this.#announced)];
    const info = this.#info;
    const frame = this.#frame;
    if (this.#notice !== undefined) {
      trees.push(h("div", { key: "notice", class: "notice", role: "alert" }, h("p", null, "The engine stopped and was started anew: ", this.#notice), h("button", { type: "button", class: "plain", onclick: () => this.#dismiss() }, "Close")));
    }
    if (this.#mistakes.length > 0) trees.push(panels.mistakes(this.#mistakes));
    if (this.#toast !== undefined) trees.push(h("div", { key: "toast", class: "toast" }, this.#toast));
    if (!info || !frame) {
      if (this.#mistakes.length === 0) trees.push(h("p", { key: "busy", class: "busy" }, this.#busy ?? ""));
      return trees;
    }
    const choices = (): Element_ | null => panels.offers(info, this.#wanted, (pointer, json) => this.#choose(pointer, json));
    const learner = this.#source?.learner;
    trees.push(panels.header(info, version(), () => void this.#share(), () => this.#save(), () => void this.#undo()));
    if (learner) trees.push(learner.card(choices()));
    trees.push(panels.verdict(frame, this.#primary(info), this.#ahead(info), (source, number) => this.#askRecord(source, number)));
    const offers = !learner && this.#offersAreOpen(info, frame) ? choices() : null;
    if (offers) trees.push(offers);
    trees.push(h("div", { key: "main", class: "main" }, h("div", { key: "left", class: "left" }, this.#stageTree(frame), this.#transport(info, frame), h("div", { key: "help", class: "help" }, panels.legend(), panels.keys())), this.#side(info, frame)));
    return trees;
  }

  #dismiss(): void {
    this.#notice = undefined;
    this.#draw();
  }

  /** The one button: it lets the fault happen, ends the waiting, or runs again with what was changed. */
  #primary(info: Info): { words: string; act: () => void } | undefined {
    if (this.#busy !== undefined) return undefined;
    if (this.#wanted.size > 0) return { words: "Run again", act: () => void this.#runAgain() };
    if (this.#playing > 0 && this.#speed === "story") return { words: "Skip to the end", act: () => this.#seek(info.to) };
    if (!this.#dared && info.opening && this.#t <= info.opening.at) {
      return {
        words: info.opening.dare,
        act: () => {
          this.#speed = "story";
          this.#play(1);
        },
      };
    }
    if (this.#t >= info.to) return { words: "Watch again", act: () => this.#play(1) };
    return undefined;
  }

  #ahead(info: Info): string | undefined {
    return !this.#dared && info.opening && this.#t <= info.opening.at && this.#playing === 0 ? info.opening.ahead : undefined;
  }

  #offersAreOpen(info: Info, frame: Frame): boolean {
    return frame.over || this.#wanted.size > 0 || (info.changed && this.#playing === 0);
  }

  #stageTree(frame: Frame): Element_ {
    const width = this.#width || this.clientWidth || 600;
    const drawn = stage(frame, width, this.#chosen);
    this.#spots = drawn.spots;
    const hasChosen = drawn.spots.some((spot) => spot.key === this.#chosen);
    const menu = this.#menu;
    return h(
      "div",
      { key: "stage", class: "stage-box" },
      h("div", { key: "canvas", id: "stage", class: "stage", tabindex: hasChosen ? -1 : 0, role: "group", "aria-label": "Picture; arrow keys move in it" }, drawn.tree),
      this.#busy === undefined ? null : h("p", { key: "busy", class: "busy over", role: "status" }, this.#busy),
      menu
        ? h(
            "div",
            { key: "popover", class: "popover", role: "dialog", "aria-label": menu.words },
            h("div", { class: "popover-head" }, h("strong", null, menu.words), h("button", { type: "button", class: "tool", "aria-label": "Close", onclick: () => this.#closeMenu() }, icon("close"))),
            menu.offers.length === 0 ? h("p", { class: "note" }, "Nothing can be done to it at this time.") : menu.offers.map((offer) => h("button", { key: offer.words, type: "button", class: "offer", onclick: () => void this.#act(offer) }, offer.words)),
          )
        : null,
    );
  }

  #closeMenu(): void {
    this.#menu = undefined;
    this.#draw();
    this.#focusSpot();
  }

  #transport(info: Info, frame: Frame): Element_ {
    return panels.transport({
      t: this.#t,
      width: this.#width,
      info,
      clock: frame.clock,
      playing: this.#playing,
      speed: this.#speed,
      seek: (at) => this.#seek(at),
      play: (direction) => this.#play(direction),
      step: (forward) => this.#step(forward),
      jump: (forward) => this.#jump(forward),
      setSpeed: (speed) => this.#setSpeed(speed),
    });
  }

  #side(info: Info, frame: Frame): Element_ {
    return h("section", { key: "side", class: "side", "aria-label": "Run in words" }, panels.tabs(this.#tab, (tab) => this.#setTab(tab)), h("div", { key: this.#tab, id: "panel", class: "panel-body", role: "tabpanel", tabindex: 0, "aria-labelledby": `tab-${this.#tab}` }, this.#panel(info, frame)));
  }

  #lines: { at: number; everything: boolean; run: Run | undefined; lines: Line[] } | undefined;

  #panel(info: Info, frame: Frame): Tree[] {
    switch (this.#tab) {
      case "events": {
        const key = this.#everything ? frame.seq : 0;
        const known = this.#lines;
        if (!known || known.run !== this.#run || known.everything !== this.#everything || known.at !== key) {
          const lines = this.#busy === undefined ? this.#guarded(() => this.#run?.lines(this.#t, this.#everything ? EVENTS_BEFORE : 400, this.#everything ? EVENTS_AFTER : 400, this.#everything)) : undefined;
          this.#lines = { at: key, everything: this.#everything, run: this.#run, lines: lines ?? known?.lines ?? [] };
        }
        const go = (line: Line): void => this.#seek(line.at);
        const ask = (seq: number): void => this.#askEvent(this.#lines?.lines.find((line) => line.seq === seq), seq);
        return panels.events(this.#lines?.lines ?? [], this.#t, this.#everything, go, ask, (on) => {
          this.#everything = on;
          this.#draw();
        });
      }
      case "why":
        return panels.why(this.#asked?.links ?? [], this.#asked?.title, (line) => this.#seek(line.at));
      case "faults": {
        const choose = (key: string): void => {
          this.#target = key;
          this.#chosen = key;
          this.#draw();
        };
        const offers = this.#busy === undefined ? this.#offersFor(this.#target) : [];
        return panels.faults(info, this.#targets(), this.#target, offers, choose, (offer) => void this.#act(offer), () => void this.#undo());
      }
      case "settings":
        return [
          panels.offers(info, this.#wanted, (pointer, json) => this.#choose(pointer, json)) ?? h("p", { key: "none", class: "note" }, "This scenario offers no setting to change."),
          this.#wanted.size > 0 ? h("button", { key: "again", type: "button", class: "primary small", onclick: () => void this.#runAgain() }, "Run again") : null,
          h("p", { key: "note", class: "note" }, "A changed setting runs again on the same seed: chance stays as it was."),
          h("dl", { key: "facts", class: "facts" }, h("dt", null, "hash"), h("dd", null, h("code", null, info.hash)), h("dt", null, "facts"), h("dd", null, String(info.records)), h("dt", null, "klab"), h("dd", null, version())),
        ].filter((tree) => tree !== null);
    }
  }
}

if (!customElements.get("kafka-lab")) customElements.define("kafka-lab", KafkaLab);
