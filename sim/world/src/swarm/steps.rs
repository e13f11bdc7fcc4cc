//! Drawn steps: when, what, to whom. Most are harms of a family, drawn when their time comes and kept within the budget;
//! the others say themselves what they do and whom they mean, so that every verb, selector and trigger of a scenario is
//! tried, too.

use super::Half;
use super::dice::Dice;
use super::faults::draw_duration;
use super::operations::draw_operation;
use crate::ambush::POINTS;
use crate::disks::Keep;
use crate::fault::{Fault, Intercept};
use crate::scenario::quantity::Range;
use crate::scenario::selector::{Role, Selector, Struck, TopicPartition};
use crate::scenario::trigger::{Fact, PartitionVerb, ProcessVerb, RecordVerb, Trigger};
use crate::scenario::{
    Action, Budget, Condition, Family, Lasts, ProducerPlan, ScenarioTime, Step, TopicPlan, When,
};
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Faults fall within so many ms after ready.
pub const FAULTS_UNTIL: u64 = 60_000;

/// What steps are about.
pub struct Cast<'a> {
    /// How many brokers.
    pub brokers: u32,
    /// How many controllers.
    pub controllers: u32,
    /// Their racks.
    pub racks: &'a [Arc<str>],
    /// The topics.
    pub topics: &'a BTreeMap<Arc<str>, TopicPlan>,
    /// The producers.
    pub producers: &'a BTreeMap<Arc<str>, ProducerPlan>,
}

/// C.1: of ten runs one has no fault, six have 1 to 3; a quarter has 4 to 8; one in twenty up to 30. Each family is
/// switched off in half of the runs.
pub fn draw_steps(dice: &mut Dice<'_>, half: Half, cast: &Cast<'_>) -> Vec<Step> {
    let (least, most) = dice.weighted(&[(10, (0, 0)), (60, (1, 3)), (25, (4, 8)), (5, (9, 30))]);
    let count = dice.within(least, most);
    let follow_ups = if count == 0 {
        0
    } else {
        dice.within(2, 2 + count.div_ceil(2))
    };
    let families = draw_families(dice);
    let budget = match half {
        Half::Safe => Budget::Recoverable,
        Half::Free => Budget::None,
    };
    // What a step does by itself is in no budget: where power may be drawn, nothing else is said.
    let takes_data = |f: &Family| matches!(f, Family::Power | Family::Any);
    let may_say = half == Half::Free || !families.iter().any(|(_, f)| takes_data(f));
    let mut steps: Vec<Step> = Vec::new();
    for i in 0..count + follow_ups {
        let when = match i < count {
            true => draw_time(dice),
            false => draw_when_met(dice, cast, &steps),
        };
        let (action, lasts) = match may_say && dice.chance(35) {
            true => draw_deed(dice, half, cast),
            false => {
                let family = dice.weighted(&families);
                (Action::Random { family, budget }, Lasts::UntilHeal)
            }
        };
        steps.push(Step {
            id: 1_000 * (i + 1),
            when,
            action,
            lasts,
            optional: true,
        });
    }
    // K2: operations are no faults and come beside them.
    let operations = match may_say && count > 0 && dice.chance(40) {
        true => dice.within(1, 2),
        false => 0,
    };
    for i in 0..operations {
        steps.push(Step {
            id: 1_000 * (count + follow_ups + 1 + i),
            when: draw_time(dice),
            action: Action::Admin(draw_operation(dice, half, cast)),
            lasts: Lasts::UntilHeal,
            optional: true,
        });
    }
    // P6: one run of twenty has a rolling restart.
    if may_say && dice.chance(5) {
        steps.push(Step {
            id: 1_000_000,
            when: When::At(ScenarioTime(dice.within(500, 20_000) as i64 * 1_000_000)),
            action: Action::Roll {
                who: dice.pick(&[Selector::Brokers, Selector::Controllers]),
                kill: dice.chance(30),
                down: Duration::millis(dice.octaves(8_000)),
            },
            lasts: Lasts::UntilHeal,
            optional: true,
        });
    }
    steps
}

fn draw_families(dice: &mut Dice<'_>) -> Vec<(u64, Family)> {
    let all = super::faults::families(8).into_iter();
    let mut families: Vec<(u64, Family)> = all.filter(|_| dice.chance(50)).collect();
    if families.is_empty() {
        families.push((1, Family::Any));
    }
    families
}

fn draw_time(dice: &mut Dice<'_>) -> When {
    if dice.chance(8) {
        let (count, max) = (dice.within(1, 2) as u32, FAULTS_UNTIL - 1_000);
        return When::Drawn {
            count: Range { min: 1, max: count },
            window: Range {
                min: 500_000_000,
                max: dice.within(1_000, max) * 1_000_000,
            },
        };
    }
    let ms = dice.within(500, FAULTS_UNTIL - 1_000) as i64;
    When::At(ScenarioTime(ms * 1_000_000))
}

/// Protocols are weakest while they change hands: a fault may follow close upon an election, a change of the ISR, a
/// truncation or a comeback, instead of falling at any time. Some follow any other fact, or another step.
fn draw_when_met(dice: &mut Dice<'_>, cast: &Cast<'_>, before: &[Step]) -> When {
    let partition = draw_partition(dice, cast);
    let n = dice.within(1, 2) as i64;
    let on = |verb, n| Fact::OnPartition(verb, partition.clone(), n);
    let (who, fact) = match dice.below(12) {
        0 => (Selector::Brokers, on(PartitionVerb::Elected, 1)),
        1 => (Selector::Brokers, on(PartitionVerb::TruncatedTo, i64::MAX)),
        2 => (Selector::Brokers, on(PartitionVerb::ShrankIsr, n)),
        3 => (Selector::Brokers, on(PartitionVerb::ExpandedIsr, 2)),
        4 | 5 => (Selector::Brokers, Fact::Itself(ProcessVerb::Unfenced)),
        6 => (Selector::Controllers, Fact::Itself(ProcessVerb::Elected)),
        7 => {
            let offset = dice.within(0, 100) as i64;
            let verbs = [
                PartitionVerb::Appended,
                PartitionVerb::FetchedUpTo,
                PartitionVerb::AdvancedHw,
            ];
            (Selector::Everyone, on(dice.pick(&verbs), offset))
        }
        8 => (Selector::Everyone, on(PartitionVerb::ProposedIsr, 2)),
        9 => {
            let verbs = [
                RecordVerb::Sent,
                RecordVerb::Acknowledged,
                RecordVerb::Failed,
                RecordVerb::Accepted,
            ];
            let n = dice.within(0, 60) as u32;
            (Selector::Clients, Fact::OnRecord(dice.pick(&verbs), n))
        }
        10 if !before.is_empty() => {
            let step = dice.pick(before).id;
            (Selector::Everyone, Fact::OfStep(step, dice.chance(50)))
        }
        _ => {
            let verbs = [
                ProcessVerb::Started,
                ProcessVerb::Crashed,
                ProcessVerb::Stopped,
                ProcessVerb::Resumed,
                ProcessVerb::Fenced,
                ProcessVerb::Won,
            ];
            (Selector::Everyone, Fact::Itself(dice.pick(&verbs)))
        }
    };
    When::Met {
        trigger: Trigger { who, fact },
        nth: dice.within(1, 2) as u32,
        after: match dice.chance(30) {
            true => Duration::ZERO,
            false => Duration(1_000 * dice.octaves(100_000)),
        },
        only_while: match dice.below(10) {
            0 => Some(Condition::Isr(partition, dice.within(1, 3) as u32)),
            1 => Some(Condition::Past(Duration::secs(dice.within(1, 20)))),
            _ => None,
        },
    }
}

pub(super) fn draw_partition(dice: &mut Dice<'_>, cast: &Cast<'_>) -> TopicPartition {
    let names: Vec<&Arc<str>> = cast.topics.keys().collect();
    let topic = dice.pick(&names);
    let partitions = cast.topics[topic].partitions as u64;
    TopicPartition {
        topic: topic.clone(),
        partition: dice.below(partitions) as i32,
    }
}

/// A step that says itself what it does. In the safe half it takes no data from any disk.
fn draw_deed(dice: &mut Dice<'_>, half: Half, cast: &Cast<'_>) -> (Action, Lasts) {
    let who = draw_selector(dice, cast);
    let fault = match dice.below(26) {
        0 => Fault::Kill { who },
        1 => Fault::Pause { who },
        2 => Fault::Stop { who },
        3 => Fault::Start { who },
        4 => Fault::Cut {
            from: who,
            to: Selector::Everyone,
            one_way: false,
        },
        5 => Fault::Clock {
            who,
            ahead_ms: (dice.octaves(2_000) as i64 + 1) * dice.pick(&[1, -1]),
        },
        6 => Fault::Drift {
            who,
            ppm: 200 * dice.pick(&[1, -1]),
        },
        7 => Fault::SlowNode {
            who,
            factor: dice.within(2, 100) as u32,
        },
        8 => Fault::Stall { who },
        9 => Fault::FailDisk {
            who,
            full: dice.chance(50),
        },
        10 => Fault::Refuse { who },
        11 => Fault::SlowAccept {
            who,
            delay: Duration::millis(dice.octaves(15_000)),
        },
        12 => Fault::Ring {
            who: Selector::Several(vec![Selector::Brokers, Selector::Controllers]),
        },
        13 => Fault::CrashAt {
            who,
            point: dice.pick(&POINTS).0,
            power: None,
        },
        14 => Fault::Hold(draw_intercept(dice, cast)),
        15 => Fault::Lose(draw_intercept(dice, cast)),
        16 => {
            let of = requests(dice, who);
            let (take, error) = (dice.within(1, 9) as u32, ErrorCode::NotLeaderOrFollower);
            Fault::Answer { of, take, error }
        }
        17 => {
            let of = requests(dice, who);
            let (take, by) = (
                dice.within(1, 9) as u32,
                Duration::millis(dice.octaves(5_000)),
            );
            Fault::Throttle { of, take, by }
        }
        18 | 19 if half == Half::Free => draw_loss(dice, cast),
        _ => draw_link_harm(dice, cast, who),
    };
    let lasts = match fault.is_instant() {
        true => Lasts::UntilHeal,
        false => Lasts::For(draw_duration(dice, &fault)),
    };
    (Action::Fault(fault), lasts)
}

/// Only brokers lose data: no Kafka survives a metadata quorum whose majority forgets. What a single voter loses is searched by the
/// tests of `raft`.
fn draw_loss(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Fault<Selector> {
    let tp = draw_partition(dice, cast);
    let who = dice.pick(&[
        Selector::Leader(tp.clone()),
        Selector::IsrMember(tp.clone()),
        Selector::Replicas(tp),
        Selector::AnyOf(Box::new(Selector::Brokers)),
    ]);
    match dice.below(4) {
        0 => Fault::DiskLoss { who },
        _ => Fault::PowerLoss {
            who,
            keep: dice.pick(&[Keep::Synced, Keep::More(2), Keep::Bytes(512)]),
        },
    }
}

fn draw_link_harm(dice: &mut Dice<'_>, cast: &Cast<'_>, from: Selector) -> Fault<Selector> {
    let to = match dice.chance(25) {
        true => Selector::TheOthers,
        false => draw_selector(dice, cast),
    };
    let one_way = dice.chance(30);
    match dice.below(6) {
        0 => Fault::Cut { from, to, one_way },
        1 => Fault::Clog { from, to, one_way },
        2 => Fault::BlackHole { from, to },
        3 => Fault::Reset { from, to },
        4 => Fault::SlowLink {
            from,
            to,
            factor: dice.within(2, 100) as u32,
        },
        _ => Fault::DropPackets {
            from,
            to,
            ppm: 1_000 * dice.octaves(100) as u32,
        },
    }
}

fn draw_intercept(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Intercept<Selector> {
    Intercept {
        api: dice.pick(&[Api::Produce, Api::Fetch, Api::AlterPartition, Api::Vote]),
        response: dice.chance(50),
        from: draw_selector(dice, cast),
        to: draw_selector(dice, cast),
        nth: dice.within(1, 9) as u32,
    }
}

fn requests(dice: &mut Dice<'_>, to: Selector) -> Intercept<Selector> {
    Intercept {
        api: dice.pick(&[Api::Produce, Api::Fetch]),
        response: false,
        from: Selector::Everyone,
        to,
        nth: dice.within(1, 9) as u32,
    }
}

/// Whom a step means: half of the draws a role, the others any form there is.
fn draw_selector(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Selector {
    let tp = draw_partition(dice, cast);
    if dice.chance(50) {
        let any_replica = Selector::AnyOf(Box::new(Selector::Replicas(tp.clone())));
        return dice.pick(&[
            Selector::Leader(tp),
            any_replica,
            Selector::ActiveController,
        ]);
    }
    let replicas = cast.topics[&tp.topic].replication_factor;
    let followers = u64::try_from(replicas).expect("positive") - 1;
    match dice.below(22) {
        0 | 1 => Selector::Process(draw_name(dice, cast)),
        2 => Selector::Brokers,
        3 => Selector::Controllers,
        4 => Selector::Clients,
        5 => Selector::Everyone,
        6 if !cast.racks.is_empty() => Selector::Rack(dice.pick(cast.racks)),
        7 => Selector::FormerLeader(tp),
        8 if followers > 0 => Selector::Follower(tp, dice.below(followers) as u32),
        9 => Selector::Followers(tp),
        10 => Selector::Replicas(tp),
        11 => Selector::Isr(tp),
        12 => Selector::IsrMember(tp),
        13 => Selector::ActiveController,
        14 => Selector::StandbyController,
        15 => Selector::MinorityOfControllers,
        16 => Selector::MajorityOfControllers,
        17 => {
            let struck = dice.pick(&[Struck::Crashed, Struck::Paused, Struck::Cut]);
            let role = dice.pick(&[Role::Broker, Role::Controller, Role::Client]);
            Selector::Struck(struck, role)
        }
        18 => Selector::AnyOf(Box::new(Selector::Brokers)),
        19 => Selector::HalfOf(Box::new(Selector::Everyone)),
        20 => Selector::Several(vec![
            Selector::Leader(tp),
            Selector::Process(draw_name(dice, cast)),
        ]),
        _ => Selector::Leader(tp),
    }
}

fn draw_name(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Arc<str> {
    let producers: Vec<&Arc<str>> = cast.producers.keys().collect();
    match dice.below(4) {
        0 | 1 => format!("broker-{}", dice.within(1, u64::from(cast.brokers))).into(),
        2 => format!("controller-{}", dice.within(1, u64::from(cast.controllers))).into(),
        _ => dice.pick(&producers).clone(),
    }
}
