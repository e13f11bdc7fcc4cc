//! Processes named by the role they hold at that moment: `leader of orders-0`, `active controller`, `the crashed broker`.
//!
//! A selector is resolved when its time comes, not when the file is read; what can be known from the file (the topic, the
//! partition, the name) is checked then. A selector may name several processes; a verb says whether it wants one.
//! Left out: coordinators of groups and transactions, which come with groups and transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::error::{Mistake, nearest, quoted};

/// A partition by its topic's name, as people write it: `orders-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

/// Which processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Selector {
    /// `broker-2`, `controller-1`, `shop`, `admin`: one process by its name.
    Process(Arc<str>),
    /// `brokers`: all of them.
    Brokers,
    /// `controllers`: all of them.
    Controllers,
    /// `clients`: every application and the admin.
    Clients,
    /// `everyone`: every process.
    Everyone,
    /// `rack a`: the brokers of one rack.
    Rack(Arc<str>),
    /// `leader of orders-0`: the broker that the controller holds for its leader.
    Leader(TopicPartition),
    /// `former leader of orders-0`: the broker that led before the present leader.
    FormerLeader(TopicPartition),
    /// `follower of orders-0 [1]`: a replica that does not lead, in the order of the assignment, from 0; without a number the first.
    Follower(TopicPartition, u32),
    /// `followers of orders-0`: all replicas but the leader.
    Followers(TopicPartition),
    /// `replicas of orders-0`: all of them.
    Replicas(TopicPartition),
    /// `any isr member of orders-0 but the leader`: one, drawn by seed.
    IsrMember(TopicPartition),
    /// `active controller`: the leader of the quorum with the highest epoch.
    ActiveController,
    /// `any controller but the active one`: one, drawn by seed.
    StandbyController,
    /// `minority of controllers`: as many as a quorum can spare, drawn by seed.
    MinorityOfControllers,
    /// `majority of controllers`: enough to stop the quorum, drawn by seed.
    MajorityOfControllers,
    /// `the crashed broker`, `the paused controller`, `the cut client`: the one of that role whom such a fault struck last.
    Struck(Struck, Role),
    /// `half of brokers`: as many as the smaller half, drawn by seed.
    HalfOf(Box<Selector>),
    /// `any of brokers`: one of them, drawn by seed.
    AnyOf(Box<Selector>),
    /// `isr of orders-0`: all its members, the leader too.
    Isr(TopicPartition),
    /// `the others`: everyone but those that the first end of the link means.
    TheOthers,
    /// `broker-1 and broker-2`: all that each part means.
    Several(Vec<Selector>),
}

/// What was done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Struck {
    /// It does not run.
    Crashed,
    /// It is held.
    Paused,
    /// It is cut off.
    Cut,
}

/// The kinds of processes that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Role {
    /// A broker.
    Broker,
    /// A controller.
    Controller,
    /// An application.
    Client,
}

/// What a file names before any selector is read: the words that a selector may use.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Partitions and replication factor by topic.
    pub topics: BTreeMap<Arc<str>, (i32, u32)>,
    /// All processes.
    pub processes: BTreeSet<Arc<str>>,
    /// The racks of the brokers.
    pub racks: BTreeSet<Arc<str>>,
}

/// The forms of a selector, for errors and for the reference page.
pub const FORMS: [(&str, &str); 22] = [
    (
        "broker-2",
        "one process by its name: a broker, a controller, an application, admin",
    ),
    ("brokers", "all brokers"),
    ("controllers", "all controllers"),
    ("clients", "every application and the admin"),
    ("everyone", "every process"),
    ("rack a", "the brokers of one rack"),
    (
        "leader of orders-0",
        "the broker that the controller holds for its leader",
    ),
    (
        "former leader of orders-0",
        "the broker that led before the present leader",
    ),
    (
        "follower of orders-0 [0]",
        "one replica that does not lead, in the order of the assignment",
    ),
    ("followers of orders-0", "all replicas but the leader"),
    ("replicas of orders-0", "all replicas"),
    (
        "any isr member of orders-0 but the leader",
        "one, drawn by seed",
    ),
    (
        "active controller",
        "the leader of the quorum with the highest epoch",
    ),
    ("any controller but the active one", "one, drawn by seed"),
    (
        "minority of controllers",
        "as many as the quorum can spare, drawn by seed",
    ),
    (
        "majority of controllers",
        "enough to stop the quorum, drawn by seed",
    ),
    (
        "the crashed broker",
        "whom the latest such fault struck: crashed, paused or cut; a broker, controller or client",
    ),
    ("isr of orders-0", "all its members, the leader too"),
    ("any of brokers", "one of them, drawn by seed"),
    ("half of brokers", "the smaller half of them, drawn by seed"),
    (
        "the others",
        "as the second end of a link: everyone but those of the first",
    ),
    ("broker-1 and controllers", "whom either part means"),
];

impl Selector {
    /// Reads a selector and checks the names in it.
    pub fn parse(text: &str, known: &Known) -> Result<Selector, Mistake> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Selector::from_words(&words, known)
    }

    /// Whether it always means the same processes.
    pub fn is_fixed(&self) -> bool {
        match self {
            Selector::Process(_)
            | Selector::Brokers
            | Selector::Controllers
            | Selector::Clients
            | Selector::Everyone
            | Selector::Rack(_) => true,
            Selector::Several(parts) => parts.iter().all(Selector::is_fixed),
            _ => false,
        }
    }

    pub(super) fn from_words(words: &[&str], known: &Known) -> Result<Selector, Mistake> {
        if words.contains(&"and") {
            let parts = words.split(|word| *word == "and");
            let parts = parts.map(|part| Selector::from_words(part, known));
            return Ok(Selector::Several(parts.collect::<Result<_, _>>()?));
        }
        Ok(match words {
            ["brokers"] => Selector::Brokers,
            ["controllers"] => Selector::Controllers,
            ["clients"] => Selector::Clients,
            ["everyone"] => Selector::Everyone,
            ["rack", rack] => Selector::Rack(known.rack(rack)?),
            ["leader", "of", tp] => Selector::Leader(known.partition(tp)?),
            ["former", "leader", "of", tp] => Selector::FormerLeader(known.partition(tp)?),
            ["follower", "of", tp] => known.follower(tp, "[0]")?,
            ["follower", "of", tp, index] => known.follower(tp, index)?,
            ["followers", "of", tp] => Selector::Followers(known.partition(tp)?),
            ["replicas", "of", tp] => Selector::Replicas(known.partition(tp)?),
            ["any", "isr", "member", "of", tp, "but", "the", "leader"] => {
                Selector::IsrMember(known.partition(tp)?)
            }
            ["active", "controller"] => Selector::ActiveController,
            ["any", "controller", "but", "the", "active", "one"] => Selector::StandbyController,
            ["minority", "of", "controllers"] => Selector::MinorityOfControllers,
            ["majority", "of", "controllers"] => Selector::MajorityOfControllers,
            ["isr", "of", tp] => Selector::Isr(known.partition(tp)?),
            ["any", "of", rest @ ..] => {
                Selector::AnyOf(Box::new(Selector::from_words(rest, known)?))
            }
            ["half", "of", rest @ ..] => {
                Selector::HalfOf(Box::new(Selector::from_words(rest, known)?))
            }
            ["the", "others"] => Selector::TheOthers,
            ["the", struck, role] => match (Struck::named(struck), Role::named(role)) {
                (Some(struck), Some(role)) => Selector::Struck(struck, role),
                _ => return Err(no_selector(words)),
            },
            ["coordinator", "of", ..] | ["transaction", "coordinator", ..] => {
                let found = format!("the selector {}", quoted(&words.join(" ")));
                return Err(Mistake::new(found, "a role that is built")
                    .hint("coordinators come with a later release"));
            }
            [name] => Selector::Process(known.process(name)?),
            _ => return Err(no_selector(words)),
        })
    }
}

/// Which of [`FORMS`] the words of a selector have.
pub fn form_of_words(words: &[&str]) -> &'static str {
    match words {
        _ if words.contains(&"and") => "broker-1 and controllers",
        ["brokers"] => "brokers",
        ["controllers"] => "controllers",
        ["clients"] => "clients",
        ["everyone"] => "everyone",
        ["rack", _] => "rack a",
        ["leader", ..] => "leader of orders-0",
        ["former", ..] => "former leader of orders-0",
        ["follower", ..] => "follower of orders-0 [0]",
        ["followers", ..] => "followers of orders-0",
        ["replicas", ..] => "replicas of orders-0",
        ["isr", ..] => "isr of orders-0",
        ["any", "isr", ..] => "any isr member of orders-0 but the leader",
        ["any", "controller", ..] => "any controller but the active one",
        ["any", ..] => "any of brokers",
        ["half", ..] => "half of brokers",
        ["active", ..] => "active controller",
        ["minority", ..] => "minority of controllers",
        ["majority", ..] => "majority of controllers",
        ["the", "others"] => "the others",
        ["the", ..] => "the crashed broker",
        _ => "broker-2",
    }
}

fn no_selector(words: &[&str]) -> Mistake {
    let text = words.join(" ");
    let forms: Vec<&str> = FORMS.iter().map(|(form, _)| *form).collect();
    let mistake = Mistake::new(
        format!("the selector {}", quoted(&text)),
        "a process by name or by role, such as \"leader of orders-0\"",
    );
    match nearest(&text, &forms) {
        Some(near) => mistake.hint(format!("did you mean \"{near}\"?")),
        None => mistake.hint("`klab check --grammar` lists the roles"),
    }
}

impl Known {
    /// A process that exists.
    pub fn process(&self, name: &str) -> Result<Arc<str>, Mistake> {
        let fixed = ["brokers", "controllers", "clients", "everyone"];
        let names = self.processes.iter().map(|name| &**name).chain(fixed);
        self.processes
            .get(name)
            .cloned()
            .ok_or_else(|| Mistake::unknown("process", name, names))
    }

    /// A topic that exists.
    pub fn topic(&self, name: &str) -> Result<Arc<str>, Mistake> {
        let found = self
            .topics
            .get_key_value(name)
            .map(|(name, _)| name.clone());
        found.ok_or_else(|| Mistake::unknown("topic", name, self.topics.keys().map(|name| &**name)))
    }

    /// A partition that exists.
    pub fn partition(&self, text: &str) -> Result<TopicPartition, Mistake> {
        let Some((topic, partition)) = text
            .rsplit_once('-')
            .and_then(|(topic, n)| Some((topic, n.parse::<i32>().ok()?)))
        else {
            return Err(Mistake::new(
                format!("the partition {}", quoted(text)),
                "a topic, a dash and a number, such as \"orders-0\"",
            ));
        };
        let topic = self.topic(topic)?;
        let (partitions, _) = self.topics[&topic];
        if !(0..partitions).contains(&partition) {
            let found =
                format!("partition {partition} of the topic \"{topic}\", which has {partitions}");
            return Err(Mistake::new(
                found,
                format!("a partition from 0 to {}", partitions - 1),
            ));
        }
        Ok(TopicPartition { topic, partition })
    }

    fn rack(&self, name: &str) -> Result<Arc<str>, Mistake> {
        let found = self.racks.get(name).cloned();
        found.ok_or_else(|| Mistake::unknown("rack", name, self.racks.iter().map(|name| &**name)))
    }

    fn follower(&self, tp: &str, index: &str) -> Result<Selector, Mistake> {
        let tp = self.partition(tp)?;
        let (_, replication) = self.topics[&tp.topic];
        let number = index
            .strip_prefix('[')
            .and_then(|index| index.strip_suffix(']'))
            .and_then(|index| index.parse::<u32>().ok());
        match number {
            Some(number) if number + 1 < replication => Ok(Selector::Follower(tp, number)),
            Some(number) => {
                let found = format!(
                    "follower [{number}] of {tp}, which has {} followers",
                    replication - 1
                );
                Err(Mistake::new(
                    found,
                    "a follower that exists, counted from [0]",
                ))
            }
            None => Err(Mistake::new(
                format!("the follower's number {}", quoted(index)),
                "a number in brackets, such as [0]",
            )),
        }
    }
}

impl Struck {
    const ALL: [(Struck, &str); 3] = [
        (Struck::Crashed, "crashed"),
        (Struck::Paused, "paused"),
        (Struck::Cut, "cut"),
    ];

    fn named(name: &str) -> Option<Struck> {
        Struck::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(struck, _)| *struck)
    }
}

impl Role {
    const ALL: [(Role, &str); 3] = [
        (Role::Broker, "broker"),
        (Role::Controller, "controller"),
        (Role::Client, "client"),
    ];

    fn named(name: &str) -> Option<Role> {
        Role::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(role, _)| *role)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Struck::ALL
                .iter()
                .find(|(known, _)| known == self)
                .expect("the table is whole")
                .1,
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Role::ALL
                .iter()
                .find(|(known, _)| known == self)
                .expect("the table is whole")
                .1,
        )
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Process(name) => f.write_str(name),
            Selector::Brokers => f.write_str("brokers"),
            Selector::Controllers => f.write_str("controllers"),
            Selector::Clients => f.write_str("clients"),
            Selector::Everyone => f.write_str("everyone"),
            Selector::Rack(rack) => write!(f, "rack {rack}"),
            Selector::Leader(tp) => write!(f, "leader of {tp}"),
            Selector::FormerLeader(tp) => write!(f, "former leader of {tp}"),
            Selector::Follower(tp, index) => write!(f, "follower of {tp} [{index}]"),
            Selector::Followers(tp) => write!(f, "followers of {tp}"),
            Selector::Replicas(tp) => write!(f, "replicas of {tp}"),
            Selector::IsrMember(tp) => write!(f, "any isr member of {tp} but the leader"),
            Selector::ActiveController => f.write_str("active controller"),
            Selector::StandbyController => f.write_str("any controller but the active one"),
            Selector::MinorityOfControllers => f.write_str("minority of controllers"),
            Selector::MajorityOfControllers => f.write_str("majority of controllers"),
            Selector::Struck(struck, role) => write!(f, "the {struck} {role}"),
            Selector::HalfOf(part) => write!(f, "half of {part}"),
            Selector::AnyOf(part) => write!(f, "any of {part}"),
            Selector::Isr(tp) => write!(f, "isr of {tp}"),
            Selector::TheOthers => f.write_str("the others"),
            Selector::Several(parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join(" and "))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three brokers in racks a, b, c; three controllers; orders with one partition and three replicas; shop.
    pub fn known() -> Known {
        let mut known = Known::default();
        known.topics.insert("orders".into(), (1, 3));
        for n in 1..=3 {
            known.processes.insert(format!("broker-{n}").into());
            known.processes.insert(format!("controller-{n}").into());
        }
        known.processes.extend(["shop".into(), "admin".into()]);
        known.racks.extend(["a", "b", "c"].map(Arc::from));
        known
    }

    fn mistake(text: &str) -> Mistake {
        Selector::parse(text, &known()).expect_err("no such selector")
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        for (form, _) in FORMS {
            let selector = Selector::parse(form, &known()).expect("a documented form");
            assert_eq!(selector.to_string(), form);
        }
    }

    #[test]
    fn every_form_is_found_by_its_words() {
        for (form, _) in FORMS {
            let words: Vec<&str> = form.split_whitespace().collect();
            assert_eq!(form_of_words(&words), form);
        }
        for (text, form) in [
            ("the cut controller", "the crashed broker"),
            ("any of controllers", "any of brokers"),
            ("half of everyone", "half of brokers"),
            ("follower of payments-1 [1]", "follower of orders-0 [0]"),
            ("isr of payments-1", "isr of orders-0"),
            (
                "any isr member of payments-1 but the leader",
                "any isr member of orders-0 but the leader",
            ),
            ("shop", "broker-2"),
            ("shop and brokers", "broker-1 and controllers"),
            ("minority of controllers", "minority of controllers"),
        ] {
            let words: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(form_of_words(&words), form, "{text}");
        }
    }

    #[test]
    fn a_name_that_does_not_exist_finds_its_neighbour() {
        assert_eq!(mistake("broker-4").found, "unknown process \"broker-4\"");
        assert_eq!(
            mistake("shpo").hint.as_deref(),
            Some("did you mean \"shop\"?")
        );
        assert_eq!(
            mistake("leader of order-0").hint.as_deref(),
            Some("did you mean \"orders\"?")
        );
        assert_eq!(mistake("rack d").expected, "\"a\", \"b\" or \"c\"");
        assert_eq!(
            mistake("leadr of orders-0").hint.as_deref(),
            Some("did you mean \"leader of orders-0\"?")
        );
    }

    #[test]
    fn a_partition_or_follower_that_does_not_exist_is_counted() {
        assert_eq!(
            mistake("leader of orders-7").found,
            "partition 7 of the topic \"orders\", which has 1"
        );
        assert_eq!(
            mistake("leader of orders").found,
            "the partition \"orders\""
        );
        assert_eq!(
            mistake("follower of orders-0 [2]").found,
            "follower [2] of orders-0, which has 2 followers"
        );
        assert_eq!(
            mistake("follower of orders-0 1").expected,
            "a number in brackets, such as [0]"
        );
    }

    #[test]
    fn several_are_joined_by_and_and_each_part_is_checked() {
        let several = Selector::parse("broker-1 and leader of orders-0 and shop", &known());
        assert!(matches!(several, Ok(Selector::Several(parts)) if parts.len() == 3));
        assert_eq!(
            mistake("broker-1 and broker-4").found,
            "unknown process \"broker-4\""
        );
        assert_eq!(mistake("broker-1 and").found, "the selector \"\"");
    }

    #[test]
    fn what_is_not_built_says_so() {
        assert_eq!(
            mistake("coordinator of group billing").hint.as_deref(),
            Some("coordinators come with a later release")
        );
        assert!(Selector::parse("", &known()).is_err());
    }
}
