// The module as JavaScript should use it: import this file, not the bindings beside it.
//
// A bug in klab (a panic, a full stack, no memory) leaves an instance of the module in an unknown state. Here it becomes an Error that
// carries the panic's own words; the instance is thrown away and a fresh one takes its place, so the next call works. What was opened
// in the old instance says so when it is called again.

import { __wbg_reset_state, Exercise, Run, Session } from "./klab_web.js";

export * from "./klab_web.js";
export { default } from "./klab_web.js";

// What the panic hook puts before a panic's own words (web/src/lib.rs).
const BUG = "a bug in klab: ";
// The bindings count their instances in the same way, and mark each object with the number of the one it lives in.
let instance = 0;

function enter(object, name, call) {
  if (object.__wbg_inst !== undefined && object.__wbg_inst !== instance) {
    if (name === "free" || name === Symbol.dispose) return;
    throw new Error("this run was stopped by a bug in klab; open it again");
  }
  try {
    return call();
  } catch (error) {
    const trapped = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    if (!trapped && !error.message.startsWith(BUG)) throw error;
    __wbg_reset_state();
    instance += 1;
    throw trapped ? new Error(BUG + error.message, { cause: error }) : error;
  }
}

function guard(methods) {
  for (const name of Reflect.ownKeys(methods)) {
    const method = methods[name];
    if (typeof method !== "function" || name === "constructor" || String(name).startsWith("__")) continue;
    methods[name] = function (...values) {
      return enter(this, name, () => method.apply(this, values));
    };
  }
}

for (const door of [Run, Session, Exercise]) {
  guard(door);
  guard(door.prototype);
}
