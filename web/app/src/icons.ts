// The icons of the controls, drawn: fonts do not have them everywhere.

import { h, type Element_ } from "./vdom.ts";

const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M6.5 5h4v14h-4zM13.5 5h4v14h-4z",
  next: "M6 5v14l9-7zM16 5h3v14h-3z",
  back: "M18 5v14l-9-7zM5 5h3v14H5z",
  reverse: "M17 4.5v15L5 12z",
  first: "M5 5h2.6v14H5zM13 12l6.5-7v14zM7.6 12l6-7v14z",
  last: "M16.400 5H19v14h-2.600zM11 12L4.500 5v14zM16.400 12l-6-7v14z",
  link: "M10.6 13.4a3.5 3.5 0 0 0 5 0l3-3a3.500 3.500 0 0 0-5-5l-1.200 1.200 1.300 1.300 1.200-1.200a1.700 1.700 0 1 1 2.400 2.400l-3 3a1.700 1.700 0 0 1-2.400 0zM13.400 10.600a3.500 3.500 0 0 0-5 0l-3 3a3.500 3.500 0 0 0 5 5l1.200-1.200-1.300-1.300-1.200 1.200a1.700 1.700 0 1 1-2.400-2.400l3-3a1.700 1.700 0 0 1 2.400 0z",
  save: "M11 4h2v8.200l3-3 1.400 1.400L12 16l-5.400-5.400L8 9.200l3 3zM5 18h14v2H5z",
  undo: "M9 5L4 10l5 5v-3.500h4.500a3 3 0 0 1 0 6H9v2.500h4.500a5.500 5.500 0 0 0 0-11H9z",
  close: "M6.400 5L12 10.600 17.600 5 19 6.400 13.400 12l5.600 5.600-1.400 1.400L12 13.400 6.400 19 5 17.600 10.600 12 5 6.400z",
  bolt: "M13 3L5 14h5.500L10 21l8.500-11.500H13z",
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): Element_ {
  return h("svg", { class: "icon", viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" }, h("path", { d: PATHS[name] }));
}
