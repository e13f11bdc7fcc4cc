// The page's own state of time: where it is, whether it plays, how fast.
//
// *Story* is a speed too: from mark to mark in an equal while, so that nine quiet seconds before an election take as long to watch
// as the moment of the crash. Positions in the picture depend on the time alone, so every speed and every jump draws the same.

export type Speed = number | "story";

/** The speeds of the keys 1 to 5: virtual time per time, and the story's own. */
export const SPEEDS: readonly { speed: Speed; words: string; title: string }[] = [
  { speed: "story", words: "story", title: "from mark to mark" },
  { speed: 0.01, words: "1⁄100", title: "one hundredth of the speed of life: requests can be seen" },
  { speed: 0.1, words: "1⁄10", title: "one tenth of the speed of life" },
  { speed: 1, words: "×1", title: "the speed of life" },
  { speed: 10, words: "×10", title: "ten times the speed of life" },
];

/** From one mark to the next the story takes so long, in milliseconds. */
const MARK_MS = 800;
/** Marks that lie nearer together than this are one, in nanoseconds. */
const NEAR = 40e6;

/** The time after `ms` of watching; `stops` are the times of marks, ascending. */
export function advance(t: number, ms: number, speed: Speed, stops: readonly number[], end: number): number {
  if (speed !== "story") return Math.min(end, t + ms * 1e6 * speed);
  let left = ms;
  let at = t;
  while (left > 0 && at < end) {
    const to = stops.find((stop) => stop > at) ?? end;
    const from = stops.findLast((stop) => stop <= at) ?? 0;
    const pace = (to - Math.max(from, 0)) / MARK_MS;
    const need = (to - at) / pace;
    if (need > left) return at + left * pace;
    left -= need;
    at = to;
  }
  return Math.min(at, end);
}

/** Times at which a story stops for a moment: marks, of which near ones are one. */
export function stops(marks: readonly { at: number; until: number | null }[], from: number, end: number): number[] {
  const all = [from, ...marks.flatMap((mark) => (mark.until === null ? [mark.at] : [mark.at, mark.until])), end];
  all.sort((a, b) => a - b);
  const kept: number[] = [];
  for (const at of all) {
    const last = kept.at(-1);
    if (at >= 0 && at <= end && (last === undefined || at - last >= NEAR || at === end)) kept.push(at);
  }
  return kept;
}
