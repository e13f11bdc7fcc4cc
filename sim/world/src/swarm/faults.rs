//! Drawn harm: from a family and a step's own stream to a concrete fault (C.1, C.2).
//!
//! Few faults, well aimed: half of the draws strike a role (a leader, the active controller). Durations straddle Kafka's
//! timeouts. The budget says what may be destroyed for good.

use super::dice::Dice;
use crate::ambush::POINTS;
use crate::disks::Keep;
use crate::fault::{Fault, Intercept, Realised};
use crate::process::ProcessId;
use crate::scenario::{Budget, Family, Lasts};
use crate::streams::Stream;
use crate::view::View;
use crate::world::World;
use klab_kafka::ids::NodeId;
use klab_kafka::protocol::{Api, ErrorCode};
use klab_kafka::time::Duration;

/// Timeouts that durations are drawn around, in ms: quorum election and fetch, heartbeat, broker session, ISR lag,
/// request, delivery.
const TIMEOUTS: [u64; 7] = [1_000, 2_000, 2_000, 9_000, 30_000, 30_000, 120_000];

/// The longest drawn duration in ms.
const LONGEST: u64 = 60_000;

/// The families, each with its weight; `power` is that of losses of power.
pub(super) fn families(power: u64) -> [(u64, Family); 10] {
    [
        (45, Family::Partition),
        (20, Family::Network),
        (45, Family::Crash),
        (power, Family::Power),
        (12, Family::Pause),
        (12, Family::Message),
        (6, Family::Disk),
        (4, Family::Clock),
        (5, Family::Slow),
        (7, Family::Answer),
    ]
}

/// Who there is to harm.
struct Targets {
    brokers: Vec<ProcessId>,
    controllers: Vec<ProcessId>,
    clients: Vec<ProcessId>,
    /// Leaders of partitions and the active controller.
    roles: Vec<ProcessId>,
}

/// Draws one fault of a family for a step. None if nobody is there to harm or the budget forbids it.
pub fn draw_fault(
    world: &mut World,
    step: u64,
    family: Family,
    budget: Budget,
    lasts: Lasts,
) -> Option<(Realised, Lasts)> {
    let targets = targets(world);
    let (streams, names) = (&mut world.streams, &world.names);
    let mut source = |n| streams.below(Stream::Step(step), n, names);
    let mut dice = Dice::new(&mut source);
    let family = match family {
        Family::Any => dice.weighted(&families(6)),
        family => family,
    };
    let fault = draw(&targets, family, &mut dice)?;
    let drawn = draw_duration(&mut dice, &fault);
    let lasts = match lasts {
        Lasts::UntilHeal => Lasts::For(drawn),
        other => other,
    };
    may_strike(world, &fault, budget).then_some((fault, lasts))
}

/// A third of the draws straddle a timeout; the others are spread over all octaves.
pub(super) fn draw_duration<T>(dice: &mut Dice<'_>, fault: &Fault<T>) -> Duration {
    let ms = if dice.below(3) == 0 {
        let tenths = dice.pick(&[9, 10, 11]);
        (dice.pick(&TIMEOUTS) * tenths / 10).min(LONGEST)
    } else {
        dice.octaves(LONGEST)
    };
    Duration::millis(match fault {
        // D1: a disk that hangs longer than this is a dead one.
        Fault::Stall { .. } => ms.min(5_000),
        _ => ms,
    })
}

fn draw(targets: &Targets, family: Family, dice: &mut Dice<'_>) -> Option<Realised> {
    match family {
        Family::Partition => Some(draw_cut(targets, dice)),
        Family::Network => {
            let (from, to) = draw_link(targets, dice);
            Some(match dice.below(8) {
                0 => Fault::Reset { from, to },
                1 => Fault::BlackHole { from, to },
                2 => Fault::SlowLink {
                    from,
                    to,
                    factor: dice.within(2, 100) as u32,
                },
                3 | 4 => Fault::Clog {
                    from,
                    to,
                    one_way: dice.chance(30),
                },
                5 => Fault::DropPackets {
                    from,
                    to,
                    ppm: 1_000 * dice.octaves(200) as u32,
                },
                6 => Fault::Refuse {
                    who: one(dice.pick(&targets.brokers)),
                },
                _ => Fault::SlowAccept {
                    who: from,
                    delay: Duration::millis(dice.octaves(15_000)),
                },
            })
        }
        Family::Crash => {
            if dice.chance(25) {
                return Some(draw_crash_point(targets, dice, None));
            }
            let who = one(draw_victim(targets, dice));
            Some(if dice.chance(25) {
                Fault::Stop { who }
            } else {
                Fault::Kill { who }
            })
        }
        Family::Power => {
            let who = one(dice.pick(&targets.brokers));
            // D2: four of five cut a file anywhere.
            let keep = match dice.chance(80) {
                true => Keep::Bytes(dice.pick(&[1, 512, 4_096])),
                false => Keep::Drawn,
            };
            Some(match dice.below(100) {
                0..15 => Fault::DiskLoss { who },
                15..30 => draw_crash_point(targets, dice, Some(keep)),
                _ => Fault::PowerLoss { who, keep },
            })
        }
        Family::Pause => Some(Fault::Pause {
            who: one(draw_victim(targets, dice)),
        }),
        Family::Message => Some(draw_message(targets, dice)),
        Family::Disk => {
            let who = one(draw_victim(targets, dice));
            Some(match dice.below(3) {
                0 => Fault::Stall { who },
                n => Fault::FailDisk { who, full: n == 1 },
            })
        }
        Family::Clock => Some(draw_clock(targets, dice)),
        Family::Slow => Some(Fault::SlowNode {
            who: one(draw_victim(targets, dice)),
            factor: dice.within(2, 100) as u32,
        }),
        Family::Answer => Some(draw_answer(targets, dice)),
        Family::Any => unreachable!("a family was drawn before"),
    }
}

fn one(p: ProcessId) -> Box<[ProcessId]> {
    [p].into()
}

/// Half of the draws strike a role.
fn draw_victim(targets: &Targets, dice: &mut Dice<'_>) -> ProcessId {
    let servers: Vec<ProcessId> = targets
        .brokers
        .iter()
        .chain(&targets.controllers)
        .copied()
        .collect();
    if dice.chance(50) && !targets.roles.is_empty() {
        return dice.pick(&targets.roles);
    }
    dice.pick(&servers)
}

fn draw_link(targets: &Targets, dice: &mut Dice<'_>) -> (Box<[ProcessId]>, Box<[ProcessId]>) {
    let victim = draw_victim(targets, dice);
    let others: Vec<ProcessId> = all(targets).into_iter().filter(|p| *p != victim).collect();
    (one(victim), one(dice.pick(&others)))
}

/// P7: a process of any kind, at a point of its own work. Power is only taken from brokers.
fn draw_crash_point(targets: &Targets, dice: &mut Dice<'_>, power: Option<Keep>) -> Realised {
    let (point, ..) = dice.pick(&POINTS);
    let who = match power {
        Some(_) => dice.pick(&targets.brokers),
        None if dice.chance(30) => dice.pick(&all(targets)),
        None => draw_victim(targets, dice),
    };
    Fault::CrashAt {
        who: one(who),
        point,
        power,
    }
}

/// T1: up to half a second in most draws, up to an hour in a few; any process.
fn draw_clock(targets: &Targets, dice: &mut Dice<'_>) -> Realised {
    let who = one(dice.pick(&all(targets)));
    let sign = if dice.chance(50) { 1 } else { -1 };
    if dice.chance(40) {
        let ppm = dice.octaves(20_000) as i32 * sign;
        return Fault::Drift { who, ppm };
    }
    let longest = if dice.chance(30) { 3_600_000 } else { 500 };
    let ahead_ms = dice.octaves(longest) as i64 * i64::from(sign);
    Fault::Clock { who, ahead_ms }
}

/// K1: errors that a server could have given without having done anything.
const ANSWERS: [(Api, &[ErrorCode]); 8] = [
    (
        Api::Produce,
        &[
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::NotEnoughReplicas,
            ErrorCode::RequestTimedOut,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownTopicOrPartition,
        ],
    ),
    (
        // No FENCED_LEADER_EPOCH: a follower that hears it in its leader's own epoch gives the partition up until the next.
        Api::Fetch,
        &[
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::UnknownLeaderEpoch,
            ErrorCode::KafkaStorageError,
        ],
    ),
    (
        Api::ListOffsets,
        &[
            ErrorCode::LeaderNotAvailable,
            ErrorCode::OffsetNotAvailable,
            ErrorCode::NotLeaderOrFollower,
        ],
    ),
    (
        Api::OffsetForLeaderEpoch,
        &[
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::UnknownLeaderEpoch,
        ],
    ),
    (
        Api::InitProducerId,
        &[
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::CoordinatorNotAvailable,
        ],
    ),
    (Api::AlterPartition, &[ErrorCode::NotController]),
    (Api::BrokerHeartbeat, &[ErrorCode::NotController]),
    (Api::BrokerRegistration, &[ErrorCode::NotController]),
];

/// Most of the draws are about what producers and followers ask.
fn draw_answer(targets: &Targets, dice: &mut Dice<'_>) -> Realised {
    let (api, errors) = match dice.chance(60) {
        true => dice.pick(&ANSWERS[..2]),
        false => dice.pick(&ANSWERS),
    };
    let of = Intercept {
        api,
        response: false,
        from: all(targets).into(),
        to: one(draw_victim(targets, dice)),
        nth: dice.within(1, 10) as u32,
    };
    let take = dice.octaves(30) as u32;
    if dice.chance(30) {
        let by = Duration::millis(dice.octaves(10_000));
        return Fault::Throttle { of, take, by };
    }
    let error = dice.pick(errors);
    Fault::Answer { of, take, error }
}

fn draw_message(targets: &Targets, dice: &mut Dice<'_>) -> Realised {
    let apis = [
        Api::Produce,
        Api::Fetch,
        Api::AlterPartition,
        Api::BrokerHeartbeat,
        Api::BrokerRegistration,
        Api::Metadata,
        Api::Vote,
        Api::InitProducerId,
    ];
    let everyone: Box<[ProcessId]> = all(targets).into();
    // What replicas of the metadata log fetch is a message like any other.
    let is_metadata = dice.chance(20);
    let victim = one(match is_metadata {
        true => dice.pick(&targets.controllers),
        false => draw_victim(targets, dice),
    });
    let response = dice.chance(60);
    let (from, to) = if response {
        (victim, everyone)
    } else {
        (everyone, victim)
    };
    let nth = dice.within(1, 20) as u32;
    let intercept = Intercept {
        api: match is_metadata {
            true => Api::Fetch,
            false => dice.pick(&apis),
        },
        response,
        from,
        to,
        nth,
    };
    if dice.chance(50) {
        Fault::Lose(intercept)
    } else {
        Fault::Hold(intercept)
    }
}

/// N7: isolate one 50 %, one-way 15 %, partial 15 %, others 20 %.
fn draw_cut(targets: &Targets, dice: &mut Dice<'_>) -> Realised {
    let victim = draw_victim(targets, dice);
    let everyone = all(targets);
    let others = |but: ProcessId| -> Box<[ProcessId]> {
        everyone.iter().copied().filter(|p| *p != but).collect()
    };
    let (isolate, way, partial) = (50, 15, 15);
    match dice.below(100) {
        n if n < isolate => Fault::Cut {
            from: one(victim),
            to: others(victim),
            one_way: false,
        },
        n if n < isolate + way => {
            let one_way = true;
            if dice.chance(50) {
                Fault::Cut {
                    from: one(victim),
                    to: others(victim),
                    one_way,
                }
            } else {
                Fault::Cut {
                    from: others(victim),
                    to: one(victim),
                    one_way,
                }
            }
        }
        n if n < isolate + way + partial => {
            let (from, to) = draw_link(targets, dice);
            Fault::Cut {
                from,
                to,
                one_way: dice.chance(30),
            }
        }
        _ => draw_wide_cut(targets, dice),
    }
}

/// A broker from all controllers, from all other brokers, from both (its clients still reach it), from the clients, or
/// halves.
fn draw_wide_cut(targets: &Targets, dice: &mut Dice<'_>) -> Realised {
    let leaders: Vec<ProcessId> = targets
        .roles
        .iter()
        .copied()
        .filter(|p| targets.brokers.contains(p))
        .collect();
    let broker = match dice.chance(50) && !leaders.is_empty() {
        true => dice.pick(&leaders),
        false => dice.pick(&targets.brokers),
    };
    let from = one(broker);
    let others = targets.brokers.iter().copied().filter(|p| *p != broker);
    if dice.chance(20) {
        let servers = targets.brokers.iter().chain(&targets.controllers);
        let mut who: Vec<ProcessId> = servers.copied().collect();
        let at = dice.below(who.len() as u64);
        who.rotate_left(usize::try_from(at).expect("drawn below the length"));
        return Fault::Ring { who: who.into() };
    }
    let to: Box<[ProcessId]> = match dice.below(6) {
        0 => targets.controllers.clone().into(),
        1 => others.collect(),
        2 | 3 => others.chain(targets.controllers.iter().copied()).collect(),
        4 => targets.clients.clone().into(),
        _ => {
            let (a, b): (Vec<ProcessId>, Vec<ProcessId>) =
                all(targets).into_iter().partition(|_| dice.chance(50));
            return Fault::Cut {
                from: a.into(),
                to: b.into(),
                one_way: false,
            };
        }
    };
    Fault::Cut {
        from,
        to,
        one_way: false,
    }
}

fn all(targets: &Targets) -> Vec<ProcessId> {
    let servers = targets.brokers.iter().chain(&targets.controllers);
    servers.chain(&targets.clients).copied().collect()
}

fn targets(world: &World) -> Targets {
    let view = View::new(world);
    let mut targets = Targets {
        brokers: Vec::new(),
        controllers: Vec::new(),
        clients: Vec::new(),
        roles: Vec::new(),
    };
    for (p, name) in world.names.iter() {
        if name.starts_with("broker-") {
            targets.brokers.push(p);
        } else if name.starts_with("controller-") {
            targets.controllers.push(p);
        } else if &**name != "admin" && &**name != "reader" {
            targets.clients.push(p);
        }
    }
    let leaders = view.image().into_iter().flat_map(|i| i.topics.values());
    let leaders = leaders
        .flat_map(|t| t.partitions.values())
        .filter_map(|p| p.leader);
    targets
        .roles
        .extend(leaders.filter_map(|n| view.process_of(n)));
    targets
        .roles
        .extend(view.active_controller().map(|(p, _)| p));
    targets
}

/// Whether the budget allows a harm now. `Recoverable` never takes power or disk from a partition's last in-sync replica
/// (eligible leader replicas are off): a broker may lose its unsynced data only while nothing else is wrong with any
/// server, and nothing else is done to a server until that broker has registered anew, which takes it out of every ISR
/// (K-15).
fn may_strike(world: &World, fault: &Realised, budget: Budget) -> bool {
    if budget == Budget::None {
        return true;
    }
    match fault {
        // Whom it will find then, nobody knows now.
        Fault::CrashAt { power: Some(_), .. } => false,
        Fault::PowerLoss { who, .. } | Fault::DiskLoss { who } => {
            !has_tainted(world)
                && !is_server_harmed(world)
                && who.iter().all(|p| is_spare(world, *p))
        }
        _ => !has_tainted(world),
    }
}

/// Whether a broker that lost data has not registered anew since.
pub(crate) fn has_tainted(world: &World) -> bool {
    let view = View::new(world);
    world.losses().iter().any(|(p, epoch_then)| {
        let node = node_of(world, *p);
        let epoch = view
            .image()
            .and_then(|i| i.brokers.get(&node))
            .map(|b| b.epoch);
        epoch.is_none() || epoch == *epoch_then
    })
}

fn node_of(world: &World, p: ProcessId) -> NodeId {
    let name = world.names.of(p);
    let number = name.strip_prefix("broker-").and_then(|n| n.parse().ok());
    NodeId(number.unwrap_or(-1))
}

fn is_server_harmed(world: &World) -> bool {
    !world.steps.active().is_empty()
        || View::new(world).machines().any(|(p, m)| {
            let name = world.names.of(p);
            m.process.is_none() && (name.starts_with("broker-") || name.starts_with("controller-"))
        })
}

/// Whether every partition with this broker in its ISR has another member there, unfenced, that stays: one that has come
/// back from a crash within its old session is out as soon as it registers anew (K-15), whatever it holds.
fn is_spare(world: &World, p: ProcessId) -> bool {
    let (node, view) = (node_of(world, p), View::new(world));
    let Some(image) = view.image() else {
        return false;
    };
    let stays = |n: &NodeId| {
        let registered = image.brokers.get(n).filter(|b| b.is_active());
        let mut running = view.brokers().filter(|(p, _)| node_of(world, *p) == *n);
        let own = running.next().and_then(|(_, b)| b.lifecycle().epoch());
        registered.is_some_and(|b| own == Some(b.epoch))
    };
    image
        .topics
        .values()
        .flat_map(|t| t.partitions.values())
        .all(|r| !r.isr.contains(&node) || r.isr.iter().any(|n| *n != node && stays(n)))
}
