// The engine behind the page: the module, one session in it, and what becomes of a bug.
//
// Long runs go on by slices, so that the page never hangs. A bug in the engine throws the module's instance away (door.js); here it
// becomes a `Stopped`, and whoever holds the session opens another one.

import init, { Exercise as ExerciseDoor, Session, library as libraryJson, version } from "klab-web";
import type { About, Answer, Frame, Info, Line, Link, Mistake, Offer, Story, Told } from "./frame.ts";

/** A slice may take so long, in milliseconds: less than a frame. */
const SLICE_MS = 10;
/** Events of the first slice; the next ones are as large as the time allows. */
const FIRST = 500;
/** While many seeds are tried, news come so often, in milliseconds. */
const TELL_MS = 150;

/** Mistakes of whoever wrote the scenario or the link. */
export class Wrong extends Error {
  readonly mistakes: Mistake[];
  constructor(mistakes: Mistake[]) {
    super(mistakes.map((mistake) => mistake.words).join("\n"));
    this.mistakes = mistakes;
  }
}

/** A bug in klab: this session is gone. */
export class Stopped extends Error {}

let ready: Promise<void> | undefined;

/** Loads the module, once. */
export function load(): Promise<void> {
  ready ??= init().then(() => undefined);
  return ready;
}

/** The scenarios that come with klab. */
export async function library(): Promise<Story[]> {
  await load();
  return JSON.parse(libraryJson()) as Story[];
}

export { version };

function asked<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const mistakes = parsed(words);
    throw mistakes ? new Wrong(mistakes) : new Stopped(words);
  }
}

function parsed(words: string): Mistake[] | undefined {
  if (!words.startsWith("[")) return undefined;
  try {
    return JSON.parse(words) as Mistake[];
  } catch {
    return undefined;
  }
}

/** Gives way to the browser: what it has to draw and to hear comes first. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

/** One run. Every answer is the engine's own. */
export class Run {
  readonly #session: Session;
  #open = true;

  constructor(text: string, twin: number, seed: bigint | undefined) {
    this.#session = asked(() => Session.open(text, twin, seed));
  }

  /** Runs to the end by slices; `tell` hears how many slices there were. False when it was closed meanwhile. */
  async whole(tell: (slices: number) => void): Promise<boolean> {
    let events = FIRST;
    for (let slices = 1; this.#open; slices++) {
      const began = performance.now();
      const done = asked(() => this.#session.run(events));
      if (done) return true;
      const took = performance.now() - began;
      events = Math.max(50, Math.min(100_000, Math.round((events * SLICE_MS) / Math.max(took, 0.5))));
      tell(slices);
      await breathe();
    }
    return false;
  }

  info(): Info {
    return JSON.parse(asked(() => this.#session.info())) as Info;
  }
  /** Goes towards a time; true when it is there. */
  seek(at: number): boolean {
    return asked(() => this.#session.seek(at, 20_000));
  }
  frame(at: number): Frame {
    return JSON.parse(asked(() => this.#session.frame(at))) as Frame;
  }
  frameText(at: number): string {
    return asked(() => this.#session.frame(at));
  }
  step(at: number, forward: boolean): number {
    return asked(() => this.#session.step(at, forward));
  }
  lines(at: number, before: number, after: number, everything: boolean): Line[] {
    return JSON.parse(asked(() => this.#session.lines(at, before, after, everything))) as Line[];
  }
  whyRecord(at: number, source: number, number: number): Link[] {
    return JSON.parse(asked(() => this.#session.why_record(at, source, number))) as Link[];
  }
  whyEvent(seq: number): Link[] {
    return JSON.parse(asked(() => this.#session.why_event(seq))) as Link[];
  }
  menu(at: number, a: string, b: string | undefined): Offer[] {
    return JSON.parse(asked(() => this.#session.menu(at, a, b))) as Offer[];
  }
  act(at: number, act: string): number {
    return asked(() => this.#session.act(at, act));
  }
  undo(): boolean {
    return asked(() => this.#session.undo());
  }
  set(pointer: string, json: string): void {
    asked(() => this.#session.set(pointer, json));
  }
  export(): string {
    return asked(() => this.#session.export());
  }
  rehearsePanic(): void {
    asked(() => this.#session.rehearse_panic());
  }
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    asked(() => this.#session.free());
  }
}

/** An exercise of the book. */
export class Exercise {
  readonly #door: ExerciseDoor;
  readonly about: About;
  #ticket = 0;

  constructor(text: string) {
    this.#door = asked(() => ExerciseDoor.open(text));
    this.about = JSON.parse(asked(() => this.#door.about())) as About;
  }

  /** The scenario with an answer in it. */
  scenario(answer: Answer): string {
    return asked(() => this.#door.scenario(JSON.stringify(answer)));
  }

  /** Tries an answer with many seeds, by slices; `tell` hears how it goes. A later attempt takes this one's place: then false. */
  async attempt(answer: Answer, tell: (told: Told) => void): Promise<boolean> {
    const ticket = ++this.#ticket;
    asked(() => this.#door.begin(JSON.stringify(answer)));
    let events = FIRST;
    let told = performance.now();
    while (ticket === this.#ticket) {
      const began = performance.now();
      const done = asked(() => this.#door.run(events));
      const now = performance.now();
      events = Math.max(50, Math.min(100_000, Math.round((events * SLICE_MS) / Math.max(now - began, 0.5))));
      if (done || now - told > TELL_MS) {
        told = now;
        tell(JSON.parse(asked(() => this.#door.told())) as Told);
      }
      if (done) return true;
      await breathe();
    }
    return false;
  }

  /** Whoever tries an answer stops. */
  stop(): void {
    this.#ticket++;
  }
}
