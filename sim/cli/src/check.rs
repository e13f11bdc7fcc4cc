//! `klab check`: reads a scenario without running it; `--grammar` prints the tables that files are read by.

use klab_kafka::rules::SWITCHES;
use klab_world::scenario::grammar::{self, Kind, Missing};
use klab_world::scenario::{Scenario, expect, limits, selector, trigger};

use crate::args::Check;
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;

/// Reads the file, or prints the grammar.
pub fn check(args: &Check) -> Result<Outcome, Wrong> {
    if let Some(file) = &args.file {
        let scenario = files::scenario(file, &[])?;
        report::print(&format!("{file} is good: {}", summary(&scenario)));
    }
    if args.grammar {
        print_grammar();
    }
    Ok(Outcome::Good)
}

/// A scenario in one line.
pub fn summary(scenario: &Scenario) -> String {
    let count = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{n} {what}s")),
    };
    let records: u64 = scenario
        .producers
        .values()
        .map(|producer| u64::from(producer.records))
        .sum();
    let parts = [
        count(scenario.cluster.brokers as usize, "broker"),
        count(scenario.cluster.controllers as usize, "controller"),
        count(scenario.topics.len(), "topic"),
        count(scenario.producers.len(), "producer"),
        count(records as usize, "record"),
        count(scenario.consumers.len(), "consumer"),
        count(scenario.steps.len(), "step"),
        count(scenario.expect.len(), "expectation"),
        count(scenario.twins.len(), "twin"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn print_grammar() {
    heading("Keys (* is a name of your own or a place in a list)");
    for key in grammar::KEYS
        .iter()
        .filter(|key| !matches!(key.kind, Kind::NotBuilt(_)))
    {
        let default = match key.default {
            Missing::Required => "; required".to_owned(),
            Missing::Absent => String::new(),
            Missing::Is(text) => format!("; {text} if missing"),
        };
        row(
            key.path,
            &format!("{} ({}{default})", key.sentence, key.kind.expected()),
        );
    }
    heading("Processes");
    selector::FORMS
        .iter()
        .for_each(|(form, sentence)| row(form, sentence));
    heading("Triggers: a process, then");
    trigger::PARTITION_VERBS
        .iter()
        .for_each(|(_, verb, sentence)| row(&format!("{verb} <number>"), sentence));
    trigger::RECORD_VERBS
        .iter()
        .for_each(|(_, verb, sentence)| row(&format!("{verb} <number>"), sentence));
    trigger::PROCESS_VERBS
        .iter()
        .for_each(|(_, verb, sentence)| row(verb, sentence));
    heading(
        "Expectations: a metric, one of == != < <= > >=, a number or a duration, and perhaps `of shop` or `in orders-0`",
    );
    expect::METRICS
        .iter()
        .for_each(|(_, name, _, sentence)| row(name, sentence));
    heading("Expectations: `sometimes:` with a trigger or one of these");
    expect::GOALS
        .iter()
        .for_each(|(_, name, sentence)| row(name, sentence));
    heading(
        "Expectations: `kept:` with a promise that must hold, `broken:` with one that must not",
    );
    klab_world::check::ALL
        .iter()
        .for_each(|promise| row(promise.name, promise.sentence));
    heading("Switches in `rules`, the safe value first");
    SWITCHES.iter().for_each(|switch| {
        row(
            &format!("{}: {}", switch.name, switch.values.join(", ")),
            switch.sentence,
        )
    });
    heading("Limits");
    limits::ALL
        .iter()
        .for_each(|limit| row(&format!("{} {}", limit.max, limit.name), limit.sentence));
}

fn heading(text: &str) {
    let bold = anstyle::Style::new().bold();
    report::print(&format!("\n{bold}{text}{bold:#}"));
}

fn row(name: &str, sentence: &str) {
    report::print(&format!("  {name:<34} {sentence}"));
}
