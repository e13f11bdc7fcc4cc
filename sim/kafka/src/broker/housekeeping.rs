//! What a broker does about old records by the clock: retention (Kafka's LogManager.cleanupLogs), files that vanish, and
//! compaction (its LogCleaner; one thread).

use super::{Broker, millis};
use crate::context::Context;
use crate::disk::{FileId, Write};
use crate::effect::Effect;
use crate::ids::{Offset, TopicIdPartition};
use crate::time::Time;
use crate::timer::BrokerTimer;

impl Broker {
    pub(super) fn begin_housekeeping(&mut self, cx: &mut Context<'_>) {
        let server = &self.standing.config.server;
        let first = millis(server.log_initial_task_delay_ms);
        self.again(BrokerTimer::Retention, first, cx);
    }

    /// L-20.
    pub(super) fn sweep(&mut self, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let renamed = self.replicas.delete_old_segments(cx.wall(), &mut out);
        self.carry_out(out, cx);
        self.let_vanish(renamed, cx.now());
        let server = &self.standing.config.server;
        let interval = millis(server.log_retention_check_interval_ms);
        self.again(BrokerTimer::Retention, interval, cx);
    }

    /// L-24: files that have their other name already.
    fn let_vanish(&mut self, renamed: Vec<(FileId, i64)>, now: Time) {
        for (file, delay) in renamed {
            self.vanishing.push((now + millis(delay), file));
        }
    }

    pub(super) fn next_vanishing(&self) -> Option<Time> {
        self.vanishing.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn delete_files(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let (due, later) = self.vanishing.drain(..).partition(|(at, _)| *at <= now);
        self.vanishing = later;
        let due: Vec<(Time, FileId)> = due;
        let delete = |(_, file)| Effect::Write(file, Write::Delete);
        self.carry_out(due.into_iter().map(delete).collect(), cx);
    }
}

/// Compaction (L-27).
impl Broker {
    /// The cleaner's thread begins to look, once there is a log to be compacted.
    pub(super) fn wake_cleaner(&mut self, cx: &mut Context<'_>) {
        if self.replicas.has_compacted() {
            let rest = millis(self.standing.config.server.log_cleaner_backoff_ms);
            self.again(BrokerTimer::Cleaner, rest, cx);
        }
    }

    /// The cleaner looks for the dirtiest log, and for old segments of compacted logs. While a round is under way it does
    /// nothing else; it rests when there is nothing to do.
    pub(super) fn clean(&mut self, cx: &mut Context<'_>) {
        if self.replicas.is_cleaning() {
            return;
        }
        let mut out = self.buffer();
        self.replicas.clean_dirtiest(cx.wall(), &mut out);
        let has_begun = self.replicas.is_cleaning();
        let renamed = self.replicas.delete_old_compacted(cx.wall(), &mut out);
        self.carry_out(out, cx);
        self.let_vanish(renamed, cx.now());
        if !has_begun {
            self.wake_cleaner(cx);
        }
    }

    /// A file of the round is synced. When the round is over, the cleaner looks on at once.
    pub(super) fn cleaned(&mut self, id: TopicIdPartition, base: Offset, cx: &mut Context<'_>) {
        let mut out = self.buffer();
        let (is_over, renamed) = self.replicas.cleaned(id, base, &mut out);
        self.carry_out(out, cx);
        self.let_vanish(renamed, cx.now());
        if is_over || !self.replicas.is_cleaning() {
            self.clean(cx);
        }
    }
}
