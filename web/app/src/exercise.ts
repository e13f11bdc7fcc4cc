// An exercise in a lab: what is asked, what may be changed, and what became of an answer. It holds how far its reader is; every word
// about what became of an answer is the engine's or the author's.

import type { Exercise } from "./engine.ts";
import type { Answer, Told } from "./frame.ts";
import { h, type Element_, type Handler, type Tree } from "./vdom.ts";

/** The lab around it. */
export interface Host {
  answer(): Answer;
  choose(pointer: string, json: string): void;
  draw(): void;
  fail(error: unknown): void;
  told(detail: { id: string; headline: string; solved: boolean }): void;
  open(text: string, seed: bigint): Promise<void>;
}

export class Learner {
  readonly #exercise: Exercise;
  readonly #host: Host;
  #told: Told | undefined;
  #trying = false;
  /** So many hints are shown. */
  #hints = 0;

  constructor(exercise: Exercise, host: Host) {
    this.#exercise = exercise;
    this.#host = host;
  }

  /** The answer is another one now. */
  forget(): void {
    this.#exercise.stop();
    this.#trying = false;
    this.#told = undefined;
  }

  async #check(): Promise<void> {
    this.#trying = true;
    try {
      const whole = await this.#exercise.attempt(this.#host.answer(), (told) => {
        this.#told = told;
        this.#host.draw();
      });
      // Another answer is being tried, or none.
      if (!whole) return;
      const { headline, solved } = this.#told ?? { headline: "", solved: false };
      this.#host.told({ id: this.#exercise.about.id, headline, solved });
    } catch (error) {
      this.#host.fail(error);
    }
    this.#trying = false;
    this.#host.draw();
  }

  #solve(): void {
    for (const [pointer, json] of Object.entries(this.#exercise.about.solution)) this.#host.choose(pointer, json);
    void this.#check();
  }

  /** Opens the run that shows best what is the matter with the answer. */
  #look(): void {
    const seed = this.#told?.seed;
    if (seed === null || seed === undefined) return;
    this.#host.open(this.#exercise.scenario(this.#host.answer()), BigInt(seed)).catch((error: unknown) => this.#host.fail(error));
  }

  /** `offers` are the settings to choose from. */
  card(offers: Tree | null): Element_ {
    const { about } = this.#exercise;
    const hint = (): void => {
      this.#hints++;
      this.#host.draw();
    };
    return h(
      "section",
      { key: "exercise", class: "exercise", "aria-label": "Exercise" },
      h("p", { key: "asks", class: "asks" }, about.asks),
      h(
        "ul",
        { key: "expect", class: "expect" },
        about.expect.map(([what, meaning]) => h("li", { key: what }, h("code", null, what), h("span", { class: "note" }, ` ${meaning}`))),
      ),
      offers,
      h(
        "div",
        { key: "acts", class: "acts-row" },
        h("button", { key: "check", id: "check", type: "button", class: "primary small", disabled: this.#trying, onclick: () => void this.#check() }, `Check with ${about.seeds} seeds`),
        this.#hints < about.hints.length ? h("button", { key: "hint", type: "button", class: "plain", onclick: hint }, this.#hints === 0 ? "A hint" : "Another hint") : null,
        h("button", { key: "solve", id: "solve", type: "button", class: "plain", onclick: () => this.#solve() }, "Show a solution"),
      ),
      this.#hints > 0 ? h("ol", { key: "hints", class: "hints" }, about.hints.slice(0, this.#hints).map((words) => h("li", { key: words }, words))) : null,
      this.#told ? outcome(this.#told, () => this.#look()) : null,
    );
  }
}

function outcome(told: Told, look: Handler): Element_ {
  const tone = told.over ? (told.solved ? "well" : "broken") : "open";
  return h(
    "div",
    { key: "outcome", id: "outcome", class: `outcome tone-${tone}` },
    h("p", { key: "headline", class: "outcome-head" }, h("span", { class: "sign", "aria-hidden": "true" }, told.over ? (told.solved ? "✓ " : "✕ ") : "… "), told.headline),
    told.says === null ? null : h("p", { key: "says" }, told.says),
    told.evidence.map((sentence, index) => h("p", { key: `e${index}`, class: "note" }, sentence)),
    told.over && told.seed !== null ? h("button", { key: "look", id: "look", type: "button", class: "plain", onclick: look }, `Open the run with seed ${told.seed}`) : null,
  );
}
