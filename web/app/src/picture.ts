// The picture alone, for whoever has a frame and no document: the book's posters are drawn by it when the book is built.

export { stage } from "./stage.ts";
export { text } from "./vdom.ts";
export { default as style } from "./style.css";
