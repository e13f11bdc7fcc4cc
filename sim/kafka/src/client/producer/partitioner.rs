//! Where a record goes: Kafka's BuiltInPartitioner and RoundRobinPartitioner.
//!
//! It keeps: records with the same key go to the same partition as long as the number of partitions stays (P-3); records
//! without a key stick to one partition until about a batch has gone there (P-4, KIP-794), and the next one is likelier
//! the less waits for it (P-5). Round robin takes the partitions with a leader in turn, whatever the key.
//!
//! Left out: partitioners of the application's own; an application that knows better names the partition in its record.

use serde::Serialize;
use smallvec::SmallVec;

/// The partition of a key: murmur2 over its bytes, over all partitions, led or not (P-3).
///
/// # Panics
/// If there is no partition.
pub fn partition_for_key(key: &[u8], partitions: u32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let positive = murmur2(key) & 0x7fff_ffff;
    i32::try_from(positive % partitions).expect("31 bits")
}

/// The 32-bit hash with which Kafka places keys.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let length = u32::try_from(data.len()).expect("a key is below 4 GiB");
    let mut h = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in words.by_ref() {
        let word: [u8; 4] = word.try_into().expect("chunks of four");
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (byte, shift) in rest.iter().zip([0, 8, 16]) {
            h ^= u32::from(*byte) << shift;
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition to which a topic's records without a key stick.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sticky {
    current: Option<Stuck>,
    /// How likely the next one is which, if not all are the same (P-5).
    loads: Option<Loads>,
}

/// Kafka's PartitionLoadStats: a draw below the last sum goes to the first partition whose sum is above it.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Loads {
    sums: SmallVec<[u64; 8]>,
    partitions: SmallVec<[i32; 8]>,
}

/// How much waits for each partition of a topic, as one turn of the sender sees it.
#[derive(Clone, Debug, Default)]
pub struct QueueLengths {
    lengths: SmallVec<[u64; 8]>,
    partitions: SmallVec<[i32; 8]>,
    /// Partitions with a queue, those without a leader included.
    all: u32,
    left_out: bool,
    /// The length in the slot of the one left out last.
    stale: u64,
}

impl QueueLengths {
    /// Nothing seen yet of so many partitions, those without a leader included.
    pub fn of(all: u32) -> QueueLengths {
        QueueLengths {
            all,
            ..QueueLengths::default()
        }
    }

    /// A partition with a leader, and how many batches wait for it.
    pub fn add(&mut self, partition: i32, length: u64) {
        // In Kafka a partition for which nothing waits inherits the length of one left out just before it.
        let stale = std::mem::take(&mut self.stale);
        self.lengths.push(if length == 0 { stale } else { length });
        self.partitions.push(partition);
    }

    /// Leaves the last one out: its leader has not taken anything for too long.
    pub fn leave_out_last(&mut self) {
        self.stale = self.lengths.pop().unwrap_or_default();
        self.partitions.pop();
        self.left_out = true;
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Stuck {
    partition: i32,
    /// Bytes appended since it was drawn.
    produced: u64,
}

impl Sticky {
    /// The partition, unless it has still to be drawn.
    pub fn partition(&self) -> Option<i32> {
        self.current.map(|s| s.partition)
    }

    /// Sticks to a drawn partition, the likelier the less waits for it; whether it is known how much waits.
    pub fn choose_by_load(&mut self, drawn: u64) -> bool {
        let loads = self.loads.as_ref();
        let drawn = loads.map(|loads| loads.partition_at(below(drawn, loads.total())));
        if let Some(partition) = drawn {
            self.stick_to(partition);
        }
        drawn.is_some()
    }

    /// Sticks to a drawn partition: one of those with a leader, or of all if none has one. It may be the same again.
    ///
    /// # Panics
    /// If there is no partition.
    pub fn choose(&mut self, available: &[i32], partitions: u32, drawn: u64) {
        assert!(partitions > 0, "a topic has at least one partition");
        self.stick_to(match available.len() as u64 {
            0 => below(drawn, partitions.into()) as i32,
            n => available[usize::try_from(below(drawn, n)).expect("below the length")],
        });
    }

    fn stick_to(&mut self, partition: i32) {
        let produced = 0;
        self.current = Some(Stuck {
            partition,
            produced,
        });
    }

    /// Takes note of how much waits for which partition (P-5): a partition weighs one more than it falls short of the
    /// longest queue. Where all weigh the same the draw is uniform.
    pub fn weigh(&mut self, queues: Option<QueueLengths>) {
        self.loads = queues.and_then(Loads::of);
    }

    /// Whether the next draw is uneven.
    pub fn is_weighed(&self) -> bool {
        self.loads.is_some()
    }

    /// Counts what was appended to the sticky partition.
    pub fn appended(&mut self, bytes: u64) {
        if let Some(stuck) = &mut self.current {
            stuck.produced += bytes;
        }
    }

    /// Whether the next one should be drawn (P-4): a batch's worth has gone there and no batch waits half-full, or two
    /// batches' worth have.
    pub fn is_spent(&self, batch_size: u64, all_batches_full: bool) -> bool {
        self.current.is_some_and(|s| {
            s.produced >= 2 * batch_size || (s.produced >= batch_size && all_batches_full)
        })
    }
}

/// A number below `n`, each as likely as any other.
fn below(drawn: u64, n: u64) -> u64 {
    ((u128::from(drawn) * u128::from(n)) >> 64) as u64
}

impl Loads {
    fn of(queues: QueueLengths) -> Option<Loads> {
        let QueueLengths {
            lengths: mut sums,
            partitions,
            all,
            left_out,
            ..
        } = queues;
        if sums.is_empty() || all < 2 {
            return None;
        }
        let all_equal = sums.iter().all(|l| *l == sums[0]);
        if all_equal && !left_out && sums.len() as u64 == u64::from(all) {
            return None;
        }
        let longest = sums.iter().copied().max().unwrap_or_default();
        let mut sum = 0;
        for length in &mut sums {
            sum += longest + 1 - *length;
            *length = sum;
        }
        Some(Loads { sums, partitions })
    }

    fn total(&self) -> u64 {
        *self
            .sums
            .last()
            .expect("loads are of at least one partition")
    }

    fn partition_at(&self, drawn: u64) -> i32 {
        self.partitions[self.sums.partition_point(|sum| *sum <= drawn)]
    }
}

/// Kafka's RoundRobinPartitioner, for one topic: the n-th call takes the n-th of the partitions with a leader, or of all
/// if none has one. It asks nobody for the key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RoundRobin {
    calls: u32,
}

impl RoundRobin {
    /// The next partition.
    ///
    /// # Panics
    /// If there is no partition.
    pub fn next(&mut self, available: &[i32], partitions: u32) -> i32 {
        assert!(partitions > 0, "a topic has at least one partition");
        let turn = self.calls & 0x7fff_ffff;
        self.calls = self.calls.wrapping_add(1);
        match u32::try_from(available.len()).expect("partitions are numbered by i32") {
            0 => i32::try_from(turn % partitions).expect("31 bits"),
            n => available[(turn % n) as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the client of Kafka 4.2.0: for each key its hash and its partitions among 1, 2, 3, 6, 7, 12, 50, 1000.
    ///
    /// ```text
    /// mvn dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.2.0 -DoutputDirectory=lib
    /// mvn dependency:copy -Dartifact=org.slf4j:slf4j-api:1.7.36 -DoutputDirectory=lib
    /// java -cp 'lib/*' Golden.java   # prints Utils.murmur2(key) and BuiltInPartitioner.partitionForKey(key, n)
    /// ```
    const GOLDEN: [(&str, i32, [i32; 8]); 20] = [
        ("", 275646681, [0, 1, 0, 3, 2, 9, 31, 681]),
        ("0", 971027396, [0, 0, 2, 2, 3, 8, 46, 396]),
        ("a", -1563381124, [0, 0, 1, 4, 5, 4, 24, 524]),
        ("ab", 316155434, [0, 0, 2, 2, 0, 2, 34, 434]),
        ("abc", 479470107, [0, 1, 0, 3, 4, 3, 7, 107]),
        ("abcd", -1323649548, [0, 0, 2, 2, 5, 8, 0, 100]),
        ("abcde", 461995741, [0, 1, 1, 1, 4, 1, 41, 741]),
        ("key", -1079937367, [0, 1, 1, 1, 4, 1, 31, 281]),
        ("foobar", -790332482, [0, 0, 0, 0, 0, 6, 16, 166]),
        ("user-1", 1404122828, [0, 0, 2, 2, 3, 8, 28, 828]),
        ("user-42", 1459644460, [0, 0, 1, 4, 1, 4, 10, 460]),
        ("order-1000", 1995156302, [0, 0, 2, 2, 6, 2, 2, 302]),
        ("shop#41", 173695949, [0, 1, 2, 5, 0, 5, 49, 949]),
        ("orders-0", -2489825, [0, 1, 0, 3, 0, 3, 23, 823]),
        ("Kafka", 824573139, [0, 1, 0, 3, 5, 3, 39, 139]),
        ("éè", -1525060724, [0, 0, 0, 0, 4, 0, 24, 924]),
        ("€5", -798111108, [0, 0, 2, 2, 5, 8, 40, 540]),
        ("😀", 131881617, [0, 1, 0, 3, 0, 9, 17, 617]),
        (
            "the quick brown fox jumps over the lazy dog",
            -890066680,
            [0, 0, 1, 4, 3, 4, 18, 968],
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            -976911081,
            [0, 1, 2, 5, 3, 11, 17, 567],
        ),
    ];

    #[test]
    fn keys_go_where_kafkas_own_client_puts_them() {
        for (key, hash, partitions) in GOLDEN {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key:?}");
            let counts = [1, 2, 3, 6, 7, 12, 50, 1000];
            let placed = counts.map(|n| partition_for_key(key.as_bytes(), n));
            assert_eq!(placed, partitions, "{key:?}");
        }
    }

    #[test]
    fn all_byte_values_hash_as_in_kafkas_own_client() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(murmur2(&all) as i32, -1_948_347_274);
    }

    fn stuck_after(bytes: &[u64]) -> Sticky {
        let mut sticky = Sticky::default();
        sticky.choose(&[0], 1, 0);
        bytes.iter().for_each(|b| sticky.appended(*b));
        sticky
    }

    #[test]
    fn a_partition_is_kept_until_a_batch_has_gone_there_and_none_is_half_full() {
        assert!(!stuck_after(&[60]).is_spent(100, true));
        assert!(!stuck_after(&[60, 60]).is_spent(100, false));
        assert!(stuck_after(&[60, 40]).is_spent(100, true));
    }

    #[test]
    fn two_batches_worth_is_enough_even_with_a_half_full_batch() {
        assert!(!stuck_after(&[199]).is_spent(100, false));
        assert!(stuck_after(&[200]).is_spent(100, false));
    }

    #[test]
    fn the_next_partition_is_drawn_among_those_with_a_leader_else_among_all() {
        let draws = [0, 1 << 62, 1 << 63, u64::MAX];
        let chosen = |available: &[i32]| {
            draws.map(|drawn| {
                let mut sticky = Sticky::default();
                sticky.choose(available, 4, drawn);
                sticky.partition().expect("chosen")
            })
        };
        assert_eq!(chosen(&[1, 3]), [1, 1, 3, 3]);
        assert_eq!(chosen(&[]), [0, 1, 2, 3]);
    }

    /// Where the n-th of `of` equal parts of all draws begins.
    fn nth_draw(n: u128, of: u128) -> u64 {
        u64::try_from((n << 64).div_ceil(of)).expect("below 2^64")
    }

    fn queues(lengths: &[u64]) -> QueueLengths {
        let mut queues = QueueLengths::of(3);
        for (partition, length) in (0..).zip(lengths) {
            queues.add(partition, *length);
        }
        queues
    }

    fn shares(queues: &QueueLengths, of: u128) -> Vec<i32> {
        let drawn = (0..of).map(|n| {
            let mut sticky = Sticky::default();
            sticky.weigh(Some(queues.clone()));
            let drawn = nth_draw(n, of);
            if !sticky.choose_by_load(drawn) {
                sticky.choose(&[0, 1, 2], 3, drawn);
            }
            sticky.partition().expect("chosen")
        });
        drawn.collect()
    }

    #[test]
    fn the_next_partition_is_the_likelier_the_less_waits_for_it() {
        // The queues 0, 3, 1 weigh 4, 1, 3: the example in Kafka's own source.
        assert_eq!(shares(&queues(&[0, 3, 1]), 8), [0, 0, 0, 0, 1, 2, 2, 2]);
    }

    #[test]
    fn equal_queues_leave_the_draw_even() {
        let mut sticky = Sticky::default();
        sticky.weigh(Some(queues(&[2, 2, 2])));
        assert!(!sticky.is_weighed());
        sticky.weigh(Some(queues(&[2, 2, 1])));
        assert!(sticky.is_weighed());
        sticky.weigh(None);
        assert!(!sticky.is_weighed());
    }

    #[test]
    fn a_partition_that_was_left_out_is_not_drawn() {
        let mut q = queues(&[1, 1, 1]);
        q.leave_out_last();
        assert_eq!(shares(&q, 4), [0, 0, 1, 1]);
    }

    #[test]
    fn round_robin_takes_the_partitions_with_a_leader_in_turn() {
        let mut turns = RoundRobin::default();
        let taken: Vec<i32> = (0..5).map(|_| turns.next(&[0, 2, 3], 4)).collect();
        assert_eq!(taken, [0, 2, 3, 0, 2]);
        assert_eq!(turns.next(&[], 4), 1, "the sixth call, of all four");
    }
}
