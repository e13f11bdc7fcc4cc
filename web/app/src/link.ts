// A link holds a scenario, a seed and a time. A scenario that comes with klab is named; any other travels in the link, deflated.
//
// A link may come from anybody: what it holds is cut at a size, and nothing in it is anything but text for the engine's parser.

export interface Place {
  /** The name of a scenario that comes with klab. */
  scenario?: string;
  /** The text of another one. */
  text?: string;
  seed?: bigint;
  twin?: number;
  /** Nanoseconds since the run was ready. */
  at?: number;
}

/** A scenario is read by people: the engine takes no longer text. */
const LONGEST = 1 << 20;

export async function write(place: Place): Promise<string> {
  const parts = new URLSearchParams();
  if (place.scenario !== undefined) parts.set("scenario", place.scenario);
  if (place.text !== undefined) parts.set("text", await deflate(place.text));
  if (place.twin) parts.set("twin", String(place.twin));
  if (place.seed !== undefined) parts.set("seed", String(place.seed));
  if (place.at !== undefined) parts.set("at", writeTime(place.at));
  return `#${parts.toString().replaceAll("%2F", "/")}`;
}

export async function read(hash: string): Promise<Place> {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const place: Place = {};
  const scenario = parts.get("scenario");
  if (scenario && scenario.length < 200) place.scenario = scenario;
  const text = parts.get("text");
  if (text) place.text = await inflate(text);
  const seed = readSeed(parts.get("seed"));
  if (seed !== undefined) place.seed = seed;
  const twin = parts.get("twin");
  if (twin && /^\d{1,3}$/.test(twin)) place.twin = Number(twin);
  const at = readTime(parts.get("at"));
  if (at !== undefined) place.at = at;
  return place;
}

export function readSeed(text: string | null): bigint | undefined {
  if (!text || !/^\d{1,20}$/.test(text)) return undefined;
  const seed = BigInt(text);
  return seed < 1n << 64n ? seed : undefined;
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9 };

/** `11.8s`, `1800ms`: nanoseconds. */
export function readTime(text: string | null): number | undefined {
  const found = /^(\d{1,9}(?:\.\d{1,9})?)(ns|us|ms|s|min|h)$/.exec(text ?? "");
  const unit = UNITS[found?.[2] ?? ""];
  return found && unit ? Math.round(Number(found[1]) * unit) : undefined;
}

export function writeTime(ns: number): string {
  return ns % 1e6 === 0 ? `${ns / 1e6}ms` : `${Math.round(ns)}ns`;
}

async function deflate(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function inflate(packed: string): Promise<string> {
  const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const chunks: BlobPart[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > LONGEST) {
      await reader.cancel();
      throw new Error("the scenario in this link is too long");
    }
    chunks.push(value);
  }
  return new Blob(chunks).text();
}
