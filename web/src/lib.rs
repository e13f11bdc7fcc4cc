//! The wasm door.
