//! Triggers: `<selector> <verb> [<object>]`, where a verb is a fact of the trace: `leader of orders-0 appended offset 40`.
//!
//! Anything seen in the animation can be a trigger, and the page can write one when a person points at an event.
//! The selector is resolved at each record that the verb fits, so `leader of orders-0` means the leader of that moment.
//! Steps are chained by their ids: `step 7 began` and `step 7 ended` are facts, too.

use std::fmt;

use super::error::{Mistake, nearest, quoted};
use super::selector::{Known, Selector, TopicPartition};

/// A fact to wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Trigger {
    /// Who does it.
    pub who: Selector,
    /// What is done.
    pub fact: Fact,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Fact {
    /// The verb, on a partition: the one that the selector names, or that the object names.
    OnPartition(PartitionVerb, TopicPartition, i64),
    /// An application's record, by its number from 0.
    OnRecord(RecordVerb, u32),
    /// Something that happens to the process itself.
    Itself(ProcessVerb),
    /// A step of the scenario, by its own id, has begun to do its harm, or its harm has ended: so steps are chained.
    OfStep(u64, bool),
}

/// Verbs of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum PartitionVerb {
    /// It has written the record at this offset.
    Appended,
    /// A follower has asked for what comes from this offset on: it holds all before it.
    FetchedUpTo,
    /// Its high watermark has reached this offset.
    AdvancedHw,
    /// It has cut its log back to this offset or below.
    TruncatedTo,
    /// The ISR has shrunk to this many members, or fewer.
    ShrankIsr,
    /// The ISR has grown to this many members, or more.
    ExpandedIsr,
    /// As the leader it asks the controller for an ISR of exactly this many members.
    ProposedIsr,
    /// It has become the leader; the number is the least leader epoch.
    Elected,
}

/// Verbs of an application about one of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum RecordVerb {
    /// It called `send`.
    Sent,
    /// It was told that the record is written.
    Acknowledged,
    /// It was told an error.
    Failed,
    /// It told its own caller that the record is accepted.
    Accepted,
}

/// Verbs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum ProcessVerb {
    /// It began to run.
    Started,
    /// It died.
    Crashed,
    /// It stopped cleanly.
    Stopped,
    /// It goes on after a pause.
    Resumed,
    /// The controller no longer counts on this broker.
    Fenced,
    /// The controller counts on this broker.
    Unfenced,
    /// It became the active controller.
    Elected,
    /// It won the vote of the quorum, and is not active yet.
    Won,
}

/// Verbs with a partition: name, the words before the number, and the sentence.
pub const PARTITION_VERBS: [(PartitionVerb, &str, &str); 8] = [
    (
        PartitionVerb::Appended,
        "appended offset",
        "It has written the record at this offset.",
    ),
    (
        PartitionVerb::FetchedUpTo,
        "fetched up to",
        "A follower asks for this offset: it holds all before it.",
    ),
    (
        PartitionVerb::AdvancedHw,
        "advanced hw to",
        "Its high watermark has reached this offset.",
    ),
    (
        PartitionVerb::TruncatedTo,
        "truncated to",
        "It has cut its log back to this offset or below.",
    ),
    (
        PartitionVerb::ShrankIsr,
        "shrank isr to",
        "The ISR has this many members or fewer.",
    ),
    (
        PartitionVerb::ExpandedIsr,
        "expanded isr to",
        "The ISR has this many members or more.",
    ),
    (
        PartitionVerb::ProposedIsr,
        "proposed isr of",
        "As the leader it asks the controller for an ISR of this many members.",
    ),
    (
        PartitionVerb::Elected,
        "elected in epoch",
        "It leads in this leader epoch or a later one.",
    ),
];

/// Verbs with a record.
pub const RECORD_VERBS: [(RecordVerb, &str, &str); 4] = [
    (
        RecordVerb::Sent,
        "sent record",
        "The application called send.",
    ),
    (
        RecordVerb::Acknowledged,
        "acknowledged record",
        "The application was told that the record is written.",
    ),
    (
        RecordVerb::Failed,
        "failed record",
        "The application was told an error.",
    ),
    (
        RecordVerb::Accepted,
        "accepted record",
        "The application told its own caller that the record is accepted.",
    ),
];

/// Verbs that stand alone.
pub const PROCESS_VERBS: [(ProcessVerb, &str, &str); 8] = [
    (ProcessVerb::Started, "started", "The process began to run."),
    (ProcessVerb::Crashed, "crashed", "The process died."),
    (
        ProcessVerb::Stopped,
        "stopped",
        "The process stopped cleanly.",
    ),
    (
        ProcessVerb::Resumed,
        "resumed",
        "The process goes on after a pause.",
    ),
    (
        ProcessVerb::Fenced,
        "fenced",
        "The controller no longer counts on this broker.",
    ),
    (
        ProcessVerb::Unfenced,
        "unfenced",
        "The controller counts on this broker.",
    ),
    (
        ProcessVerb::Elected,
        "elected",
        "It became the leader, or the active controller.",
    ),
    (
        ProcessVerb::Won,
        "won",
        "It won the vote of the quorum; it is active once that is committed.",
    ),
];

impl Trigger {
    /// Reads a trigger and checks the names in it.
    pub fn parse(text: &str, known: &Known) -> Result<Trigger, Mistake> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if let ["step", id, verb @ ("began" | "ended")] = words[..] {
            let id = number(id, "a step's own number, its `id`")?;
            let (who, fact) = (Selector::Everyone, Fact::OfStep(id, verb == "ended"));
            return Ok(Trigger { who, fact });
        }
        let Some(at) = verb_at(&words) else {
            return Err(no_verb(text, &words));
        };
        let (who, rest) = words.split_at(at);
        let who = Selector::from_words(who, known)?;
        let fact = Fact::parse(&who, rest, known)?;
        Ok(Trigger { who, fact })
    }
}

impl Fact {
    fn parse(who: &Selector, words: &[&str], known: &Known) -> Result<Fact, Mistake> {
        if let (["elected"], Some(tp)) = (words, who.partition()) {
            return Ok(Fact::OnPartition(PartitionVerb::Elected, tp.clone(), 0));
        }
        if let [verb] = words {
            if let Some((verb, ..)) = PROCESS_VERBS.iter().find(|(_, name, _)| name == verb) {
                return Ok(Fact::Itself(*verb));
            }
        }
        for (verb, name, _) in RECORD_VERBS {
            if let Some([number]) = after(words, name) {
                return Ok(Fact::OnRecord(
                    verb,
                    self::number(number, "a record's number, from 0")?,
                ));
            }
        }
        for (verb, name, _) in PARTITION_VERBS {
            match after(words, name) {
                Some([number]) => match who.partition() {
                    Some(tp) => {
                        return Ok(Fact::OnPartition(
                            verb,
                            tp.clone(),
                            self::number(number, "a whole number")?,
                        ));
                    }
                    None => {
                        let found = format!("\"{}\" without a partition", words.join(" "));
                        let hint = format!("\"{who} {name} {number} of orders-0\"");
                        return Err(
                            Mistake::new(found, "`of` and the partition after it").hint(hint)
                        );
                    }
                },
                Some([number, "of", tp]) => {
                    let (tp, number) = (
                        known.partition(tp)?,
                        self::number(number, "a whole number")?,
                    );
                    return Ok(Fact::OnPartition(verb, tp, number));
                }
                _ => {}
            }
        }
        Err(no_object(words))
    }
}

impl Selector {
    /// The partition that the selector itself names.
    pub fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Selector::Leader(tp)
            | Selector::FormerLeader(tp)
            | Selector::Follower(tp, _)
            | Selector::Followers(tp) => Some(tp),
            Selector::Replicas(tp) | Selector::IsrMember(tp) => Some(tp),
            _ => None,
        }
    }
}

/// All verbs in words.
pub fn verbs() -> impl Iterator<Item = &'static str> {
    let partition = PARTITION_VERBS.iter().map(|(_, name, _)| *name);
    partition
        .chain(RECORD_VERBS.iter().map(|(_, name, _)| *name))
        .chain(PROCESS_VERBS.iter().map(|(_, name, _)| *name))
}

/// Where the verb begins. `the crashed broker` has a verb's word in a selector, so the second word there is passed over.
fn verb_at(words: &[&str]) -> Option<usize> {
    let from = if words.first() == Some(&"the") { 3 } else { 1 };
    let is_verb = |word: &&str| verbs().any(|verb| verb.split(' ').next() == Some(*word));
    words
        .iter()
        .skip(from)
        .position(is_verb)
        .map(|at| at + from)
}

fn after<'a, 'b>(words: &'a [&'b str], name: &str) -> Option<&'a [&'b str]> {
    let count = name.split(' ').count();
    (words.len() > count && name.split(' ').eq(words[..count].iter().copied()))
        .then(|| &words[count..])
}

fn number<T: std::str::FromStr>(text: &str, expected: &str) -> Result<T, Mistake> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let number = if plain { text.parse().ok() } else { None };
    number.ok_or_else(|| Mistake::new(quoted(text), expected))
}

fn no_verb(text: &str, words: &[&str]) -> Mistake {
    let mistake = Mistake::new(
        format!("the trigger {} without a verb", quoted(text)),
        "a process, then what it did, such as \"leader of orders-0 appended offset 40\"",
    );
    let firsts: Vec<&str> = verbs().filter_map(|verb| verb.split(' ').next()).collect();
    match words.iter().skip(1).find_map(|word| nearest(word, &firsts)) {
        Some(near) => mistake.hint(format!("did you mean \"{near}\"?")),
        None => mistake,
    }
}

fn no_object(words: &[&str]) -> Mistake {
    let verb = words.first().copied().unwrap_or_default();
    let forms: Vec<String> = verbs()
        .filter(|known| known.split(' ').next() == Some(verb))
        .map(|known| match known.contains(' ') {
            true => format!("`{known} <number>`"),
            false => format!("`{known}`"),
        })
        .collect();
    Mistake::new(format!("\"{}\"", words.join(" ")), forms.join(" or "))
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Fact::OfStep(id, ended) = self.fact {
            let verb = if ended { "ended" } else { "began" };
            return write!(f, "step {id} {verb}");
        }
        write!(f, "{} ", self.who)?;
        match &self.fact {
            Fact::OfStep(..) => unreachable!("because it is written above"),
            Fact::Itself(verb) => {
                let (_, name, _) = PROCESS_VERBS
                    .iter()
                    .find(|(known, ..)| known == verb)
                    .expect("the table is whole");
                f.write_str(name)
            }
            Fact::OnRecord(verb, number) => {
                let (_, name, _) = RECORD_VERBS
                    .iter()
                    .find(|(known, ..)| known == verb)
                    .expect("the table is whole");
                write!(f, "{name} {number}")
            }
            Fact::OnPartition(PartitionVerb::Elected, tp, 0)
                if self.who.partition() == Some(tp) =>
            {
                f.write_str("elected")
            }
            Fact::OnPartition(verb, tp, number) => {
                let (_, name, _) = PARTITION_VERBS
                    .iter()
                    .find(|(known, ..)| known == verb)
                    .expect("the table is whole");
                write!(f, "{name} {number}")?;
                if self.who.partition() == Some(tp) {
                    Ok(())
                } else {
                    write!(f, " of {tp}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::selector::tests::known;

    fn mistake(text: &str) -> Mistake {
        Trigger::parse(text, &known()).expect_err("no such trigger")
    }

    #[test]
    fn every_verb_is_read_and_written_back() {
        for verb in verbs() {
            let object = if verb.contains(' ') { " 7" } else { "" };
            let text = format!("leader of orders-0 {verb}{object}");
            let trigger = Trigger::parse(&text, &known()).expect("a documented verb");
            assert_eq!(trigger.to_string(), text);
        }
    }

    #[test]
    fn a_process_by_name_says_which_partition() {
        let trigger =
            Trigger::parse("broker-2 appended offset 7 of orders-0", &known()).expect("a trigger");
        assert_eq!(
            trigger.to_string(),
            "broker-2 appended offset 7 of orders-0"
        );
        assert_eq!(
            mistake("broker-2 appended offset 7").found,
            "\"appended offset 7\" without a partition"
        );
    }

    #[test]
    fn a_step_is_named_by_its_id() {
        for text in ["step 7 began", "step 7 ended"] {
            let trigger = Trigger::parse(text, &known()).expect("a trigger");
            assert_eq!(trigger.to_string(), text);
        }
        assert_eq!(mistake("step x began").found, "\"x\"");
    }

    #[test]
    fn the_crashed_broker_may_start_again() {
        let trigger = Trigger::parse("the crashed broker started", &known()).expect("a trigger");
        assert_eq!(trigger.fact, Fact::Itself(ProcessVerb::Started));
    }

    #[test]
    fn a_trigger_that_breaks_off_says_what_should_follow() {
        assert_eq!(
            mistake("leader of orders-0 appended").expected,
            "`appended offset <number>`"
        );
        assert_eq!(
            mistake("leader of orders-0 apended offset 3")
                .hint
                .as_deref(),
            Some("did you mean \"appended\"?")
        );
        assert_eq!(
            mistake("leader of orders-0 appended offset -3").found,
            "\"-3\""
        );
        assert_eq!(
            mistake("shop elected by acclamation").expected,
            "`elected in epoch <number>` or `elected`"
        );
        assert!(Trigger::parse("", &known()).is_err());
    }
}
