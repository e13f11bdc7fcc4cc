// The picture: a pure function from a frame and a width to a tree of SVG. Place has meaning: columns are brokers, rows are
// partitions; controllers stand above, applications below.
//
// It draws and names; every word about what happened comes from the frame. Shape and sign say what colour says.

import type { App, Cell, Flight, Frame, Partition, Replica, Server, Wire } from "./frame.ts";
import { h, type Element_, type Tree } from "./vdom.ts";

/** Something in the picture that can be chosen, and where it is. */
export interface Spot {
  key: string;
  x: number;
  y: number;
}
export interface Stage {
  tree: Element_;
  spots: Spot[];
  width: number;
  height: number;
}
interface Point {
  x: number;
  y: number;
}

/** A broker's column needs so much. */
const COLUMN_MIN = 104;
const NARROW = 620;
/** A column of this width has room for words. */
const ROOMY = 200;
/** With more brokers than this a link that is idle and whole is not drawn. */
const FEW = 4;
const CELLS = 14;
/** Chips on one wire that are nearer together than this are folded into one. */
const FOLD = 13;

/** Sizes that depend on the width. */
interface Sizes {
  width: number;
  /** A phone. */
  narrow: boolean;
  /** Columns too small for more than the numbers. */
  tight: boolean;
  column: number;
  gap: number;
  pad: number;
  cell: number;
  cellHeight: number;
  font: number;
  small: number;
}

function sizes(width: number, brokers: number): Sizes {
  const narrow = width < NARROW;
  const gap = narrow ? 6 : 14;
  const edge = narrow ? 0 : 2;
  const wide = Math.max(width, brokers * (COLUMN_MIN + gap) + gap);
  const column = (wide - 2 * edge - gap * (brokers - 1)) / Math.max(brokers, 1);
  const pad = narrow ? 7 : 14;
  const cell = Math.min(22, Math.floor(((column - 2 * pad) / CELLS) * 10) / 10);
  return { width: wide, narrow, tight: column < ROOMY, column, gap, pad, cell, cellHeight: narrow ? 20 : 24, font: narrow ? 12 : 14, small: narrow ? 10.5 : 12 };
}

/** Draws a frame. `chosen` is the key of the spot that is chosen. */
export function stage(frame: Frame, width: number, chosen: string | undefined): Stage {
  const brokers = frame.servers.filter((server) => server.kind === "broker");
  const controllers = frame.servers.filter((server) => server.kind === "controller");
  const s = sizes(width, brokers.length);
  const spots: Spot[] = [];
  const place = new Map<number, Point>();
  const trees: Tree[] = [];

  const top = s.narrow ? 46 : 44;
  const headerTop = top + (s.narrow ? 34 : 40);
  const header = s.narrow ? 44 : 48;
  const band = brokers.length > 1 ? (s.narrow ? 38 : 46) : 10;
  const rowHeight = s.cellHeight + (s.narrow ? 46 : 50);
  const rowsTop = headerTop + header + band;
  const panelBottom = rowsTop + Math.max(frame.partitions.length, 1) * rowHeight + 4 + (frame.more_partitions > 0 ? 20 : 0);
  const cardsTop = panelBottom + (s.narrow ? 40 : 46);
  const cards: App[] = [...frame.producers, ...frame.consumers];
  const perRow = s.narrow ? Math.min(2, Math.max(cards.length, 1)) : Math.min(4, Math.max(cards.length, 1));
  const cardHeight = s.narrow ? 78 : 74;
  const cardRows = Math.ceil(cards.length / perRow);
  const height = cardsTop + Math.max(cardRows, 1) * (cardHeight + 10);

  const columnX = (index: number): number => (s.narrow ? 0 : 2) + index * (s.column + s.gap);
  const column = new Map(brokers.map((broker, index) => [broker.id, columnX(index)]));

  // Where wires begin and end.
  const groupWidth = Math.min(s.width - 8, s.narrow ? 250 : Math.max(320, controllers.length * 84));
  const group = { x: s.width / 2, y: top };
  const ends = (wire: Wire): [Point, Point] => {
    const x = (column.get(wire.to) ?? 0) + s.column / 2;
    if (wire.a === "controllers") {
      const shift = ((x - s.width / 2) / s.width) * groupWidth * 0.7;
      return [{ x: group.x + shift, y: group.y - 4 }, { x, y: headerTop }];
    }
    const from = wire.from[0] ?? -1;
    const other = column.get(from);
    if (other !== undefined) {
      const order = [...column.keys()];
      const [i, j] = [order.indexOf(from), order.indexOf(wire.to)];
      return [
        { x: other + s.column * port(i, j, order.length), y: headerTop + header },
        { x: (column.get(wire.to) ?? 0) + s.column * port(j, i, order.length), y: headerTop + header },
      ];
    }
    const at = place.get(from) ?? { x: 0, y: cardsTop };
    const shift = ((x - s.width / 2) / s.width) * 60;
    return [{ x: at.x + shift, y: cardsTop }, { x, y: panelBottom }];
  };
  cards.forEach((card, index) => {
    const w = (s.width - (perRow - 1) * s.gap) / perRow;
    place.set(card.id, { x: (index % perRow) * (w + s.gap) + w / 2, y: cardsTop });
  });

  const isSeen = (wire: Wire): boolean => brokers.length <= FEW || !wire.open || wireKey(wire) === chosen || wire.a === "controllers" || frame.flights.some((flight) => joins(wire, flight));
  const wires = frame.wires.filter(isSeen).map((wire) => ({ wire, path: curve(ends(wire), isPair(wire, column)), key: wireKey(wire) }));
  const panels = brokers.map((broker) =>
    h("rect", {
      key: `panel-${broker.id}`,
      class: `panel ${broker.up ? "" : "dark"} ${broker.mood}`,
      x: columnX(brokers.indexOf(broker)),
      y: headerTop,
      width: s.column,
      height: panelBottom - headerTop,
      rx: 10,
    }),
  );
  trees.push(h("defs", { key: "defs" }, hatch("hatch", 6), hatch("hatch-fine", 4)));
  trees.push(h("g", { key: "panels" }, panels));
  trees.push(h("g", { key: "wires" }, wires.map(({ wire, path, key }) => drawWire(wire, path, key, chosen, spots))));
  trees.push(h("g", { key: "controllers" }, drawControllers(controllers, group, groupWidth, s, chosen, spots)));
  brokers.forEach((broker, index) => {
    trees.push(drawHeader(broker, columnX(index), headerTop, header, s, chosen, spots));
  });
  frame.partitions.forEach((partition, row) => {
    trees.push(drawPartition(frame, partition, rowsTop + row * rowHeight, column, s, chosen, spots));
  });
  if (frame.more_partitions > 0) {
    trees.push(h("text", { key: "more", class: "note", x: s.width / 2, y: panelBottom - 8, "text-anchor": "middle", "font-size": s.small }, `+ ${frame.more_partitions}`));
  }
  cards.forEach((card, index) => {
    const w = (s.width - (perRow - 1) * s.gap) / perRow;
    const x = (index % perRow) * (w + s.gap);
    const y = cardsTop + Math.floor(index / perRow) * (cardHeight + 10);
    trees.push(drawCard(card, frame, x, y, w, cardHeight, s, chosen, spots));
  });
  trees.push(h("g", { key: "flights", class: "flights" }, drawFlights(frame, wires, s)));

  const tree = h(
    "svg",
    {
      viewBox: `0 0 ${round(s.width)} ${round(height)}`,
      width: round(s.width),
      height: round(height),
      role: "group",
      "aria-label": frame.label,
    },
    trees,
  );
  return { tree, spots, width: s.width, height };
}

/** Where on broker `i` the wire to broker `j` begins: far arcs enclose near ones, so that none cross. */
function port(i: number, j: number, all: number): number {
  const far = (0.3 * (Math.abs(i - j) - 1)) / Math.max(all - 2, 1);
  return j > i ? 0.74 - far : 0.26 + far;
}

function isPair(wire: Wire, column: ReadonlyMap<number, number>): boolean {
  return wire.a !== "controllers" && column.has(wire.from[0] ?? -1);
}

export function wireKey(wire: Wire): string {
  return `link:${wire.a}|${wire.b}`;
}

/** A line that can be walked along: two ends and a point that pulls it. */
interface Path {
  a: Point;
  c: Point;
  b: Point;
}

function curve([a, b]: [Point, Point], sags: boolean): Path {
  const sag = sags ? 14 + Math.min(56, Math.abs(b.x - a.x) * 0.1) : 0;
  return { a, b, c: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 + sag * (sags ? 1.35 : 0) } };
}

function along({ a, b, c }: Path, u: number): Point {
  const v = 1 - u;
  return { x: v * v * a.x + 2 * v * u * c.x + u * u * b.x, y: v * v * a.y + 2 * v * u * c.y + u * u * b.y };
}

function drawn({ a, b, c }: Path): string {
  return `M${round(a.x)} ${round(a.y)}Q${round(c.x)} ${round(c.y)} ${round(b.x)} ${round(b.y)}`;
}

function drawWire(wire: Wire, path: Path, key: string, chosen: string | undefined, spots: Spot[]): Element_ {
  const middle = along(path, 0.5);
  spots.push({ key, ...middle });
  const state = wire.open ? "open" : wire.blocked ? "blocked" : "spoiled";
  return h(
    "g",
    { key, ...button(key, chosen), class: `wire ${state}${chosen === key ? " chosen" : ""}` },
    h("title", null, wire.words),
    h("path", { class: "reach", d: drawn(path) }),
    h("path", { class: "line", d: drawn(path) }),
    wire.open ? null : h("circle", { class: "sign-back", cx: round(middle.x), cy: round(middle.y), r: 9 }),
    wire.open ? null : h("text", { class: "sign", x: round(middle.x), y: round(middle.y + 4.5), "text-anchor": "middle", "font-size": 13 }, wire.blocked ? "✕" : "≋"),
  );
}

function drawControllers(all: readonly Server[], at: Point, width: number, s: Sizes, chosen: string | undefined, spots: Spot[]): Tree[] {
  const left = at.x - width / 2;
  const each = width / Math.max(all.length, 1);
  const box = h("rect", { key: "box", class: "quorum", x: round(left), y: 3, width: round(width), height: at.y - 7, rx: 10 });
  const dots = all.map((server, index) => {
    const key = `process:${server.name}`;
    const x = left + each * (index + 0.5);
    const y = at.y / 2 - 1;
    spots.push({ key, x, y });
    const called = each > 100 ? "controller " : each > 48 ? "ctl " : "";
    const short = server.name.replace("controller-", called);
    return h(
      "g",
      { key, ...button(key, chosen), class: `controller ${server.mood}${server.up ? "" : " dark"}${chosen === key ? " chosen" : ""}` },
      h("title", null, `${server.name}, ${server.words}`),
      h("rect", { class: "reach", x: round(left + each * index + 3), y: 6, width: round(each - 6), height: at.y - 13, rx: 8 }),
      h("text", { class: "name", x: round(x), y: round(y + 1), "text-anchor": "middle", "font-size": s.small }, server.active ? `★ ${short}` : short),
      h("text", { class: "note", x: round(x), y: round(y + 14), "text-anchor": "middle", "font-size": s.small - 1 }, fit(server.up && server.mood === "running" ? `epoch ${server.epoch ?? 0}` : `${server.sign} ${server.words}`, each, s.small - 1)),
    );
  });
  return [box, ...dots];
}

function drawHeader(server: Server, x: number, y: number, height: number, s: Sizes, chosen: string | undefined, spots: Spot[]): Element_ {
  const key = `process:${server.name}`;
  spots.push({ key, x: x + s.column / 2, y: y + height / 2 });
  const words = `${server.sign} ${server.words}`.trim();
  const rack = server.rack === null ? "" : ` · rack ${server.rack}`;
  return h(
    "g",
    { key, ...button(key, chosen), class: `broker ${server.mood}${server.up ? "" : " dark"}${chosen === key ? " chosen" : ""}` },
    h("title", null, `${server.name}, ${server.words}`),
    h("rect", { class: "head", x: round(x), y, width: round(s.column), height, rx: 10 }),
    h("text", { class: "name", x: round(x + s.pad), y: y + (s.narrow ? 18 : 20), "font-size": s.font }, server.name),
    h("text", { class: "note", x: round(x + s.pad), y: y + (s.narrow ? 34 : 38), "font-size": s.small }, fit(`${words}${s.tight ? "" : rack}`, s.column - 2 * s.pad, s.small)),
    h("text", { class: "dots", x: round(x + s.column - s.pad), y: y + (s.narrow ? 18 : 20), "text-anchor": "end", "font-size": s.font }, "⋯"),
  );
}

function drawPartition(frame: Frame, partition: Partition, y: number, column: ReadonlyMap<number, number>, s: Sizes, chosen: string | undefined, spots: Spot[]): Element_ {
  const firstX = Math.min(...column.values());
  const isr = partition.isr.map((id) => frame.servers.find((server) => server.id === id)?.name.replace("broker-", "") ?? "?");
  const room = s.column - 2 * s.pad;
  // The longest form that has room.
  const short = `${partition.name} · e${partition.epoch}`;
  const forms = [`${partition.name} · epoch ${partition.epoch} · ISR [${isr.join(", ")}]`, `${short} · ISR [${isr.join(", ")}]`, short];
  const title = forms.find((form) => fit(form, room, s.small * 1.08) === form) ?? short;
  return h(
    "g",
    { key: `row-${partition.name}` },
    h("text", { key: "title", class: "row-title", x: round(firstX + s.pad), y: round(y + 8), "font-size": s.small }, h("title", null, partition.words), fit(title, room, s.small * 1.08)),
    partition.replicas.map((replica) => drawReplica(partition, replica, column.get(replica.broker), y + (s.narrow ? 16 : 17), s, chosen, spots)),
  );
}

function drawReplica(partition: Partition, replica: Replica, columnX: number | undefined, y: number, s: Sizes, chosen: string | undefined, spots: Spot[]): Element_ | null {
  if (columnX === undefined) return null;
  const x0 = columnX + s.pad;
  const x = (offset: number): number => round(x0 + (offset - replica.from) * s.cell);
  const state = [replica.leads ? "leads" : "follows", replica.live ? "live" : "stale", replica.in_isr ? "in-isr" : "out-of-isr"].join(" ");
  const width = CELLS * s.cell;
  const rules: Tree[] = [];
  replica.cells.forEach((cell, index) => {
    const before = replica.cells[index - 1];
    if (before && before.epoch !== cell.epoch) {
      const at = x(cell.offset) - 1;
      rules.push(h("line", { key: `epoch-${cell.offset}`, class: "epoch-rule", x1: at, x2: at, y1: y - 3, y2: y + s.cellHeight + 3 }));
    }
  });
  const below = y + s.cellHeight + (s.narrow ? 13 : 15);
  const hw = replica.hw;
  const shownHw = hw !== null && hw >= replica.from ? Math.min(hw, replica.from + CELLS) : null;
  const epochs = replica.cells.length > 0 ? `e${replica.cells.at(-1)?.epoch ?? 0}` : "";
  // Logs are aligned by offset, unless one ends so far before the others that nothing of it would be seen.
  const apart = replica.from !== partition.from;
  const standing = [apart ? `−${replica.behind}` : "", replica.in_isr ? "" : "∉ ISR", epochs].filter((word) => word !== "").join(" · ");
  return h(
    "g",
    { key: `replica-${replica.broker}`, class: `replica ${state}` },
    h("title", null, replica.words),
    h("rect", { key: "strip", class: "strip", x: round(x0 - 3), y: y - 3, width: round(width + 5), height: s.cellHeight + 6, rx: 5 }),
    replica.cells.map((cell) => drawCell(partition, replica, cell, x(cell.offset), y, s, chosen, spots)),
    rules,
    shownHw === null ? null : h("line", { key: "hw", class: "hw", x1: x(shownHw) - 1, x2: x(shownHw) - 1, y1: y - 5, y2: y + s.cellHeight + 5 }),
    h(
      "text",
      { key: "ends", class: "ends", x: round(x0 - 2), y: below, "font-size": s.small - (s.narrow ? 0.5 : 0) },
      h("tspan", { class: "role" }, replica.leads ? "◆ " : ""),
      hw === null || (s.tight && apart) ? "" : `HW ${hw} ${s.tight ? "" : "· "}`,
      `LEO ${replica.leo}`,
    ),
    h("text", { key: "epoch", class: "ends", x: round(x0 + width), y: below, "text-anchor": "end", "font-size": s.small - (s.narrow ? 0.5 : 0) }, s.tight ? (apart ? `−${replica.behind}` : "") : standing),
  );
}

function drawCell(partition: Partition, replica: Replica, cell: Cell, x: number, y: number, s: Sizes, chosen: string | undefined, spots: Spot[]): Element_ {
  const w = s.cell - (s.cell > 12 ? 2.5 : 1.2);
  const key = `record:${partition.name}@${replica.broker}:${cell.offset}`;
  const middle = round(x + w / 2);
  spots.push({ key, x: middle, y: y + s.cellHeight / 2 });
  const tone = cell.mark ? ` tone-${cell.mark.tone}` : "";
  const record = cell.number === null ? "" : `${cell.source}#${cell.number}`;
  const roomy = s.cell >= 11;
  const sign = cell.mark ? cell.mark.sign : roomy ? (cell.key ?? "") : "";
  return h(
    "g",
    {
      key: `cell-${cell.offset}-${cell.epoch}`,
      ...button(key, chosen),
      "data-record": record,
      class: `cell ${cell.committed ? "committed" : "tail"}${tone}${chosen === key ? " chosen" : ""}`,
    },
    h("title", null, cell.words),
    h("rect", { class: "body", x, y, width: round(w), height: s.cellHeight, rx: s.cell > 12 ? 3 : 1.5 }),
    sign === "" ? null : h("text", { class: "letter", x: middle, y: y + s.cellHeight / 2 + (cell.acked && !cell.mark ? 3 : 4.5), "text-anchor": "middle", "font-size": roomy ? 12 : 9 }, sign),
    cell.acked ? h("rect", { class: "acked", x: round(x + w * 0.2), y: y + s.cellHeight - 4.5, width: round(w * 0.6), height: 2.5, rx: 1 }) : null,
  );
}

function drawCard(card: App, frame: Frame, x: number, y: number, w: number, height: number, s: Sizes, chosen: string | undefined, spots: Spot[]): Element_ {
  const key = `process:${card.name}`;
  spots.push({ key, x: x + w / 2, y: y + height / 2 });
  const producer = frame.producers.find((one) => one.id === card.id);
  const consumer = frame.consumers.find((one) => one.id === card.id);
  const calm = card.mood === "running";
  const state = calm ? "" : `${card.sign} ${card.mood_words}`;
  const settings = producer ? producer.settings.join(" · ") : (consumer?.positions.map((p) => `${p.partition} at ${p.at ?? "–"}`).join(" · ") ?? "");
  const inner = w - 2 * s.pad;
  const bar = producer ? drawTally(producer.tally, x + s.pad, y + height - 17, inner) : null;
  return h(
    "g",
    { key, ...button(key, chosen), class: `app ${card.mood}${calm ? "" : " uncalm"}${chosen === key ? " chosen" : ""}` },
    h("title", null, `${card.name}, ${card.mood_words}: ${card.words}`),
    h("rect", { class: "card", x: round(x), y: round(y), width: round(w), height, rx: 10 }),
    h("text", { class: "name", x: round(x + s.pad), y: round(y + 19), "font-size": s.font }, card.name, state === "" ? null : h("tspan", { class: "note", dx: 6, "font-size": s.small }, state)),
    h("text", { class: "note", x: round(x + s.pad), y: round(y + 35), "font-size": s.small }, fit(settings, inner, s.small)),
    h("text", { class: "count", x: round(x + s.pad), y: round(y + 51), "font-size": s.small }, fit(card.words, inner, s.small * 1.13)),
    bar,
    h("text", { class: "dots", x: round(x + w - s.pad), y: round(y + 18), "text-anchor": "end", "font-size": s.font }, "⋯"),
  );
}

/** What a producer's records are: told that they are written, without an answer, failed, not sent yet. */
function drawTally(tally: { planned: number; acked: number; failed: number; waiting: number }, x: number, y: number, w: number): Element_ {
  const one = tally.planned > 0 ? w / tally.planned : 0;
  const part = (name: string, from: number, count: number): Tree =>
    h("rect", { key: name, class: `tally ${name}`, x: round(x + from * one), y, width: round(Math.max(count * one, 0)), height: 7 });
  return h(
    "g",
    { key: "tally" },
    h("rect", { key: "all", class: "tally all", x: round(x), y, width: round(w), height: 7, rx: 2 }),
    part("told", 0, tally.acked),
    part("denied", tally.acked, tally.failed),
    part("waiting", tally.acked + tally.failed, tally.waiting),
  );
}

/** Cuts a text that would not fit; the whole of it is in the title. */
function fit(words: string, width: number, size: number): string {
  const most = Math.floor(width / (size * 0.54));
  return words.length <= most ? words : `${words.slice(0, Math.max(most - 1, 1))}…`;
}

interface Chip {
  point: Point;
  flight: Flight;
  folded: number;
}

function drawFlights(frame: Frame, wires: readonly { wire: Wire; path: Path }[], s: Sizes): Tree[] {
  const chips: Chip[] = [];
  for (const flight of frame.flights) {
    const found = wires.find(({ wire }) => joins(wire, flight));
    if (!found) continue;
    const whole = Math.max(flight.arrives - flight.departed, 1);
    const u = Math.min(1, Math.max(0, (frame.at - flight.departed) / whole));
    const stopped = flight.stalled ? Math.min(u, 0.42) : u;
    const forward = found.wire.from.includes(flight.from);
    const point = along(found.path, forward ? stopped : 1 - stopped);
    point.y += forward ? -5 : 5;
    const near = chips.find((chip) => chip.flight.letter === flight.letter && chip.flight.answer === flight.answer && Math.abs(chip.point.x - point.x) + Math.abs(chip.point.y - point.y) < FOLD);
    if (near) {
      near.folded += 1;
      continue;
    }
    // Where wires come together, chips stand under one another.
    for (let n = 0; n < 3 && chips.some((chip) => Math.abs(chip.point.x - point.x) < 24 && Math.abs(chip.point.y - point.y) < 15); n++) point.y += 16;
    chips.push({ point, flight, folded: 1 });
  }
  return chips.map(({ point, flight, folded }) => drawChip(point, flight, folded, s));
}

function joins(wire: Wire, flight: Flight): boolean {
  return (wire.to === flight.to && wire.from.includes(flight.from)) || (wire.to === flight.from && wire.from.includes(flight.to));
}

function drawChip(point: Point, flight: Flight, folded: number, s: Sizes): Element_ {
  const label = folded > 1 ? `${flight.letter}×${folded}` : flight.records > 0 ? `${flight.letter}${flight.records}` : flight.letter;
  const w = 9 + label.length * 6.2;
  return h(
    "g",
    { key: flight.id, class: `chip ${flight.answer ? "answer" : "request"}${flight.stalled ? " stalled" : ""}${flight.records > 0 ? " loaded" : ""}` },
    h("title", null, flight.words),
    h("rect", { x: round(point.x - w / 2), y: round(point.y - 7.5), width: round(w), height: 15, rx: flight.answer ? 7.5 : 3 }),
    h("text", { x: round(point.x), y: round(point.y + 3.8), "text-anchor": "middle", "font-size": s.narrow ? 10 : 10.5 }, label),
  );
}

/** A pattern of slanted lines: what does not run is hatched. */
function hatch(id: string, size: number): Element_ {
  return h(
    "pattern",
    { id, key: id, width: size, height: size, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    h("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: size }),
  );
}

/** Its title is its name for those who do not see it. */
function button(key: string, chosen: string | undefined): Record<string, string | number> {
  return { "data-spot": key, role: "button", tabindex: chosen === key ? 0 : -1 };
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}
