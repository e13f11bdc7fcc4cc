//! Chance by name and purpose: one ChaCha8 stream per (entity name, purpose), made on first use from the run's seed.
//!
//! So removing one fault, or changing one setting, leaves all other draws alone. Bounded numbers come by widening
//! multiplication; nothing of the random crates' own sampling is used, since that changes between their versions.

use crate::process::{Names, ProcessId};
use klab_kafka::context::Purpose;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Whose number it is and what for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// A process's own.
    Process(ProcessId, Purpose),
    /// The latency of the next message on a link.
    Latency(ProcessId, ProcessId),
    /// Whether the next message on a link is one of the slow ones.
    Tail(ProcessId, ProcessId),
    /// How often the next message on a link is lost.
    Loss(ProcessId, ProcessId),
    /// How long a disk takes.
    Disk(ProcessId),
    /// Whether the next sync of a disk is one of the slow ones.
    DiskTail(ProcessId),
    /// What a disk keeps through a loss of power.
    PowerLoss(ProcessId),
    /// What a step needs, by the step's own id.
    Step(u64),
    /// A whole drawn run.
    Swarm,
}

/// All streams of a run.
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    open: Vec<ChaCha8Rng>,
    places: BTreeMap<Stream, u32>,
    /// The places of latencies, by sender and receiver: every message draws from one.
    links: Vec<Vec<Option<u32>>>,
    /// The places of the processes' own, by process.
    own: Vec<Vec<(Purpose, u32)>>,
}

impl Streams {
    /// Streams of a seed, none opened yet.
    pub fn new(seed: u64) -> Streams {
        Streams {
            seed,
            open: Vec::new(),
            places: BTreeMap::new(),
            links: Vec::new(),
            own: Vec::new(),
        }
    }

    /// The next number of a stream.
    pub fn draw(&mut self, stream: Stream, names: &Names) -> u64 {
        let place = match self.place(stream) {
            Some(place) => place,
            None => self.begin(stream, names),
        };
        self.open[place as usize].next_u64()
    }

    fn place(&self, stream: Stream) -> Option<u32> {
        match stream {
            Stream::Latency(from, to) => *self.links.get(from.index())?.get(to.index())?,
            Stream::Process(process, purpose) => {
                let mut own = self.own.get(process.index())?.iter();
                own.find(|(of, _)| *of == purpose).map(|(_, place)| *place)
            }
            other => self.places.get(&other).copied(),
        }
    }

    fn begin(&mut self, stream: Stream, names: &Names) -> u32 {
        let place = u32::try_from(self.open.len()).expect("below 2^32 streams");
        let seed = key(self.seed, &name(stream, names));
        self.open.push(ChaCha8Rng::from_seed(seed));
        let processes = names.iter().count();
        match stream {
            Stream::Latency(from, to) => {
                self.links.resize(processes, vec![None; processes]);
                self.links[from.index()][to.index()] = Some(place);
            }
            Stream::Process(process, purpose) => {
                self.own.resize(processes, Vec::new());
                self.own[process.index()].push((purpose, place));
            }
            other => {
                self.places.insert(other, place);
            }
        }
        place
    }

    /// A number of `[0, below)`, uniformly but for one part in 2^64.
    pub fn below(&mut self, stream: Stream, below: u64, names: &Names) -> u64 {
        scale(self.draw(stream, names), below)
    }

    /// A number of `[min, max]`.
    pub fn within(&mut self, stream: Stream, min: u64, max: u64, names: &Names) -> u64 {
        if min >= max {
            return min;
        }
        min + self.below(stream, max - min + 1, names)
    }
}

/// Maps a drawn number to `[0, below)`.
pub fn scale(drawn: u64, below: u64) -> u64 {
    ((u128::from(drawn) * u128::from(below)) >> 64) as u64
}

/// The stream's name, which is all that its numbers depend on besides the seed.
fn name(stream: Stream, names: &Names) -> String {
    match stream {
        Stream::Process(p, purpose) => format!("{}/{purpose:?}", names.of(p)),
        Stream::Latency(a, b) => format!("{}->{}/latency", names.of(a), names.of(b)),
        Stream::Tail(a, b) => format!("{}->{}/tail", names.of(a), names.of(b)),
        Stream::Loss(a, b) => format!("{}->{}/loss", names.of(a), names.of(b)),
        Stream::Disk(p) => format!("{}/disk", names.of(p)),
        Stream::DiskTail(p) => format!("{}/disk-tail", names.of(p)),
        Stream::PowerLoss(p) => format!("{}/power-loss", names.of(p)),
        Stream::Step(id) => format!("step {id:016x}"),
        Stream::Swarm => "swarm".into(),
    }
}

fn key(seed: u64, name: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), seed).to_le_bytes());
    key[16..].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), !seed).to_le_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_the_same_for_ever() {
        let names = Names::new(vec!["broker-1".into()]);
        let stream = Stream::Process(ProcessId(0), Purpose::ElectionTimeout);
        let mut streams = Streams::new(1);
        let drawn: Vec<u64> = (0..3).map(|_| streams.draw(stream, &names)).collect();
        assert_eq!(
            drawn,
            [
                14023704433902515639,
                10567891746943663345,
                2885324688198756768
            ],
            "golden vector"
        );
    }

    #[test]
    fn a_stream_does_not_move_when_another_is_drawn_from() {
        let names = Names::new(vec!["broker-1".into(), "broker-2".into()]);
        let (a, b) = (Stream::Disk(ProcessId(0)), Stream::Disk(ProcessId(1)));
        let mut alone = Streams::new(7);
        let mut both = Streams::new(7);
        both.draw(b, &names);
        assert_eq!(alone.draw(a, &names), both.draw(a, &names));
    }
}
