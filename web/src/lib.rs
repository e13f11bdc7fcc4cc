//! The wasm door: what JavaScript may ask of a run. It is a thin coat; everything it says is made in `run`.
//!
//! A panic reaches JavaScript as an `Error` with the panic's own words, and the next call finds a fresh instance of the module
//! (`door.js`, which wraps every class exported here): a bug in one run never leaves a dead page.
//! What is left out: the picture, the timeline and interventions, which come with the page.

pub mod run;

use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once in every instance of the module, before any other export.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        wasm_bindgen::throw_str(&format!("a bug in klab: {panic}"));
    }));
}

/// One run of one scenario with one seed.
#[wasm_bindgen]
pub struct Session(run::Run);

#[wasm_bindgen]
impl Session {
    /// Opens a scenario, given as the text of its file; `twin` counts its twins from 1, and is 0 for the scenario itself.
    pub fn open(scenario: &str, twin: u32, seed: u64) -> Result<Session, JsError> {
        run::Run::open(scenario, twin, seed)
            .map(Session)
            .map_err(|error| JsError::new(&error))
    }

    /// Goes on for about `records` records and says whether the run has ended. Call it in slices: one long first call stays in the
    /// engine's slow baseline compiler, and blocks the page.
    pub fn run(&mut self, records: u32) -> Result<bool, JsError> {
        self.0.run(records).map_err(|error| JsError::new(&error))
    }

    /// The hash of the run so far, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        self.0.hash()
    }

    /// What became of every record so far, as JSON: a sentence, and how what was expected stands.
    pub fn verdict(&self) -> String {
        self.0.verdict()
    }

    /// Sums over the run so far, as JSON: records, elections, truncated.
    pub fn census(&self) -> String {
        self.0.census()
    }

    /// Panics on purpose, so that `cargo xtask parity` can see what becomes of a panic.
    pub fn rehearse_panic(&mut self) {
        panic!("rehearsed");
    }
}
