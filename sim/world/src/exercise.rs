//! Exercises: a scenario with a few settings that a learner may change, and what every run must then do, seed after seed.
//!
//! An answer is a value for each setting that may be changed; everything else is the exercise's own, so nobody solves it by
//! stopping the workload. A file also names what does not work: the setting it begins with and every wrong answer say which
//! expectation they fail and what the verdict's explanation must name, and [`Exercise::doubts`] finds what was not declared.
//!
//! What is left out: questions with a bet, progress, and settings whose values are not a short list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::frame::settings::{self, Setting};
use crate::line::list;
use crate::outcome::{Found, Outcome};
use crate::scenario::Scenario;
use crate::scenario::expect::{Comparator, Expectation, METRICS};
use crate::scenario::limits;
use crate::scenario::tree::Node;
use crate::world::{Watch, World};

/// Values of settings: where, and what as JSON text.
pub type Values = BTreeMap<String, String>;

/// An exercise.
#[derive(Clone, Debug)]
pub struct Exercise {
    file: File,
    /// Without an answer in it.
    scenario: Scenario,
}

/// The file, but for its scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    id: String,
    title: String,
    asks: String,
    misconception: String,
    seeds: u64,
    page_seeds: u64,
    #[serde(rename = "scenario")]
    _scenario: IgnoredAny,
    editable: Vec<Editable>,
    expect: Vec<String>,
    starter: Wrong,
    solution: Right,
    also_solves: Vec<Right>,
    wrong: Vec<Wrong>,
    hints: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Editable {
    set: String,
    to: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Right {
    set: BTreeMap<String, serde_json::Value>,
    note: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Wrong {
    set: BTreeMap<String, serde_json::Value>,
    fails: String,
    #[serde(default)]
    because: BTreeSet<String>,
    in_at_least: u64,
    witness: Option<u64>,
    says: String,
}

/// What a page shows of an exercise before anybody has answered.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// Never used twice.
    pub id: String,
    /// Its name.
    pub title: String,
    /// The task.
    pub asks: String,
    /// What every run must do, and what each of these numbers is.
    pub expect: Vec<(String, String)>,
    /// What may be changed, with what it is at the beginning.
    pub settings: Vec<Setting>,
    /// A step at a time.
    pub hints: Vec<String>,
    /// A page tries so many seeds, from 0.
    pub seeds: u64,
    /// A run in which the beginning fails.
    pub witness: Option<u64>,
    /// What works.
    pub solution: Values,
}

impl Exercise {
    /// Reads an exercise; `name` is for its mistakes.
    ///
    /// # Errors
    /// The sentences to show to its author.
    pub fn read(name: &str, text: &str) -> Result<Exercise, String> {
        let wrong = |what: &dyn fmt::Display| format!("{name}: {what}");
        let node = Node::parse(text, 0).map_err(|(_, mistake)| {
            wrong(&format!("{}; expected {}", mistake.found, mistake.expected))
        })?;
        let file: File = serde_json::from_str(&node.to_line()).map_err(|error| wrong(&error))?;
        let inner = node.get("scenario").expect("the file has it");
        let scenario = Scenario::parse(&file.id, &inner.to_line());
        let tries = file.editable.iter().map(|one| {
            let to = serde_json::Value::from(one.to.clone());
            serde_json::json!({ "set": one.set, "to": to })
        });
        let sets = [
            ("/title", serde_json::Value::from(file.title.clone())),
            ("/try", tries.collect()),
            ("/expect", file.expect.iter().cloned().collect()),
        ];
        let sets = sets.map(|(at, value)| (at.to_owned(), value.to_string()));
        let scenario = scenario.and_then(|scenario| scenario.with(&sets));
        let scenario = scenario.map_err(|errors| errors.to_string())?;
        let exercise = Exercise { file, scenario };
        exercise.scenario(&Values::new()).map_err(|e| wrong(&e))?;
        Ok(exercise)
    }

    /// What a page shows of it.
    pub fn about(&self) -> About {
        let file = &self.file;
        let starter = self.scenario(&Values::new()).expect("`read` has tried it");
        let meaning = |expectation: &Expectation| match expectation {
            Expectation::Compare { metric, .. } => METRICS
                .iter()
                .find(|(known, ..)| known == metric)
                .map_or("", |(.., sentence)| sentence),
            _ => "",
        };
        let expect = starter.expect.iter();
        About {
            id: file.id.clone(),
            title: file.title.clone(),
            asks: file.asks.clone(),
            expect: expect
                .map(|one| (one.to_string(), meaning(one).to_owned()))
                .collect(),
            settings: settings::of(&starter),
            hints: file.hints.clone(),
            seeds: file.page_seeds,
            witness: file.starter.witness,
            solution: texts(&file.solution.set),
        }
    }

    /// Seeds that prove it natively: from 0.
    pub fn seeds(&self) -> u64 {
        self.file.seeds
    }

    /// The scenario with an answer in it. A setting that the answer does not name is as at the beginning.
    ///
    /// # Errors
    /// A setting that may not be changed, or a value that it may not have.
    pub fn scenario(&self, answer: &Values) -> Result<Scenario, String> {
        let allowed = |at: &str| self.file.editable.iter().find(|one| one.set == at);
        for (at, json) in answer {
            let editable = allowed(at).ok_or_else(|| format!("{at} is not to be changed here"))?;
            let mut values = editable.to.iter().map(ToString::to_string);
            if !values.any(|value| value == *json) {
                return Err(format!("{at} may not be {json} here"));
            }
        }
        let mut sets = texts(&self.file.starter.set);
        sets.extend(answer.clone());
        let sets: Vec<(String, String)> = sets.into_iter().collect();
        let scenario = self.scenario.with(&sets);
        scenario.map_err(|errors| errors.to_string())
    }

    /// Every answer that can be given.
    pub fn answers(&self) -> Vec<Values> {
        let mut all = vec![Values::new()];
        for one in &self.file.editable {
            let with = |answer: &Values, value: &serde_json::Value| {
                let mut answer = answer.clone();
                answer.insert(one.set.clone(), value.to_string());
                answer
            };
            let values = |answer: &Values| one.to.iter().map(|v| with(answer, v)).collect();
            all = all.iter().flat_map::<Vec<Values>, _>(values).collect();
        }
        all
    }

    /// What the author says to an answer.
    fn declared(&self, answer: &Values) -> Option<Declared<'_>> {
        let rights = std::iter::once(&self.file.solution).chain(&self.file.also_solves);
        let right = rights.filter(|right| fits(&right.set, answer));
        let wrongs = std::iter::once(&self.file.starter).chain(&self.file.wrong);
        let wrong = wrongs.filter(|wrong| fits(&wrong.set, answer));
        right
            .map(Declared::Right)
            .chain(wrong.map(Declared::Wrong))
            .next()
    }

    /// What is wrong with what the file declares about an answer, after so many runs: nothing, if all is as it says.
    pub fn doubts(&self, answer: &Values, tally: &Tally) -> Vec<String> {
        let mut doubts = Vec::new();
        let about = || format!("{} with {}", self.file.id, written(answer));
        let mut doubt = |what: String| doubts.push(format!("{}: {what}", about()));
        let bad = tally.runs - tally.good;
        match self.declared(answer) {
            None if bad == 0 => doubt("it solves the exercise, and nobody declares it".into()),
            None => doubt("no answer of the file says why it fails".into()),
            Some(Declared::Right(_)) if bad == 0 => {}
            Some(Declared::Right(_)) => doubt(format!("declared right, but {}", tally.headline())),
            Some(Declared::Wrong(wrong)) => {
                let least = wrong.in_at_least * tally.runs / self.file.seeds;
                let failed = tally.fails.iter().find(|one| one.expected == wrong.fails);
                let first = tally.first();
                match failed {
                    _ if first.map(|one| &one.expected) != Some(&wrong.fails) => doubt(format!(
                        "declared to fail `{}` first, but {}",
                        wrong.fails,
                        tally.headline()
                    )),
                    Some(failed) if failed.runs.len() as u64 >= least.max(1) => {
                        if failed.because != wrong.because {
                            let (found, said) = (words(&failed.because), words(&wrong.because));
                            doubt(format!(
                                "declared to fail because of {said}, but the verdicts name {found}"
                            ));
                        }
                        let witness = wrong.witness.filter(|seed| *seed < tally.runs);
                        if witness.is_some_and(|seed| !failed.runs.contains(&seed)) {
                            doubt("its witness does not fail".into());
                        }
                    }
                    _ => doubt(format!(
                        "declared to fail in {least} runs or more, but {}",
                        tally.headline()
                    )),
                }
            }
        }
        if tally.broken > 0 {
            doubt(format!(
                "a promise is broken in {} runs: a bug of klab",
                tally.broken
            ));
        }
        doubts
    }

    /// The words under which its misconception is known.
    pub fn misconception(&self) -> &str {
        &self.file.misconception
    }
}

/// What an exercise declares about an answer.
enum Declared<'a> {
    Right(&'a Right),
    Wrong(&'a Wrong),
}

/// An answer on its way through the seeds: what a page does by slices, and a test at once.
pub struct Attempt {
    exercise: Arc<Exercise>,
    answer: Values,
    scenario: Arc<Scenario>,
    seeds: u64,
    world: Option<World>,
    tally: Tally,
}

impl Attempt {
    /// An answer and how many seeds, from 0, it is tried with.
    ///
    /// # Errors
    /// As [`Exercise::scenario`].
    pub fn begin(exercise: Arc<Exercise>, answer: Values, seeds: u64) -> Result<Self, String> {
        let scenario = Arc::new(exercise.scenario(&answer)?);
        let mut whole = texts(&exercise.file.starter.set);
        whole.extend(answer);
        Ok(Attempt {
            exercise,
            answer: whole,
            tally: Tally::of(&scenario),
            scenario,
            seeds,
            world: None,
        })
    }

    /// Goes on by about so many events; true when every seed has been tried.
    ///
    /// # Errors
    /// A run went beyond the limit of what one run may do.
    pub fn run(&mut self, events: u64) -> Result<bool, String> {
        let mut left = events.max(1);
        while left > 0 && self.tally.runs < self.seeds {
            let seed = self.tally.runs;
            let world = self
                .world
                .get_or_insert_with(|| world(self.scenario.clone(), seed));
            let until = world.events() + left;
            let began = world.events();
            let mut over = false;
            while !over && world.events() < until {
                over = !world.step();
            }
            hold(world)?;
            left = left.saturating_sub((world.events() - began).max(1));
            if over {
                let run = Run::of(seed, world);
                self.tally.add(&run);
                self.world = None;
            }
        }
        Ok(self.tally.runs == self.seeds)
    }

    /// What is known so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What a page tells.
    pub fn told(&self) -> Told {
        let over = self.tally.runs == self.seeds;
        let bad = self.tally.first();
        let says = match self.exercise.declared(&self.answer) {
            Some(Declared::Right(right)) if over && bad.is_none() => Some(right.note.clone()),
            Some(Declared::Wrong(wrong)) if over && bad.is_some() => Some(wrong.says.clone()),
            _ => None,
        };
        Told {
            over,
            solved: over && self.tally.good == self.tally.runs,
            headline: match over {
                true => self.tally.headline(),
                false => self.tally.so_far(self.seeds),
            },
            evidence: match over {
                true => self.tally.evidence(),
                false => Vec::new(),
            },
            says: says.filter(|says| !says.is_empty()),
            seed: bad.and_then(|one| one.worst.map(|(seed, _)| seed)),
        }
    }
}

/// What a page tells about an answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Told {
    /// Every seed has been tried.
    pub over: bool,
    /// And every run did what was asked.
    pub solved: bool,
    /// The one sentence.
    pub headline: String,
    /// What stands under it.
    pub evidence: Vec<String>,
    /// What the author says to this answer.
    pub says: Option<String>,
    /// The run that shows it best.
    pub seed: Option<u64>,
}

/// One run of an answer: what failed in it.
#[derive(Clone, Debug)]
pub struct Run {
    seed: u64,
    /// By the number of the expectation.
    failed: Vec<(usize, Found)>,
    because: BTreeSet<String>,
    quiet: bool,
    broken: bool,
}

impl Run {
    /// Runs one seed to its end.
    ///
    /// # Errors
    /// It went beyond the limit of what one run may do.
    pub fn whole(scenario: &Arc<Scenario>, seed: u64) -> Result<Run, String> {
        let mut world = world(scenario.clone(), seed);
        while world.step() {
            if world.events() % 65_536 == 0 {
                hold(&world)?;
            }
        }
        Ok(Run::of(seed, &world))
    }

    fn of(seed: u64, world: &World) -> Run {
        let outcome: Outcome = world.outcome().expect("it is watched");
        let failed = outcome.judged.iter().enumerate();
        let explanations = outcome.verdict.findings.iter();
        let explanations = explanations.filter_map(|finding| finding.explanation.as_ref());
        Run {
            seed,
            failed: failed
                .filter(|(_, judged)| !judged.holds)
                .map(|(n, judged)| (n, judged.found))
                .collect(),
            because: explanations
                .flat_map(|explanation| &explanation.allowed_by)
                .map(ToString::to_string)
                .collect(),
            quiet: outcome.missed.is_empty()
                && outcome.never_met.is_empty()
                && outcome.stuck.is_none(),
            broken: !outcome.broken.is_empty(),
        }
    }
}

fn world(scenario: Arc<Scenario>, seed: u64) -> World {
    let watch = Watch {
        records: false,
        checkers: true,
    };
    World::new(scenario, seed, watch)
}

fn hold(world: &World) -> Result<(), String> {
    let held = limits::EVENTS.hold(world.events());
    held.map_err(|mistake| format!("{}; expected {}", mistake.found, mistake.expected))
}

/// Many runs of one answer.
#[derive(Clone, Debug)]
pub struct Tally {
    runs: u64,
    /// Runs that did all that was asked.
    good: u64,
    /// By expectation.
    fails: Vec<Fails>,
    /// Runs that did not come to rest in time.
    unquiet: u64,
    /// Runs that broke a promise.
    broken: u64,
}

/// The runs that fail one expectation.
#[derive(Clone, Debug)]
struct Fails {
    expected: String,
    name: &'static str,
    meaning: &'static str,
    /// Less of it is worse.
    less_is_worse: bool,
    runs: BTreeSet<u64>,
    worst: Option<(u64, Found)>,
    because: BTreeSet<String>,
}

impl Tally {
    /// Of no run yet.
    pub fn of(scenario: &Scenario) -> Tally {
        let fails = scenario.expect.iter().map(|expectation| {
            let metric = match expectation {
                Expectation::Compare {
                    metric, comparator, ..
                } => METRICS
                    .iter()
                    .find(|(known, ..)| known == metric)
                    .map(|(_, name, _, sentence)| (*name, *sentence, *comparator)),
                _ => None,
            };
            let (name, meaning, comparator) = metric.unwrap_or(("it", "", Comparator::AtLeast));
            Fails {
                expected: expectation.to_string(),
                name,
                meaning,
                less_is_worse: matches!(comparator, Comparator::AtLeast | Comparator::More),
                runs: BTreeSet::new(),
                worst: None,
                because: BTreeSet::new(),
            }
        });
        Tally {
            runs: 0,
            good: 0,
            fails: fails.collect(),
            unquiet: 0,
            broken: 0,
        }
    }

    /// Adds a run; in the order of seeds, so that the worst is always the same one.
    pub fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.unquiet += u64::from(!run.quiet);
        self.broken += u64::from(run.broken);
        self.good += u64::from(run.failed.is_empty() && run.quiet && !run.broken);
        for (n, found) in &run.failed {
            let fails = &mut self.fails[*n];
            fails.runs.insert(run.seed);
            fails.because.extend(run.because.iter().cloned());
            let worse = fails.worst.is_none_or(|(_, worst)| {
                let (was, is) = (number(worst), number(*found));
                if fails.less_is_worse {
                    is < was
                } else {
                    is > was
                }
            });
            if worse {
                fails.worst = Some((run.seed, *found));
            }
        }
    }

    /// The first expectation that a run fails.
    fn first(&self) -> Option<&Fails> {
        self.fails.iter().find(|one| !one.runs.is_empty())
    }

    /// Whether every run did what was asked.
    pub fn is_good(&self) -> bool {
        self.good == self.runs
    }

    fn so_far(&self, seeds: u64) -> String {
        format!(
            "{} of {seeds} runs are done; {} do what was asked.",
            self.runs, self.good
        )
    }

    /// The one sentence.
    pub fn headline(&self) -> String {
        let runs = self.runs;
        match self.first() {
            Some(one) => {
                let n = one.runs.len();
                format!(
                    "Not yet: in {n} of {runs} runs {} does not hold.",
                    one.expected
                )
            }
            None if self.unquiet > 0 => {
                let n = self.unquiet;
                format!("Not yet: {n} of {runs} runs do not come to rest in time.")
            }
            None if self.broken > 0 => {
                format!("Not yet: {} of {runs} runs break a promise.", self.broken)
            }
            None => format!("Solved: all {runs} runs do what was asked."),
        }
    }

    fn evidence(&self) -> Vec<String> {
        let mut all = Vec::new();
        for one in self.fails.iter().filter(|one| !one.runs.is_empty()) {
            let worst = one.worst.map(|(seed, found)| {
                format!(" In the worst run, with seed {seed}, it is {found}.")
            });
            all.push(format!(
                "{}: {}{}",
                one.name,
                one.meaning,
                worst.unwrap_or_default()
            ));
            if !one.because.is_empty() {
                all.push(format!("The verdicts name {}.", words(&one.because)));
            }
        }
        if self.unquiet > 0 {
            let (n, runs) = (self.unquiet, self.runs);
            all.push(format!("{n} of {runs} runs do not come to rest in time."));
        }
        if all.is_empty() {
            let runs = self.runs;
            all.push(format!(
                "Enough to say that fewer than about 3 in {runs} such runs fail; it is no proof."
            ));
        }
        all
    }
}

fn number(found: Found) -> u64 {
    match found {
        Found::Count(n) | Found::Time(n) => n,
        Found::Happened(happened) | Found::Broken(happened) => u64::from(happened),
        Found::NotMeasured => 0,
    }
}

fn words(all: &BTreeSet<String>) -> String {
    list(&all.iter().cloned().collect::<Vec<_>>())
}

fn texts(values: &BTreeMap<String, serde_json::Value>) -> Values {
    let text = |(at, value): (&String, &serde_json::Value)| (at.clone(), value.to_string());
    values.iter().map(text).collect()
}

/// Whether an answer has all these values; what is not named may be anything.
fn fits(values: &BTreeMap<String, serde_json::Value>, answer: &Values) -> bool {
    let same =
        |(at, value): (&String, &serde_json::Value)| answer.get(at) == Some(&value.to_string());
    values.iter().all(same)
}

/// `acks="1", min.insync.replicas=2`.
pub fn written(answer: &Values) -> String {
    let one =
        |(at, json): (&String, &String)| format!("{}={json}", at.rsplit('/').next().unwrap_or(at));
    answer.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "id": "x", "title": "X", "asks": "?", "misconception": "M10", "seeds": 3, "page-seeds": 2,
        "scenario": {
            "format": 1, "title": "plain",
            "topics": { "orders": { "config": { "min.insync.replicas": 1 } } },
            "producers": { "shop": { "topic": "orders", "records": 3, "rate": "5/s", "config": { "acks": "1" } } },
            "end": { "at": "2s" }
        },
        "editable": [{ "set": "/producers/shop/records", "to": [3, 5, 7] }],
        "expect": ["acked >= 5"],
        "starter": { "set": { "/producers/shop/records": 3 }, "fails": "acked >= 5", "in-at-least": 3, "witness": 1, "says": "too few" },
        "solution": { "set": { "/producers/shop/records": 7 }, "note": "enough" },
        "also-solves": [], "wrong": [], "hints": []
    }"#;

    fn exercise() -> Arc<Exercise> {
        Arc::new(Exercise::read("x", FILE).expect("a good file"))
    }

    fn tried(exercise: &Arc<Exercise>, records: &str) -> (Vec<String>, Told) {
        let answer = Values::from([("/producers/shop/records".to_owned(), records.to_owned())]);
        let mut attempt =
            Attempt::begin(exercise.clone(), answer.clone(), 3).expect("it may be so");
        while !attempt.run(100).expect("within the limits") {}
        (exercise.doubts(&answer, attempt.tally()), attempt.told())
    }

    #[test]
    fn the_starter_fails_with_its_authors_words_and_the_solution_solves() {
        let exercise = exercise();
        let (doubts, told) = tried(&exercise, "3");
        assert_eq!(doubts, Vec::<String>::new());
        assert_eq!(
            told.headline,
            "Not yet: in 3 of 3 runs acked >= 5 does not hold."
        );
        assert_eq!((told.solved, told.seed), (false, Some(0)));
        assert_eq!(told.says.as_deref(), Some("too few"));
        let (doubts, told) = tried(&exercise, "7");
        assert_eq!(doubts, Vec::<String>::new());
        assert_eq!(told.headline, "Solved: all 3 runs do what was asked.");
        assert!(told.solved);
    }

    #[test]
    fn an_answer_that_nobody_declared_is_doubted() {
        let (doubts, told) = tried(&exercise(), "5");
        assert!(told.solved);
        assert!(doubts[0].contains("nobody declares it"), "{doubts:?}");
    }

    #[test]
    fn a_wrong_answer_must_fail_what_it_names_and_for_the_reason_it_names() {
        let read = |from: &str, to: &str| {
            Arc::new(Exercise::read("x", &FILE.replacen(from, to, 1)).expect("still a good file"))
        };
        let other = read(r#""fails": "acked >= 5""#, r#""fails": "log.lost == 0""#);
        assert!(tried(&other, "3").0[0].contains("declared to fail `log.lost == 0` first"));
        let reason = read(
            r#""in-at-least": 3"#,
            r#""because": ["acks=1"], "in-at-least": 3"#,
        );
        assert!(tried(&reason, "3").0[0].contains("because of acks=1"));
        let right = read(
            r#""set": { "/producers/shop/records": 7 }"#,
            r#""set": { "/producers/shop/records": 3 }"#,
        );
        assert!(tried(&right, "3").0[0].contains("declared right, but Not yet"));
    }

    #[test]
    fn what_is_not_to_be_changed_cannot_be_changed() {
        let exercise = exercise();
        let answer = |at: &str, json: &str| {
            let answer = Values::from([(at.to_owned(), json.to_owned())]);
            exercise.scenario(&answer).map(|_| ())
        };
        assert_eq!(answer("/producers/shop/records", "5"), Ok(()));
        assert!(answer("/producers/shop/records", "0").is_err());
        assert!(answer("/steps", "[]").is_err());
    }

    #[test]
    fn slices_of_any_size_tell_the_same() {
        let exercise = exercise();
        let told = |events| {
            let mut attempt =
                Attempt::begin(exercise.clone(), Values::new(), 3).expect("it may be so");
            while !attempt.run(events).expect("within the limits") {}
            attempt.told()
        };
        assert_eq!(told(1), told(1_000_000));
    }
}
