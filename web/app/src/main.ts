// The page: a list of scenarios, a lab, and a link that holds all that a run depends on.

import { library } from "./engine.ts";
import type { Story } from "./frame.ts";
import type { KafkaLab, Source } from "./lab.ts";
import "./lab.ts";
import { read } from "./link.ts";
import { h, patch } from "./vdom.ts";

const lab = document.querySelector<KafkaLab>("kafka-lab");
const list = document.querySelector("#stories");
const told = document.querySelector("#page-told");
let stories: Story[] = [];
/** What this page itself has put into the address; nothing is to be opened for it. */
let own = "";

async function openLink(): Promise<void> {
  if (location.hash === own && own !== "") return;
  const place = await read(location.hash);
  const named = stories.find((story) => story.name === place.scenario);
  const first = stories[0];
  if (place.scenario !== undefined && !named) tell(`klab has no scenario called ${JSON.stringify(place.scenario)}; this is the first one.`);
  const story = named ?? first;
  const source: Source | undefined = place.text !== undefined ? { ...place, text: place.text } : story && { ...place, scenario: story.name, text: story.text };
  if (!source) return;
  source.seed ??= 42n;
  // A story of the library tells its ending by itself: a link without a time opens just before it begins.
  await lab?.open(source);
  draw(place.text === undefined ? source.scenario : undefined);
}

function tell(words: string): void {
  if (told) told.textContent = words;
}

function draw(current: string | undefined): void {
  if (!list) return;
  patch(
    list,
    stories.map((story) =>
      h(
        "li",
        { key: story.name },
        h("a", { href: `#scenario=${story.name}`, "aria-current": story.name === current ? "page" : null }, h("strong", null, story.title), story.teaches === null ? null : h("span", null, story.teaches)),
      ),
    ),
  );
}

function openOrTell(): void {
  tell("");
  openLink().catch((error: unknown) => tell(`This link cannot be read: ${error instanceof Error ? error.message : String(error)}`));
}

addEventListener("hashchange", openOrTell);
lab?.addEventListener("klab-link", (event) => {
  own = (event as CustomEvent<{ hash: string }>).detail.hash;
  history.replaceState(null, "", own);
  own = location.hash;
});
lab?.addEventListener("klab-ready", () => performance.mark("klab-interactive"));

library().then(
  (all) => {
    stories = all;
    draw(undefined);
    openOrTell();
  },
  (error: unknown) => tell(`The engine could not be loaded: ${error instanceof Error ? error.message : String(error)}`),
);
