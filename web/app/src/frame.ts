// What the engine sends: the same shapes as klab_world::frame and klab_web::session. All words in them are the engine's.

export interface Mark {
  tone: string;
  sign: string;
}
export interface Server {
  id: number;
  name: string;
  kind: "broker" | "controller";
  rack: string | null;
  mood: string;
  words: string;
  sign: string;
  up: boolean;
  active: boolean;
  epoch: number | null;
}
export interface Cell {
  offset: number;
  epoch: number;
  source: number | null;
  number: number | null;
  key: string | null;
  committed: boolean;
  acked: boolean;
  mark: Mark | null;
  words: string;
}
export interface Replica {
  broker: number;
  leads: boolean;
  thinks_it_leads: boolean;
  in_isr: boolean;
  live: boolean;
  hw: number | null;
  leo: number;
  from: number;
  behind: number;
  epoch: number | null;
  cells: Cell[];
  words: string;
}
export interface Partition {
  name: string;
  leader: number | null;
  epoch: number;
  isr: number[];
  from: number;
  words: string;
  replicas: Replica[];
}
export interface Flight {
  id: number;
  from: number;
  to: number;
  letter: string;
  answer: boolean;
  records: number;
  departed: number;
  arrives: number;
  stalled: boolean;
  words: string;
}
export interface Wire {
  a: string;
  b: string;
  from: number[];
  to: number;
  open: boolean;
  blocked: boolean;
  words: string;
}
export interface Tally {
  planned: number;
  asked: number;
  acked: number;
  failed: number;
  waiting: number;
}
export interface App {
  id: number;
  name: string;
  mood: string;
  mood_words: string;
  sign: string;
  words: string;
}
export interface Producer extends App {
  settings: string[];
  tally: Tally;
}
export interface Consumer extends App {
  positions: { partition: string; at: number | null }[];
  read: number;
}
export interface NamedRecord {
  source: number;
  number: number;
  name: string;
  mark: Mark;
  words: string;
}
export interface Said {
  headline: string;
  evidence: string[];
  mark: Mark;
  last_word: boolean;
  records: NamedRecord[];
  more_records: number;
}
export interface Frame {
  at: number;
  clock: string;
  seq: number;
  phase: string;
  over: boolean;
  label: string;
  servers: Server[];
  partitions: Partition[];
  more_partitions: number;
  flights: Flight[];
  wires: Wire[];
  faults: string[];
  producers: Producer[];
  consumers: Consumer[];
  verdict: Said;
}
export interface TimeMark {
  at: number;
  until: number | null;
  seq: number;
  lane: "fault" | "election" | "log" | "phase";
  sign: string;
  words: string;
}
export interface Setting {
  pointer: string;
  words: string;
  of: string;
  values: { json: string; words: string }[];
  now: number | null;
}
export interface Info {
  title: string;
  teaches: string | null;
  seed: number;
  twins: string[];
  twin: number;
  settings: Setting[];
  changed: boolean;
  acts: { at: number; step: string }[];
  to: number;
  opening: { at: number; dare: string; ahead: string } | null;
  marks: TimeMark[];
  records: number;
  events: number;
  hash: string;
}
export interface Line {
  seq: number;
  at: number;
  clock: string;
  words: string;
}
export interface Link extends Line {
  edge: string | null;
  to: number | null;
  absence: boolean;
}
export interface Offer {
  words: string;
  act: string;
}
export interface Mistake {
  words: string;
  place: { line: number; column: number; start: number; end: number } | null;
}
export interface Story {
  name: string;
  title: string;
  teaches: string | null;
  text: string;
}
/** Values of settings: where, and what as JSON. */
export type Answer = Record<string, string>;
export interface About {
  id: string;
  title: string;
  asks: string;
  expect: [string, string][];
  settings: Setting[];
  hints: string[];
  seeds: number;
  witness: number | null;
  solution: Answer;
}
export interface Told {
  over: boolean;
  solved: boolean;
  headline: string;
  evidence: string[];
  says: string | null;
  seed: number | null;
}
