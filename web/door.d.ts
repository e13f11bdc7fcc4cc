export * from "./klab_web.js";
export { default } from "./klab_web.js";
