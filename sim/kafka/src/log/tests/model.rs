//! A log against a naive one: a list of batches, its epochs and offsets, cut and copied by the rules' own words; and its
//! disk: what the files hold must fold to what is in memory, at every moment and after every restart (W12, L-36).

use super::*;
use crate::disk::SmallFile;
use crate::log::epochs::EpochEntry;
use crate::log::producers::Producers;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Lead,
    Append(u32),
    Idempotent {
        producer: i64,
        count: u32,
        bump: bool,
    },
    Transactional {
        producer: i64,
        count: u32,
    },
    Marker {
        producer: i64,
        commit: bool,
    },
    Copy {
        gap: i64,
        count: u32,
    },
    Truncate(u32),
    AdvanceHw(u32),
    SetHw(u32),
    MoveStart(u32),
    StartOver(i64),
    /// The sweep, with so many bytes to be kept.
    Retain(i64),
    Flush,
    Checkpoint,
    FinishSyncs,
    Restart {
        clean: bool,
    },
    LosePower {
        kept: usize,
        torn: bool,
    },
}

/// Parts of 100: an offset somewhere in the log.
fn part() -> impl Strategy<Value = u32> {
    0..=100u32
}

fn any_op() -> impl Strategy<Value = Op> {
    let producer = || 1..4i64;
    prop_oneof![
        2 => Just(Op::Lead),
        6 => (1..5u32).prop_map(Op::Append),
        8 => (producer(), 1..4u32, prop_oneof![9 => Just(false), 1 => Just(true)])
            .prop_map(|(producer, count, bump)| Op::Idempotent { producer, count, bump }),
        6 => (producer(), 1..4u32).prop_map(|(producer, count)| Op::Transactional { producer, count }),
        6 => (producer(), any::<bool>()).prop_map(|(producer, commit)| Op::Marker { producer, commit }),
        2 => (0..3i64, 1..4u32).prop_map(|(gap, count)| Op::Copy { gap, count }),
        3 => part().prop_map(Op::Truncate),
        4 => part().prop_map(Op::AdvanceHw),
        1 => part().prop_map(Op::SetHw),
        1 => part().prop_map(Op::MoveStart),
        1 => (0..200i64).prop_map(Op::StartOver),
        2 => (0..2_000i64).prop_map(Op::Retain),
        2 => Just(Op::Flush),
        2 => Just(Op::Checkpoint),
        3 => Just(Op::FinishSyncs),
        2 => any::<bool>().prop_map(|clean| Op::Restart { clean }),
        2 => (0..3usize, any::<bool>()).prop_map(|(kept, torn)| Op::LosePower { kept, torn }),
    ]
}

/// The naive log.
#[derive(Clone, Default)]
struct Naive {
    batches: Vec<RecordBatch>,
    epochs: Vec<(i32, i64)>,
    start: i64,
    hw: i64,
    leo: i64,
}

impl Naive {
    fn push(&mut self, batch: RecordBatch) {
        self.begin_epoch(batch.leader_epoch.0, batch.base_offset.0);
        self.leo = batch.end_offset().0;
        self.batches.push(batch);
    }

    fn begin_epoch(&mut self, epoch: i32, start: i64) {
        if self
            .epochs
            .last()
            .is_none_or(|e| e.0 != epoch || start < e.1)
        {
            self.epochs.retain(|e| e.0 < epoch && e.1 < start);
            self.epochs.push((epoch, start));
        }
    }

    fn truncate(&mut self, to: i64) {
        self.leo = self.leo.min(to);
        self.batches.retain(|b| b.end_offset().0 <= to);
        self.epochs.retain(|e| e.1 < self.leo);
        self.start = self.start.min(self.leo);
        self.hw = self.hw.min(self.leo);
    }

    fn move_start(&mut self, to: i64) {
        self.start = to;
        let in_force = self.epochs.iter().rfind(|e| e.1 <= to).copied();
        self.epochs.retain(|e| e.1 > to);
        if let Some((epoch, _)) = in_force {
            self.epochs.insert(0, (epoch, to));
        }
    }
}

/// The log, the naive log, and what was checkpointed.
struct Both {
    machine: Machine,
    naive: Naive,
    epoch: i32,
    saved: (i64, i64, i64),
    /// What is known of producers may come from a snapshot that was folded from here only. The log's start may be earlier
    /// again since then: a restart takes it from its checkpoint, however old (L-35).
    folded_from: i64,
    /// Segments were given up: what is known of producers outlives their records (KIP-360).
    outlives: bool,
}

impl Both {
    fn new() -> Both {
        Both {
            machine: Machine::new(segments_of(400)),
            naive: Naive::default(),
            epoch: 0,
            saved: (0, 0, 0),
            folded_from: 0,
            outlives: false,
        }
    }

    fn at(&self, part: u32) -> i64 {
        let span = self.naive.leo - self.naive.start;
        self.naive.start + span * i64::from(part) / 100
    }

    fn append(&mut self, data: &Arc<BatchData>) {
        let origin = match data.marker() {
            Some(_) => Origin::Marker {
                transaction_version: 1,
            },
            None => Origin::CLIENT,
        };
        let epoch = LeaderEpoch(self.epoch);
        let appended = self
            .machine
            .act(|log, out| log.append_as_leader(data, epoch, origin, NOW, out));
        self.naive.begin_epoch(self.epoch, self.naive.leo);
        if let Ok(Appended::Written(batch)) = appended {
            self.naive.push(batch);
        }
    }

    /// The next batch of a producer, as its own log tells.
    fn next(&self, producer: i64) -> (i16, i32) {
        let known = self.machine.log.producers.entries();
        known.get(&ProducerId(producer)).map_or((0, 0), |entry| {
            let next = entry.batches.last().map_or(0, |b| b.last_sequence + 1);
            (entry.epoch.map_or(0, |e| e.0), next)
        })
    }

    fn act(&mut self, op: &Op) {
        match *op {
            Op::Lead => {
                self.epoch += 1;
                let epoch = LeaderEpoch(self.epoch);
                self.machine.act(|log, out| log.begin_epoch(epoch, out));
                self.naive.begin_epoch(self.epoch, self.naive.leo);
            }
            Op::Append(count) => self.append(&plain(count)),
            Op::Idempotent {
                producer,
                count,
                bump,
            } => {
                let (epoch, next) = self.next(producer);
                match bump {
                    true => self.append(&idempotent(producer, epoch + 1, 0, count)),
                    false => self.append(&idempotent(producer, epoch, next, count)),
                }
            }
            Op::Transactional { producer, count } => {
                let (epoch, next) = self.next(producer);
                self.append(&transactional(producer, epoch, next, count));
            }
            Op::Marker { producer, commit } => {
                let (epoch, _) = self.next(producer);
                self.append(&marker(producer, epoch, commit));
            }
            Op::Copy { gap, count } => self.copy(gap, count),
            Op::Truncate(part) => {
                let to = self.at(part);
                if truncate(&mut self.machine, to) {
                    self.fold_producers();
                }
                self.naive.truncate(to);
                // As the log manager does after a truncation.
                self.checkpoint_recovery_point();
            }
            Op::AdvanceHw(part) => {
                let to = self.at(part);
                self.machine.act(|log, out| log.advance_hw(Offset(to), out));
                self.naive.hw = self.naive.hw.max(to);
            }
            Op::SetHw(part) => {
                let to = self.at(part);
                self.machine.act(|log, out| log.set_hw(Offset(to), out));
                self.naive.hw = to;
            }
            Op::MoveStart(part) => {
                let to = self.at(part).min(self.naive.hw);
                let moved = self
                    .machine
                    .act(|log, out| log.increment_log_start(Offset(to), out));
                if moved == Ok(true) {
                    self.naive.move_start(to);
                }
            }
            Op::StartOver(at) => {
                self.machine
                    .act(|log, out| log.truncate_fully_and_start_at(Offset(at), NOW, out));
                self.naive = Naive {
                    start: at,
                    hw: at,
                    leo: at,
                    ..Naive::default()
                };
                self.folded_from = at;
                self.outlives = false;
                self.machine.checkpoint();
                self.save();
            }
            Op::Retain(keep) => self.retain(keep),
            Op::Flush => self.machine.act(|log, out| log.flush(out)),
            Op::Checkpoint => {
                self.machine.checkpoint();
                self.save();
            }
            Op::FinishSyncs => self.machine.finish_syncs(),
            Op::Restart { clean: true } => {
                self.machine.stop_cleanly();
                self.save();
                self.restart();
            }
            Op::Restart { clean: false } => self.restart(),
            Op::LosePower { kept, torn } => {
                self.machine.disk.lose_power(kept, torn);
                self.restart();
            }
        }
    }

    /// L-20, L-22 and L-24 in their own words: whole segments at the front, first those below the log start, then as long as
    /// `keep` bytes are left; none that reaches the high watermark; a new one if all go.
    fn retain(&mut self, keep: i64) {
        let mut files = self.machine.disk.segments();
        let size =
            |batches: &[RecordBatch]| batches.iter().map(|b| i64::from(b.data.size)).sum::<i64>();
        let mut left: i64 = files.iter().map(|(_, batches, _)| size(batches)).sum();
        let mut first = 0;
        while first + 1 < files.len() && files[first + 1].0.0 <= self.naive.start {
            left -= size(&files[first].1);
            first += 1;
        }
        files.drain(..first);
        let mut upto = files[0].0.0;
        for (index, (_, batches, _)) in files.iter().enumerate() {
            let next = files.get(index + 1).map(|f| f.0.0);
            let end = next.unwrap_or(self.naive.leo);
            let rest = left - size(batches);
            if rest < keep || end > self.naive.hw || (next.is_none() && batches.is_empty()) {
                break;
            }
            (left, upto) = (rest, end);
        }
        let config = LogConfig {
            retention_bytes: keep,
            ..segments_of(400)
        };
        self.machine.act(|log, out| {
            log.set_config(config);
            log.delete_old_segments(NOW, out);
            log.set_config(segments_of(400));
        });
        self.naive.batches.retain(|b| b.base_offset.0 >= upto);
        let first = self.naive.batches.first();
        self.outlives |= first.is_none_or(|b| b.base_offset.0 != 0);
        if upto > self.naive.start {
            self.naive.move_start(upto);
        }
    }

    fn copy(&mut self, gap: i64, count: u32) {
        let batch = RecordBatch {
            base_offset: Offset(self.naive.leo + gap),
            leader_epoch: LeaderEpoch(self.epoch),
            data: plain(count),
        };
        let epoch = LeaderEpoch(self.epoch);
        let taken = self
            .machine
            .act(|log, out| log.append_as_follower(&batch, epoch, NOW, out));
        assert_eq!(taken, Ok(true));
        self.naive.push(batch);
    }

    fn save(&mut self) {
        let log = &self.machine.log;
        let kept_start = match log.log_start > log.segments.first_base() {
            true => log.log_start.0,
            false => 0,
        };
        self.saved = (log.hw.0, log.recovery_point().0, kept_start);
    }

    fn checkpoint_recovery_point(&mut self) {
        let file = manager::checkpoint_recovery_points([&self.machine.log].into_iter());
        self.machine.disk.carry_out(vec![file]);
        self.saved.1 = self.machine.log.recovery_point().0;
    }

    /// What is left, by L-36's own words: every segment's batches up to the first torn one that recovery looks at; the
    /// epoch file, and later epochs of batches that recovery reads, cut to the log's end.
    fn restart(&mut self) {
        let clean = self.machine.disk.files.contains_key(&FileId::CleanShutdown);
        let (hw, recovery_point, start) = self.saved;
        let files = self.machine.disk.segments();
        let first_unflushed = files.iter().rposition(|f| f.0.0 <= recovery_point);
        let mut naive = Naive {
            start: files[0].0.0,
            epochs: self.epochs_on_disk(),
            ..Naive::default()
        };
        for (index, (base, batches, torn)) in files.into_iter().enumerate() {
            naive.leo = base.0;
            let is_read = !clean && index >= first_unflushed.unwrap_or(0);
            for batch in batches {
                naive.leo = batch.end_offset().0;
                let latest = naive.epochs.last().map_or(-1, |e| e.0);
                if is_read && batch.leader_epoch.0 > latest {
                    naive.begin_epoch(batch.leader_epoch.0, batch.base_offset.0);
                }
                naive.batches.push(batch);
            }
            if is_read && torn {
                break;
            }
        }
        if naive.leo < start {
            naive = Naive::default();
            naive.leo = start;
        }
        naive.epochs.retain(|e| e.1 < naive.leo);
        naive.move_start(start.max(naive.start));
        naive.hw = hw.max(naive.start).min(naive.leo);
        self.naive = naive;
        self.machine.start();
        self.fold_producers();
    }

    /// The producers' state was folded anew, from the log start or from a snapshot that was.
    fn fold_producers(&mut self) {
        self.folded_from = self.folded_from.max(self.machine.log.log_start.0);
    }

    fn epochs_on_disk(&self) -> Vec<(i32, i64)> {
        match self.machine.disk.files.get(&FileId::LeaderEpochs(ID)) {
            Some(FileImage::Small(SmallFile::LeaderEpochs(entries))) => {
                let pair = |e: &EpochEntry| (e.epoch.0, e.start_offset.0);
                entries.iter().map(pair).collect()
            }
            _ => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (log, naive) = (&self.machine.log, &self.naive);
        prop_assert!(log.batches().eq(naive.batches.iter()));
        let offsets = (log.log_start.0, log.hw.0, log.leo.0);
        prop_assert_eq!(offsets, (naive.start, naive.hw, naive.leo));
        let epochs = log.epochs.entries().iter();
        let epochs: Vec<_> = epochs.map(|e| (e.epoch.0, e.start_offset.0)).collect();
        prop_assert_eq!(epochs, naive.epochs.clone());
        let written = self.machine.disk.segments().into_iter();
        let written: Vec<RecordBatch> = written.flat_map(|(_, batches, _)| batches).collect();
        prop_assert!(
            log.batches().eq(written.iter()),
            "memory is the fold of the files"
        );
        self.check_producers()
    }

    /// W12: what is known of producers is the fold of the log, up to the length of the windows. Only if the log starts with
    /// a segment, and did whenever it was folded: else a fold from the log start forgets what began below it.
    fn check_producers(&self) -> Result<(), TestCaseError> {
        let log = &self.machine.log;
        if log.log_start.0.max(self.folded_from) > log.segments.first_base().0 {
            return Ok(());
        }
        let mut fold = Producers::new(log.log_start);
        for batch in log.batches() {
            fold.update(batch);
        }
        fold.on_hw_updated(log.hw);
        if self.outlives {
            for (id, fold) in fold.entries() {
                let kept = log.producers.entries().get(id);
                prop_assert_eq!(kept.map(|k| k.epoch), Some(fold.epoch));
            }
            return Ok(());
        }
        prop_assert_eq!(log.producers.entries().len(), fold.entries().len());
        for (kept, fold) in log
            .producers
            .entries()
            .values()
            .zip(fold.entries().values())
        {
            prop_assert_eq!(kept.last_alone(), fold.last_alone());
            prop_assert!(fold.batches.ends_with(&kept.batches));
        }
        let aborted = |p: &Producers| p.aborted(log.log_start, log.leo);
        prop_assert_eq!(aborted(&log.producers), aborted(&fold));
        // A snapshot tells of open transactions, not of decided ones whose marker is above the high watermark.
        let or_end = |first: Option<Offset>| first.unwrap_or(log.leo);
        let open = fold
            .entries()
            .values()
            .filter_map(|e| e.current_txn_first_offset);
        let unstable = or_end(log.producers.first_unstable());
        prop_assert!(or_end(fold.first_unstable()) <= unstable);
        prop_assert!(unstable <= or_end(open.min()));
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_log_does_what_a_list_of_batches_does_and_its_disk_tells_the_same(
        ops in prop::collection::vec(any_op(), 1..60),
    ) {
        let mut both = Both::new();
        for op in &ops {
            both.act(op);
            both.check()?;
        }
        // Wherever it stands, a kill and a clean stop each lead to what the files say.
        both.act(&Op::Restart { clean: false });
        both.check()?;
        both.act(&Op::Restart { clean: true });
        both.check()?;
    }

    #[test]
    fn any_read_is_the_matching_part_of_the_list(
        counts in prop::collection::vec(1..4u32, 1..80),
        from in 0..200i64,
        upto in 0..200i64,
        max_bytes in 0..1_000i32,
    ) {
        let mut machine = Machine::new(segments_of(500));
        for count in &counts {
            machine.append(&plain(*count));
        }
        let (log, all) = (&machine.log, machine.log.batches().cloned().collect::<Vec<_>>());
        let segment = log.segment_of(Offset(from));
        let mut expected = Vec::new();
        let mut bytes = 0;
        for batch in all.iter().filter(|b| b.end_offset().0 > from && b.end_offset().0 <= upto) {
            bytes += batch.data.size as i32;
            let fits = bytes <= max_bytes || expected.is_empty();
            if !fits || log.segment_of(batch.base_offset) != segment {
                break;
            }
            expected.push(batch.clone());
        }
        prop_assert_eq!(log.read(Offset(from), Offset(upto), max_bytes), expected);
    }
}
