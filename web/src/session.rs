//! One run that a person looks at and changes, in plain Rust: the page drives it through `Session`, tests natively.
//!
//! A run is a scenario, a twin of it, settings that were changed, things that were done by hand, and a seed. What is done by
//! hand is a step like any other: it forks the run at the moment that is looked at, and `export` writes a file whose run,
//! natively, has the same hash. Nothing blocks: `run` and `seek` go on by slices.
//!
//! Times are nanoseconds since the run was ready, as scenarios count them; before that, negative.
//! What is left out: several futures side by side; undoing runs the scenario without its last act.

use std::sync::Arc;

use klab_kafka::ids::RecordId;
use klab_kafka::time::Time;
use klab_world::frame::marks::{Mark, Opening, marks, opening};
use klab_world::frame::menu::{self, Offer};
use klab_world::frame::settings::{self, Setting};
use klab_world::frame::{Frame, since_ready};
use klab_world::line::Lexicon;
use klab_world::scenario::{Scenario, ScenarioErrors, Step, When, limits};
use klab_world::telling::is_story;
use klab_world::timeline::{EVERY, Timeline};
use klab_world::trace::Record;
use klab_world::why::{self, Why};
use klab_world::world::Watch;
use serde::Serialize;

/// A run to look at and to change.
pub struct Session {
    /// The scenario as it was opened, with changed settings.
    base: Scenario,
    twins: Vec<String>,
    twin: u32,
    seed: u64,
    /// Settings that were changed: pointer, and value as JSON.
    sets: Vec<(String, String)>,
    /// What was done by hand, in the order in which it was done.
    acts: Vec<Step>,
    /// The scenario that runs.
    scenario: Arc<Scenario>,
    timeline: Timeline,
    /// When the run was ready; known once it is known whole.
    ready: Time,
    end: Option<End>,
}

/// What is known once a run has ended.
struct End {
    hash: u64,
    story: Vec<u64>,
    info: Info,
}

/// A run as a whole.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Info {
    /// Names the change, not the outcome.
    pub title: String,
    /// What it is about.
    pub teaches: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// The titles of its twins.
    pub twins: Vec<String>,
    /// Which of them runs, from 1; 0 is the scenario itself.
    pub twin: u32,
    /// What may be changed.
    pub settings: Vec<Setting>,
    /// Whether a setting differs from the file.
    pub changed: bool,
    /// What was done by hand, in words.
    pub acts: Vec<Act>,
    /// When the run ended.
    pub to: i64,
    /// Where a page opens.
    pub opening: Option<Opening>,
    /// Marks on the line of time.
    pub marks: Vec<Mark>,
    /// Facts in the trace.
    pub records: u64,
    /// Events handled.
    pub events: u64,
    /// The hash of the whole run, as 16 hexadecimal digits.
    pub hash: String,
}

/// Something done by hand.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Act {
    /// When.
    pub at: i64,
    /// The step as a line of a file.
    pub step: String,
}

/// A fact of the trace as one line.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: i64,
    /// When, in words.
    pub clock: String,
    /// Who and what, in words.
    pub words: String,
}

/// One link of an answer to *why*.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Link {
    /// Its fact.
    #[serde(flatten)]
    pub line: Line,
    /// What joins it to an earlier one, in words.
    pub edge: Option<String>,
    /// That earlier one.
    pub to: Option<u64>,
    /// Something that should have come and did not.
    pub absence: bool,
}

/// A mistake, and where it is if it is in a scenario's text.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mistake {
    /// What is wrong.
    pub words: String,
    /// Where: the name of the text.
    pub place: Option<Place>,
}

/// A place in a text.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// A scenario that comes with klab.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Story {
    /// What the command line calls it.
    pub name: &'static str,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub teaches: Option<String>,
    /// Its file.
    pub text: &'static str,
}

/// All scenarios that come with klab, the first one first.
pub fn library() -> Vec<Story> {
    let all = klab_world::scenario::library::ALL.iter();
    all.filter_map(|entry| {
        let scenario = Scenario::parse(entry.name, entry.text).ok()?;
        Some(Story {
            name: entry.name,
            title: scenario.title.to_string(),
            teaches: scenario.teaches.as_ref().map(ToString::to_string),
            text: entry.text,
        })
    })
    .collect()
}

/// Mistakes, at least one.
pub type Mistakes = Vec<Mistake>;

/// Mistakes without a place.
pub fn mistake(words: impl Into<String>) -> Mistakes {
    vec![Mistake {
        words: words.into(),
        place: None,
    }]
}

fn placed(errors: &ScenarioErrors) -> Mistakes {
    let one = |error: &klab_world::scenario::ScenarioError| Mistake {
        words: error.to_string(),
        place: Some(Place {
            line: error.line,
            column: error.column,
            start: error.start,
            end: error.end,
        }),
    };
    errors.0.iter().map(one).collect()
}

impl Session {
    /// Takes a scenario's text, which of its twins is meant (from 1; 0 is the scenario itself), and a seed, or that of the file.
    ///
    /// # Errors
    /// Every mistake in the text, with its place.
    pub fn open(text: &str, twin: u32, seed: Option<u64>) -> Result<Session, Mistakes> {
        let file = Scenario::parse("the scenario", text).map_err(|errors| placed(&errors))?;
        let twins: Vec<String> = file.twins.iter().map(|t| t.title.to_string()).collect();
        let tries = file.tries.clone();
        let mut base = match twin.checked_sub(1) {
            None => file,
            Some(before) => {
                let mut all = file.twins.into_iter();
                let before = usize::try_from(before).unwrap_or(usize::MAX);
                let found = all.nth(before);
                let none = || mistake(format!("the scenario has no twin {twin}"));
                *found.ok_or_else(none)?.scenario
            }
        };
        base.tries = tries;
        base.twins = Vec::new();
        let seed = seed.or(base.seed).unwrap_or(1);
        let scenario = Arc::new(base.clone());
        Ok(Session {
            base,
            twins,
            twin,
            seed,
            sets: Vec::new(),
            acts: Vec::new(),
            timeline: begin(&scenario, seed),
            scenario,
            ready: Time(0),
            end: None,
        })
    }

    /// Goes on towards the end of the run by about so many events; true when it is known whole.
    ///
    /// # Errors
    /// The run has gone beyond the limit of what one run may do.
    pub fn run(&mut self, events: u64) -> Result<bool, Mistakes> {
        if self.end.is_some() {
            return Ok(true);
        }
        let until = self.timeline.world().events() + events.max(1);
        while self.timeline.world().events() < until {
            if !self.timeline.step() {
                self.finish();
                return Ok(true);
            }
        }
        match limits::EVENTS.hold(self.timeline.world().events()) {
            Ok(()) => Ok(false),
            Err(limit) => Err(mistake(format!(
                "{}; expected {}",
                limit.found, limit.expected
            ))),
        }
    }

    fn finish(&mut self) {
        let view = self.timeline.now();
        let at = view.now();
        let ready = view.ready().unwrap_or(Time(0));
        let lexicon = Lexicon::of(view);
        let records = self.timeline.records();
        let story = records.iter().filter(|r| r.at >= ready && is_story(r));
        let story = story.map(|r| r.seq);
        let hash = self.timeline.world().hash();
        let mut settings = settings::of(&self.base);
        for setting in &mut settings {
            let set = self.sets.iter().find(|(p, _)| *p == setting.pointer);
            if let Some((_, json)) = set {
                setting.now = setting.values.iter().position(|v| v.json == *json);
            }
        }
        let info = Info {
            title: self.base.title.to_string(),
            teaches: self.base.teaches.as_ref().map(ToString::to_string),
            seed: self.seed,
            twins: self.twins.clone(),
            twin: self.twin,
            settings,
            changed: !self.sets.is_empty(),
            acts: self.acts.iter().map(act).collect(),
            to: since_ready(view, at).0,
            opening: opening(records, &lexicon, ready),
            marks: marks(records, &lexicon, ready),
            records: view.seq(),
            events: self.timeline.world().events(),
            hash: format!("{hash:016x}"),
        };
        self.ready = ready;
        self.end = Some(End {
            hash,
            story: story.collect(),
            info,
        });
    }

    /// The run as a whole, once it is known.
    pub fn info(&self) -> Option<&Info> {
        self.end.as_ref().map(|end| &end.info)
    }

    /// Goes to the state at a time by at most so many events; true when it is reached.
    pub fn seek(&mut self, at: i64, events: u64) -> bool {
        let at = self.world_time(at);
        self.timeline.approach(at, events.max(1))
    }

    /// The time of the next event after the one looked at, or of the one before it.
    pub fn step(&mut self, at: i64, forward: bool) -> i64 {
        let now = self.world_time(at);
        let records = self.timeline.records();
        let after = records.partition_point(|r| r.at <= now);
        let before = records.partition_point(|r| r.at < now);
        let found = match forward {
            true => records.get(after),
            false => before.checked_sub(1).and_then(|i| records.get(i)),
        };
        found.map_or(at, |r| self.since_ready(r.at))
    }

    /// The picture at a time. Going there is at most the way between two checkpoints once the run is known whole.
    pub fn frame(&mut self, at: i64) -> Frame {
        let at = self.world_time(at);
        self.timeline.at(at);
        let checkers = self.timeline.world().checkers();
        let checkers = checkers.expect("a session watches its run");
        Frame::of(self.timeline.now(), checkers, at)
    }

    /// Lines of the trace around a time, since the run was ready: so many up to it and so many after it, of the story or of
    /// everything.
    pub fn lines(&self, at: i64, before: usize, after: usize, everything: bool) -> Vec<Line> {
        let now = self.world_time(at);
        let records = self.timeline.records();
        let lexicon = Lexicon::of(self.timeline.now());
        let line = |record: &Record| self.line(record, &lexicon);
        let around = |passed: usize, len: usize| {
            passed.saturating_sub(before)..passed.saturating_add(after).min(len)
        };
        let unready = records.partition_point(|r| r.at < self.ready);
        let records = &records[unready..];
        if everything {
            let passed = records.partition_point(|r| r.at <= now);
            return records[around(passed, records.len())]
                .iter()
                .map(line)
                .collect();
        }
        let Some(end) = &self.end else {
            return Vec::new();
        };
        let passed = end
            .story
            .partition_point(|seq| self.record(*seq).is_some_and(|r| r.at <= now));
        let story = &end.story[around(passed, end.story.len())];
        story
            .iter()
            .filter_map(|seq| self.record(*seq))
            .map(line)
            .collect()
    }

    /// Why an application's record has the fate that it has at a time.
    pub fn why_record(&mut self, at: i64, source: u32, number: u32) -> Vec<Link> {
        let id = RecordId { source, number };
        let at = self.world_time(at);
        self.timeline.at(at);
        let world = self.timeline.world();
        let checkers = world.checkers().expect("a session watches its run");
        let records = self.timeline.records_so_far();
        let why = why::of_record(records, checkers, self.timeline.now(), id);
        self.links(why)
    }

    /// What an event came of.
    pub fn why_event(&mut self, seq: u64) -> Vec<Link> {
        let Some(at) = self.record(seq).map(|r| r.at) else {
            return Vec::new();
        };
        self.timeline.at(at);
        let world = self.timeline.world();
        let checkers = world.checkers().expect("a session watches its run");
        let records = self.timeline.records_so_far();
        let why = why::of_event(records, checkers, self.timeline.now(), seq);
        self.links(why)
    }

    /// What can be done to a process, or to a link between two, at a time.
    pub fn menu(&mut self, at: i64, a: &str, b: Option<&str>) -> Vec<Offer> {
        let at = self.world_time(at);
        self.timeline.at(at);
        match b {
            Some(b) => menu::of_link(self.timeline.now(), a, b),
            None => menu::of_process(self.timeline.now(), a),
        }
    }

    /// Does something at a time: a step as JSON without its time. It lands at the first nanosecond of which nothing has
    /// begun, and the run forks there: call `run` until it is known whole. Returns when it lands.
    ///
    /// # Errors
    /// What is wrong with the step, or why nothing can be done then.
    pub fn act(&mut self, at: i64, act: &str) -> Result<i64, Mistakes> {
        let now = self.world_time(at);
        self.timeline.at(now);
        let view = self.timeline.now();
        let begun = view.now() == now;
        let at = self.since_ready(now) + i64::from(begun);
        let mut step: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(act).map_err(|error| mistake(error.to_string()))?;
        step.insert("at".into(), format!("{}ns", at.max(0)).into());
        let step = serde_json::Value::from(step).to_string();
        let set = [("/steps/-".to_owned(), step)];
        let with = self.scenario.with(&set).map_err(|errors| placed(&errors))?;
        let step = with.steps.last().cloned();
        let step = step.ok_or_else(|| mistake("the step is empty"))?;
        let fork = self.timeline.fork(step.clone());
        self.timeline = fork.map_err(|error| mistake(error.to_string()))?;
        self.acts.push(step);
        self.scenario = Arc::new(self.timeline.world().scenario().clone());
        self.end = None;
        Ok(at)
    }

    /// Takes the last act back, and begins anew without it; false if there is none.
    pub fn undo(&mut self) -> bool {
        let undone = self.acts.pop().is_some();
        if undone {
            self.begin_anew();
        }
        undone
    }

    /// Changes a setting and begins anew, on the same seed and with the same acts.
    ///
    /// # Errors
    /// A place that does not exist, or a value that does not fit there.
    pub fn set(&mut self, pointer: &str, json: &str) -> Result<(), Mistakes> {
        let set = [(pointer.to_owned(), json.to_owned())];
        self.base = self.base.with(&set).map_err(|errors| placed(&errors))?;
        self.sets.retain(|(known, _)| known != pointer);
        self.sets.extend(set);
        self.begin_anew();
        Ok(())
    }

    fn begin_anew(&mut self) {
        let acts = self.acts.iter().cloned();
        let scenario = acts.fold(self.base.clone(), |scenario, act| scenario.with_step(act));
        self.scenario = Arc::new(scenario);
        self.timeline = begin(&self.scenario, self.seed);
        self.end = None;
    }

    /// A file whose run, natively, is this very run. What was expected of the scenario as it was is left out as soon as it is
    /// another one.
    pub fn export(&self) -> String {
        let mut scenario = (*self.scenario).clone();
        scenario.seed = Some(self.seed);
        scenario.tries = self.base.tries.clone();
        if !self.sets.is_empty() || !self.acts.is_empty() {
            scenario.expect = Vec::new();
        }
        let version = env!("CARGO_PKG_VERSION");
        let hash = match &self.end {
            Some(end) => format!("; its run has the hash {:016x}", end.hash),
            None => String::new(),
        };
        format!(
            "// Made with klab {version}, seed {}{hash}.\n{}",
            self.seed,
            scenario.export()
        )
    }

    /// The hash of the run at a time, as 16 hexadecimal digits.
    pub fn hash(&mut self, at: i64) -> String {
        let at = self.world_time(at);
        self.timeline.at(at);
        format!("{:016x}", self.timeline.world().hash())
    }

    /// The verdict at a time, in sentences.
    pub fn verdict(&mut self, at: i64) -> String {
        let at = self.world_time(at);
        self.timeline.at(at);
        let checkers = self.timeline.world().checkers();
        let checkers = checkers.expect("a session watches its run");
        checkers.verdict(self.timeline.now()).to_string()
    }

    /// Nobody looks at what was before the run was ready.
    fn world_time(&self, at: i64) -> Time {
        Time(self.ready.0.saturating_add_signed(at.max(0)))
    }

    fn since_ready(&self, at: Time) -> i64 {
        at.0 as i64 - self.ready.0 as i64
    }

    fn record(&self, seq: u64) -> Option<&Record> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.timeline.records().get(at)
    }

    fn line(&self, record: &Record, lexicon: &Lexicon) -> Line {
        Line {
            seq: record.seq,
            at: self.since_ready(record.at),
            clock: lexicon.time(record.at),
            words: lexicon.sentence(record),
        }
    }

    fn links(&self, why: Option<Why>) -> Vec<Link> {
        let lines = why.into_iter().flat_map(|why| why.lines);
        lines
            .map(|link| Link {
                line: Line {
                    seq: link.seq,
                    at: self.record(link.seq).map_or(0, |r| self.since_ready(r.at)),
                    clock: link.at,
                    words: link.text,
                },
                edge: link.edge.map(|edge| edge.kind.to_string()),
                to: link.edge.map(|edge| edge.to),
                absence: link
                    .edge
                    .is_some_and(|edge| matches!(edge.kind, why::EdgeKind::Absence(_))),
            })
            .collect()
    }
}

/// A run at its beginning, watched.
fn begin(scenario: &Arc<Scenario>, seed: u64) -> Timeline {
    let watch = Watch {
        records: true,
        checkers: true,
    };
    Timeline::open(scenario.clone(), seed, watch, EVERY)
}

fn act(step: &Step) -> Act {
    let at = match step.when {
        When::At(at) => at.0,
        When::Met { .. } | When::Drawn { .. } => 0,
    };
    Act {
        at,
        step: step.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn opened(name: &str, seed: u64) -> Session {
        let text = klab_world::scenario::library::find(name).expect("in the library");
        let mut session = Session::open(&text, 0, Some(seed)).expect("a good file");
        known(&mut session);
        session
    }

    fn known(session: &mut Session) -> Info {
        while !session.run(1_000).expect("within the limits") {}
        session.info().expect("it has ended").clone()
    }

    /// The hash of a file's run, by the first door.
    fn hash_of(file: &str) -> String {
        let scenario = Scenario::parse("the export", file).expect("an export is a good file");
        let seed = scenario.seed.expect("an export names its seed");
        let mut run = crate::run::Run::open(file, 0, seed).expect("a good file");
        while !run.run(10_000).expect("within the limits") {}
        run.hash()
    }

    #[test]
    fn an_export_after_acts_and_settings_runs_to_the_same_hash() {
        let mut session = opened("quickstart", 42);
        let plain = known(&mut session).hash;
        assert_eq!(hash_of(&session.export()), plain);
        session
            .set("/producers/shop/config/acks", "\"all\"")
            .expect("it fits");
        known(&mut session);
        let act = r#"{"crash":"broker-1","for":"3s"}"#;
        let at = session.act(SECOND / 2, act).expect("it is ready");
        known(&mut session);
        session
            .act(at, r#"{"cut":["controllers","broker-2"],"for":"7s"}"#)
            .expect("and again");
        let info = known(&mut session);
        assert_ne!(info.hash, plain);
        assert_eq!(info.acts.len(), 2);
        assert_eq!(
            hash_of(&session.export()),
            info.hash,
            "{}",
            session.export()
        );
    }

    #[test]
    fn an_act_that_is_undone_leaves_no_trace() {
        let mut session = opened("quickstart", 42);
        let before = known(&mut session);
        session
            .act(3 * SECOND, r#"{"pause":"broker-2","for":"5s"}"#)
            .expect("it can be done");
        assert_ne!(known(&mut session).hash, before.hash);
        assert!(session.undo());
        assert_eq!(known(&mut session), before);
        assert!(!session.undo());
    }

    #[test]
    fn random_seeks_show_the_frames_of_forward_play() {
        for name in ["quickstart", "r24"] {
            let mut session = opened(name, 3);
            let to = known(&mut session).to;
            let times: Vec<i64> = (0..60).map(|n| to / 60 * n).collect();
            let forward: Vec<Frame> = times.iter().map(|t| session.frame(*t)).collect();
            for n in 0..60 {
                let at = n * 37 % 60;
                assert_eq!(
                    session.frame(times[at]),
                    forward[at],
                    "{name} at {}",
                    times[at]
                );
            }
        }
    }

    #[test]
    fn mistakes_have_words_and_places() {
        let Err(mistakes) = Session::open("{\n  \"format\": 2 }", 0, None) else {
            panic!("it is wrong");
        };
        let lines = mistakes.iter().filter_map(|m| Some(m.place.as_ref()?.line));
        assert!(lines.clone().any(|line| line == 2), "{mistakes:?}");
        let mut session = opened("quickstart", 1);
        let wrong = session
            .act(SECOND, r#"{"crash":"broker-9"}"#)
            .expect_err("there is none");
        assert!(wrong[0].words.contains("broker-9"), "{wrong:?}");
        let late = session
            .act(61 * SECOND, r#"{"crash":"broker-1"}"#)
            .expect_err("it is over");
        assert!(!late[0].words.is_empty());
    }

    #[test]
    fn why_tells_a_lost_records_story_with_times_to_go_to() {
        let mut session = opened("quickstart", 42);
        let to = known(&mut session).to;
        let lost = session.frame(to).verdict.records[0].clone();
        let links = session.why_record(to, lost.source, lost.number);
        assert!(links.len() > 3, "{links:?}");
        assert!(links.iter().all(|l| l.line.at >= 0 && l.line.at <= to));
        assert!(links.iter().any(|l| l.absence));
        let caused = session.why_event(links[1].line.seq);
        assert!(!caused.is_empty());
    }
}
