// What stands around the picture: the verdict, the line of time, the lists. Pure functions from what is known to trees.
//
// A word about a record is never written here: the engine's sentences are shown as they are.

import type { Frame, Info, Line, Link, Mistake, Offer, TimeMark } from "./frame.ts";
import { icon, type Icon } from "./icons.ts";
import { SPEEDS, type Speed } from "./player.ts";
import { h, type Element_, type Handler, type Tree } from "./vdom.ts";

export const TABS = ["events", "why", "faults", "settings"] as const;
export type Tab = (typeof TABS)[number];
const TAB_WORDS: Record<Tab, string> = { events: "Events", why: "Why", faults: "Faults", settings: "Settings" };

export function tool(name: Icon, words: string, onclick: Handler, more: Record<string, string | boolean> = {}): Element_ {
  return h("button", { type: "button", class: "tool", "aria-label": words, title: words, onclick, ...more }, icon(name));
}

/** What it is, and what can be done with the whole of it. */
export function header(info: Info, version: string, share: Handler, save: Handler, undo: Handler): Element_ {
  return h(
    "header",
    { key: "header", class: "head-line" },
    h("div", { key: "titles" }, h("h2", { key: "title" }, info.title), info.teaches === null ? null : h("p", { key: "teaches", class: "note" }, info.teaches)),
    h(
      "div",
      { key: "tools", class: "tools" },
      h("span", { key: "seed", class: "seed", title: `hash ${info.hash}, klab ${version}` }, `seed ${info.seed}`),
      tool("link", "Copy a link to this moment", share, { key: "share" }),
      tool("save", "Save the scenario as a file", save, { key: "save" }),
      info.acts.length > 0 ? tool("undo", "Undo the last act (U)", undo, { key: "undo" }) : null,
    ),
  );
}

export function mistakes(all: readonly Mistake[]): Element_ {
  const lines = all.slice(0, 12).map((mistake, index) => h("li", { key: String(index) }, mistake.words));
  return h("div", { key: "mistakes", class: "notice", role: "alert", id: "mistakes" }, h("p", null, "This cannot be done:"), h("ul", null, lines));
}

/** So many records are named under the sentence; the rest are counted. */
const NAMED = 6;

/** The one sentence, what is under it, and the one button. */
export function verdict(frame: Frame, primary: { words: string; act: Handler } | undefined, ahead: string | undefined, ask: (source: number, number: number) => void): Element_ {
  const said = frame.verdict;
  const more = said.more_records + Math.max(0, said.records.length - NAMED);
  const records = said.records.slice(0, NAMED).map((record) =>
    h(
      "button",
      { type: "button", key: `${record.source}#${record.number}`, class: `record tone-${record.mark.tone}`, title: record.words, onclick: () => ask(record.source, record.number) },
      h("span", { "aria-hidden": "true" }, record.mark.sign),
      ` ${record.name}`,
      h("span", { class: "hidden" }, ": why?"),
    ),
  );
  return h(
    "section",
    { key: "verdict", class: `verdict tone-${said.mark.tone}`, "aria-label": "Verdict" },
    h("div", { key: "sign", class: "sign", "aria-hidden": "true" }, said.mark.sign),
    h(
      "div",
      { key: "words", class: "words" },
      h("p", { key: "headline", class: "headline", id: "headline" }, said.headline),
      ahead === undefined ? null : h("p", { key: "ahead", class: "ahead" }, ahead),
      h("p", { key: "scope", class: "scope" }, said.last_word ? "The last word of this run" : `At ${frame.clock}`, frame.faults.length > 0 ? ` · ${frame.faults.join(" · ")}` : ""),
      records.length > 0 ? h("div", { key: "records", class: "records" }, records, more > 0 ? h("span", { class: "scope" }, ` + ${more}`) : null) : null,
      h(
        "details",
        { key: "evidence", class: "evidence" },
        h("summary", null, "In full"),
        said.evidence.map((sentence, index) => h("p", { key: `e${index}` }, sentence)),
      ),
    ),
    primary ? h("button", { key: "primary", type: "button", class: "primary", id: "primary", onclick: primary.act }, primary.words) : null,
  );
}

/** After the last word: what may be changed, and another run on the same seed. */
export function offers(info: Info, wanted: ReadonlyMap<string, string>, choose: (pointer: string, json: string) => void): Element_ | null {
  if (info.settings.length === 0) return null;
  return h(
    "div",
    { key: "offers", class: "offers", role: "group", "aria-label": "Change a setting" },
    h("p", { key: "lead", class: "note" }, "Change a setting and run again on the same seed:"),
    info.settings.map((setting) => {
      const chosen = wanted.get(setting.pointer) ?? (setting.now === null ? undefined : setting.values[setting.now]?.json);
      return h(
        "fieldset",
        { key: setting.pointer },
        h("legend", null, `${setting.words} `, h("span", { class: "of" }, `of ${setting.of}`)),
        setting.values.map((value, index) =>
          h(
            "label",
            { key: value.json, class: `choice${value.json === chosen ? " on" : ""}` },
            h("input", { type: "radio", name: setting.pointer, value: String(index), checked: value.json === chosen, onchange: () => choose(setting.pointer, value.json) }),
            value.words,
          ),
        ),
      );
    }),
  );
}

export interface Transport {
  t: number;
  /** Of the line of time, in pixels. */
  width: number;
  info: Info;
  clock: string;
  playing: number;
  speed: Speed;
  seek(at: number): void;
  play(direction: number): void;
  step(forward: boolean): void;
  jump(forward: boolean): void;
  setSpeed(speed: Speed): void;
}

/** The line of time with its marks, and the buttons under it. */
export function transport(now: Transport): Element_ {
  const { info } = now;
  const share = (at: number): string => `${Math.round((Math.max(0, Math.min(at, info.to)) / Math.max(info.to, 1)) * 10000) / 100}%`;
  return h(
    "section",
    { key: "transport", class: "transport", "aria-label": "Time" },
    h("svg", { key: "lanes", class: "lanes", width: "100%", height: 34, "aria-hidden": "true" }, lanes(info, share, now.width), h("line", { key: "now", class: "now", x1: share(now.t), x2: share(now.t), y1: 0, y2: 34 })),
    h("input", {
      key: "scrubber",
      type: "range",
      class: "scrubber",
      "aria-label": "Time in the run",
      "aria-valuetext": now.clock,
      min: 0,
      max: Math.ceil(info.to / 1e6),
      step: 1,
      value: String(Math.round(now.t / 1e6)),
      oninput: (event) => now.seek(Number((event.target as HTMLInputElement).value) * 1e6),
    }),
    h(
      "div",
      { key: "buttons", class: "buttons" },
      tool("first", "To the start (Home)", () => now.seek(0), { key: "first", class: "tool edge-tool" }),
      tool("reverse", now.playing < 0 ? "Pause (Space)" : "Play backwards (B)", () => now.play(now.playing < 0 ? 0 : -1), { key: "reverse", "aria-pressed": String(now.playing < 0) }),
      tool("back", "One event back (,)", () => now.step(false), { key: "back" }),
      h(
        "button",
        { key: "play", type: "button", class: "tool play", "aria-label": now.playing > 0 ? "Pause (Space)" : "Play (Space)", title: now.playing > 0 ? "Pause (Space)" : "Play (Space)", onclick: () => now.play(now.playing > 0 ? 0 : 1) },
        icon(now.playing > 0 ? "pause" : "play"),
      ),
      tool("next", "One event on (.)", () => now.step(true), { key: "next" }),
      tool("last", "To the end (End)", () => now.seek(info.to), { key: "last", class: "tool edge-tool" }),
      h("output", { key: "clock", class: "clock", "aria-live": "off" }, now.clock),
      h(
        "select",
        { key: "speed", class: "speed", "aria-label": "Speed", value: String(now.speed), onchange: (event) => now.setSpeed(readSpeed((event.target as HTMLSelectElement).value)) },
        SPEEDS.map(({ speed, words, title }) => h("option", { key: words, value: String(speed), title }, words)),
      ),
    ),
  );
}

function readSpeed(value: string): Speed {
  return SPEEDS.find(({ speed }) => String(speed) === value)?.speed ?? "story";
}

const LANE_Y: Record<TimeMark["lane"], number> = { fault: 12, phase: 12, election: 28, log: 28 };
/** A sign needs so many pixels; where there are fewer it becomes a tick. */
const SIGN = 11;

function lanes(info: Info, share: (at: number) => string, width: number): Tree[] {
  const last = new Map<number, number>();
  return info.marks.flatMap((mark) => {
    if (mark.sign === "▽") return [];
    const y = LANE_Y[mark.lane];
    const x = (mark.at / Math.max(info.to, 1)) * (width - 16);
    const atEdge = x > width - 30;
    const room = x - (atEdge ? SIGN / 2 : 0) - (last.get(y) ?? -SIGN) >= SIGN;
    if (room) last.set(y, x);
    const title = h("title", null, mark.words);
    const trees: Tree[] = [];
    if (mark.until !== null && mark.until > mark.at) {
      trees.push(h("line", { key: `bar-${mark.seq}`, class: "span", x1: share(mark.at), x2: share(mark.until), y1: y + 3, y2: y + 3 }));
    }
    trees.push(
      room
        ? h("text", { key: `mark-${mark.seq}`, class: `mark ${mark.lane}`, x: share(mark.at), y, "text-anchor": atEdge ? "end" : "middle", "font-size": 12 }, title, mark.sign)
        : h("line", { key: `tick-${mark.seq}`, class: `tick ${mark.lane}`, x1: share(mark.at), x2: share(mark.at), y1: y - 8, y2: y }, title),
    );
    return trees;
  });
}

export function tabs(chosen: Tab, choose: (tab: Tab) => void): Element_ {
  return h(
    "div",
    { key: "tabs", class: "tabs", role: "tablist", "aria-label": "Panels" },
    TABS.map((tab) =>
      h(
        "button",
        {
          key: tab,
          type: "button",
          role: "tab",
          id: `tab-${tab}`,
          "aria-selected": String(tab === chosen),
          "aria-controls": "panel",
          tabindex: tab === chosen ? 0 : -1,
          onclick: () => choose(tab),
        },
        TAB_WORDS[tab],
      ),
    ),
  );
}

/** The run in words: lines up to now and after it, each of which leads there. */
export function events(lines: readonly Line[], t: number, everything: boolean, go: (line: Line) => void, ask: (seq: number) => void, setEverything: (on: boolean) => void): Tree[] {
  const current = lines.findLast((line) => line.at <= t);
  return [
    h("label", { key: "all", class: "check" }, h("input", { type: "checkbox", checked: everything, onchange: (event) => setEverything((event.target as HTMLInputElement).checked) }), "every fact of the trace"),
    h(
      "ol",
      { key: "list", class: "events", id: "events" },
      lines.map((line) =>
        h(
          "li",
          { key: line.seq, class: line.at > t ? "to-come" : "", "aria-current": line === current ? "true" : null },
          h("button", { key: "go", type: "button", class: "go", onclick: () => go(line) }, h("span", { class: "time" }, line.clock), h("span", { class: "what" }, line.words)),
          h("button", { key: "why", type: "button", class: "why", "aria-label": `Why: ${line.words}`, onclick: () => ask(line.seq) }, "why?"),
        ),
      ),
    ),
  ];
}

/** A chain of causes, the oldest first. */
export function why(links: readonly Link[], title: string | undefined, go: (line: Line) => void): Tree[] {
  if (title === undefined) {
    return [h("p", { key: "none", class: "note" }, "Choose a record in a log, a record under the verdict, or “why?” beside an event.")];
  }
  return [
    h("h3", { key: "title" }, title),
    links.length === 0 ? h("p", { key: "empty", class: "note" }, "The trace so far says nothing about it.") : null,
    h(
      "ol",
      { key: "chain", class: "chain", id: "chain" },
      links.map((link) =>
        h(
          "li",
          { key: link.seq, class: link.absence ? "absence" : "" },
          link.edge === null ? null : h("span", { class: "edge" }, `${link.edge} #${link.to ?? ""}`),
          h("button", { type: "button", class: "go", onclick: () => go(link) }, h("span", { class: "time" }, `#${link.seq} · ${link.clock}`), h("span", { class: "what" }, link.words)),
        ),
      ),
    ),
  ].filter((tree) => tree !== null);
}

export interface Target {
  key: string;
  words: string;
}

/** Everything that the picture's menus do, as plain buttons. */
export function faults(info: Info, targets: readonly Target[], target: string, menu: readonly Offer[], choose: (key: string) => void, act: (offer: Offer) => void, undo: Handler): Tree[] {
  return [
    h(
      "label",
      { key: "target", class: "field" },
      h("span", null, "Do something to"),
      h("select", { value: target, onchange: (event) => choose((event.target as HTMLSelectElement).value) }, targets.map((one) => h("option", { key: one.key, value: one.key }, one.words))),
    ),
    menu.length === 0 ? h("p", { key: "nothing", class: "note" }, "Nothing can be done to it at this time.") : null,
    h("div", { key: "menu", class: "menu-list" }, menu.map((offer) => h("button", { key: offer.words, type: "button", onclick: () => act(offer) }, offer.words))),
    h("h3", { key: "title" }, "Done by hand"),
    info.acts.length === 0 ? h("p", { key: "none", class: "note" }, "Nothing yet. What you do becomes a step of the scenario, and the run goes on from there.") : null,
    info.acts.length === 0 ? null : h("ol", { key: "acts", class: "acts" }, info.acts.map((act) => h("li", { key: act.step }, h("code", null, act.step)))),
    info.acts.length === 0 ? null : h("button", { key: "undo", type: "button", class: "plain", onclick: undo }, icon("undo"), "Undo the last (U)"),
  ].filter((tree) => tree !== null);
}

export function legend(): Element_ {
  const swatch = (name: string): Element_ =>
    h(
      "svg",
      { class: "swatch", width: 20, height: 22, "aria-hidden": "true" },
      h("g", { class: `cell ${name}` }, h("rect", { class: "body", x: 2, y: 1, width: 15, height: 19, rx: 3 }), name.includes("told") ? h("rect", { class: "acked", x: 5, y: 15.500, width: 9, height: 2.500, rx: 1 }) : null),
    );
  const item = (sign: Tree, words: string): Element_ => h("li", { key: words }, sign, words);
  const glyph = (sign: string): Element_ => h("span", { class: "glyph", "aria-hidden": "true" }, sign);
  return h(
    "details",
    { key: "legend", class: "legend" },
    h("summary", null, "What the signs mean"),
    h(
      "ul",
      null,
      item(swatch("committed"), "below the high watermark (HW): committed"),
      item(swatch("tail"), "above it: not committed yet"),
      item(swatch("tail told"), "with a bar: its application was told that it is written"),
      item(glyph("┃"), "the replica's high watermark; LEO is its log end offset"),
      item(glyph("┊"), "another leader epoch begins"),
      item(glyph("◆"), "leader; a dotted frame is out of the ISR"),
      item(glyph("▨"), "hatched: it does not run; its log is on its disk"),
      item(glyph("F P"), "a request on its way: F fetch, P produce, M metadata, H heartbeat; round: its answer; dashed: it does not get through"),
    ),
  );
}

export function keys(): Element_ {
  const rows: [string, string][] = [
    ["Space", "play or pause"],
    [". ,", "next or previous event"],
    ["] [", "next or previous mark"],
    ["Home End", "start, end"],
    ["1 – 5", "speed"],
    ["B", "play backwards"],
    ["arrows", "move in the picture"],
    ["Enter", "menu of a machine or link; why of a record"],
    ["F", "faults for what is chosen"],
    ["U", "undo the last act"],
    ["W", "why, of what is chosen"],
    ["D", "say the picture in words"],
    ["Esc", "close"],
  ];
  return h(
    "details",
    { key: "keys", class: "legend keys" },
    h("summary", null, "Keys"),
    h("dl", null, rows.map(([key, words]) => [h("dt", { key: `k${key}` }, h("kbd", null, key)), h("dd", { key: `d${key}` }, words)])),
  );
}
