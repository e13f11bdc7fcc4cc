//! The wasm door: what JavaScript may ask of a run. It is a thin coat; everything it says is made in `session` and `run`.
//!
//! Values cross as JSON text. A mistake reaches JavaScript as an `Error` whose message is a JSON list of mistakes, each in words
//! and, where there is one, with its place. A panic reaches it as an `Error` with the panic's own words, and the next call finds a
//! fresh instance of the module (`door.js`, which wraps every class exported here): a bug in one run never leaves a dead page.
//!
//! Times are nanoseconds since the run was ready; a double holds them exactly for the hundred days that a run may last.

pub mod run;
pub mod session;

use std::sync::Arc;

use klab_world::exercise;
use serde::Serialize;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once in every instance of the module, before any other export.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        wasm_bindgen::throw_str(&format!("a bug in klab: {panic}"));
    }));
}

/// One run of one scenario with one seed, straight to its end: what the parity check compares.
#[wasm_bindgen]
pub struct Run(run::Run);

#[wasm_bindgen]
impl Run {
    /// Opens a scenario, given as the text of its file; `twin` counts its twins from 1, and is 0 for the scenario itself.
    pub fn open(scenario: &str, twin: u32, seed: u64) -> Result<Run, JsError> {
        run::Run::open(scenario, twin, seed)
            .map(Run)
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

/// One run that a person looks at and changes.
#[wasm_bindgen]
pub struct Session(session::Session);

#[wasm_bindgen]
impl Session {
    /// Opens a scenario, given as the text of its file; `twin` counts its twins from 1, and is 0 for the scenario itself; without a
    /// seed it is that of the file.
    pub fn open(scenario: &str, twin: u32, seed: Option<u64>) -> Result<Session, JsError> {
        session::Session::open(scenario, twin, seed)
            .map(Session)
            .map_err(|mistakes| wrong(&mistakes))
    }

    /// Goes on towards the end of the run by about so many events and says whether it is known whole.
    pub fn run(&mut self, events: u32) -> Result<bool, JsError> {
        self.0
            .run(events.into())
            .map_err(|mistakes| wrong(&mistakes))
    }

    /// The run as a whole (`session::Info`), once it is known; else null.
    pub fn info(&self) -> String {
        json(&self.0.info())
    }

    /// Goes to a time by at most so many events and says whether it is there.
    pub fn seek(&mut self, at: f64, events: u32) -> bool {
        self.0.seek(at as i64, events.into())
    }

    /// The time of the next event, or of the one before.
    pub fn step(&mut self, at: f64, forward: bool) -> f64 {
        self.0.step(at as i64, forward) as f64
    }

    /// The picture at a time (`klab_world::frame::Frame`).
    pub fn frame(&mut self, at: f64) -> String {
        json(&self.0.frame(at as i64))
    }

    /// Lines of the trace around a time (`session::Line`).
    pub fn lines(&self, at: f64, before: u32, after: u32, everything: bool) -> String {
        let (before, after) = (before as usize, after as usize);
        json(&self.0.lines(at as i64, before, after, everything))
    }

    /// Why a record has its fate (`session::Link`).
    pub fn why_record(&mut self, at: f64, source: u32, number: u32) -> String {
        json(&self.0.why_record(at as i64, source, number))
    }

    /// What an event came of (`session::Link`).
    pub fn why_event(&mut self, seq: f64) -> String {
        json(&self.0.why_event(seq as u64))
    }

    /// What can be done to a process, or to a link between two (`klab_world::frame::menu::Offer`).
    pub fn menu(&mut self, at: f64, a: &str, b: Option<String>) -> String {
        json(&self.0.menu(at as i64, a, b.as_deref()))
    }

    /// Does something, and says when it lands; then `run` until the run is known whole again.
    pub fn act(&mut self, at: f64, act: &str) -> Result<f64, JsError> {
        let landed = self.0.act(at as i64, act);
        landed
            .map(|at| at as f64)
            .map_err(|mistakes| wrong(&mistakes))
    }

    /// Takes the last act back, and begins anew; then `run`.
    pub fn undo(&mut self) -> bool {
        self.0.undo()
    }

    /// Changes a setting, and begins anew; then `run`.
    pub fn set(&mut self, pointer: &str, json: &str) -> Result<(), JsError> {
        self.0
            .set(pointer, json)
            .map_err(|mistakes| wrong(&mistakes))
    }

    /// A file whose run, natively, is this run.
    pub fn export(&self) -> String {
        self.0.export()
    }

    /// The hash of the run at a time, as 16 hexadecimal digits.
    pub fn hash(&mut self, at: f64) -> String {
        self.0.hash(at as i64)
    }

    /// The verdict at a time, in sentences.
    pub fn verdict(&mut self, at: f64) -> String {
        self.0.verdict(at as i64)
    }

    /// Panics on purpose, so that the page's tests can see what becomes of a panic.
    pub fn rehearse_panic(&mut self) {
        panic!("rehearsed");
    }
}

/// An exercise of the book, and an answer that is tried with many seeds.
#[wasm_bindgen]
pub struct Exercise {
    exercise: Arc<exercise::Exercise>,
    attempt: Option<exercise::Attempt>,
}

#[wasm_bindgen]
impl Exercise {
    /// Opens an exercise, given as the text of its file.
    pub fn open(text: &str) -> Result<Exercise, JsError> {
        let exercise = exercise::Exercise::read("the exercise", text).map_err(said)?;
        Ok(Exercise {
            exercise: Arc::new(exercise),
            attempt: None,
        })
    }

    /// What is shown of it (`klab_world::exercise::About`).
    pub fn about(&self) -> String {
        json(&self.exercise.about())
    }

    /// The scenario with an answer in it. An answer is an object: pointers, and values as JSON text.
    pub fn scenario(&self, answer: &str) -> Result<String, JsError> {
        let scenario = self.exercise.scenario(&values(answer)?);
        Ok(scenario.map_err(said)?.export())
    }

    /// Begins to try an answer with so many seeds as a page tries; then `run` until it is done.
    pub fn begin(&mut self, answer: &str) -> Result<(), JsError> {
        let seeds = self.exercise.about().seeds;
        let attempt = exercise::Attempt::begin(self.exercise.clone(), values(answer)?, seeds);
        self.attempt = Some(attempt.map_err(said)?);
        Ok(())
    }

    /// Goes on by about so many events and says whether every seed has been tried.
    pub fn run(&mut self, events: u32) -> Result<bool, JsError> {
        let attempt = self.attempt.as_mut();
        attempt.map_or(Ok(true), |attempt| attempt.run(events.into()).map_err(said))
    }

    /// What is known of the answer (`klab_world::exercise::Told`), or null before `begin`.
    pub fn told(&self) -> String {
        json(&self.attempt.as_ref().map(exercise::Attempt::told))
    }
}

/// The scenarios that come with klab, as JSON: name, title, what it teaches, text.
#[wasm_bindgen]
pub fn library() -> String {
    json(&session::library())
}

/// The version of klab.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

fn values(answer: &str) -> Result<exercise::Values, JsError> {
    serde_json::from_str(answer).map_err(|error| said(error.to_string()))
}

fn said(words: String) -> JsError {
    wrong(&session::mistake(words))
}

fn wrong(mistakes: &session::Mistakes) -> JsError {
    JsError::new(&json(mistakes))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a form in JSON")
}
