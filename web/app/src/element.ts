// The element as one file: what a page or a book imports.

export { library, Run, version } from "./engine.ts";
export { KafkaLab } from "./lab.ts";
export { advance, stops } from "./player.ts";
export { read as readLink, write as writeLink } from "./link.ts";
export { stage } from "./stage.ts";
export { text } from "./vdom.ts";
