//! Producer ids for idempotent producers: Kafka's RPCProducerIdManager (P-16). Each broker gives out ids of a block that the
//! controller gave to it alone, so no id is ever given twice.

use crate::ids::{BrokerEpoch, NodeId, ProducerId};
use crate::protocol::cluster::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use crate::time::Timestamp;
use serde::Serialize;

/// The pause after a failed request for a block.
const RETRY_BACKOFF_MS: i64 = 50;

/// A broker's stock of producer ids.
#[derive(Clone, Debug, Serialize)]
pub struct ProducerIds {
    current: Block,
    next: Option<Block>,
    /// A block was asked for and is not in use yet.
    asked: bool,
    /// No block is asked for before this, by the wall clock.
    wait_until: Option<Timestamp>,
}

/// Ids from `next_id` up to `first + len`.
#[derive(Clone, Copy, Debug, Serialize)]
struct Block {
    first: i64,
    len: i64,
    next_id: i64,
}

impl Block {
    fn new(first: i64, len: i64) -> Block {
        Block {
            first,
            len,
            next_id: first,
        }
    }

    fn claim(&mut self) -> Option<i64> {
        let id = self.next_id;
        (id < self.first + self.len).then(|| {
            self.next_id += 1;
            id
        })
    }

    /// The id with which nine tenths of the block are gone: the next block is asked for then.
    fn prefetch_at(&self) -> i64 {
        self.first + self.len * 9 / 10
    }
}

impl Default for ProducerIds {
    fn default() -> ProducerIds {
        ProducerIds {
            current: Block::new(0, 0),
            next: None,
            asked: false,
            wait_until: None,
        }
    }
}

impl ProducerIds {
    /// The next id, or none until a block has come: the client is told COORDINATOR_LOAD_IN_PROGRESS and tries again.
    /// The flag says that a block is to be asked for.
    pub fn generate(&mut self, now: Timestamp) -> (Option<ProducerId>, bool) {
        if let Some(id) = self.current.claim() {
            let ask = id == self.current.prefetch_at() && self.should_ask(now);
            return (Some(ProducerId(id)), ask);
        }
        match self.next.take() {
            Some(block) => {
                self.current = block;
                self.asked = false;
                self.generate(now)
            }
            None => (None, self.should_ask(now)),
        }
    }

    fn should_ask(&mut self, now: Timestamp) -> bool {
        if self.asked || self.next.is_some() || self.wait_until.is_some_and(|until| now < until) {
            return false;
        }
        self.asked = true;
        self.wait_until = None;
        true
    }

    /// The question to the controller.
    pub fn request(node: NodeId, broker_epoch: BrokerEpoch) -> AllocateProducerIdsRequest {
        AllocateProducerIdsRequest {
            broker_id: node,
            broker_epoch,
        }
    }

    /// The controller answered.
    pub fn allocated(&mut self, response: &AllocateProducerIdsResponse, now: Timestamp) {
        if !response.error_code.is_none() {
            self.asked = false;
            self.wait_until = Some(Timestamp(now.0 + RETRY_BACKOFF_MS));
            return;
        }
        let len = i64::from(response.producer_id_len);
        let start = response.producer_id_start.0;
        assert!(
            start >= self.current.first + self.current.len || self.current.len == 0,
            "blocks of producer ids ascend"
        );
        self.next = Some(Block::new(start, len));
    }

    /// The question could not be asked in time.
    pub fn timed_out(&mut self) {
        self.asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    const NOW: Timestamp = Timestamp(1_000);

    fn block(start: i64) -> AllocateProducerIdsResponse {
        AllocateProducerIdsResponse {
            error_code: ErrorCode::None,
            producer_id_start: ProducerId(start),
            producer_id_len: 1_000,
        }
    }

    #[test]
    fn without_a_block_there_is_no_id_and_a_block_is_asked_for_once() {
        let mut ids = ProducerIds::default();
        assert_eq!(ids.generate(NOW), (None, true));
        assert_eq!(ids.generate(NOW), (None, false));
        ids.allocated(&block(4_000), NOW);
        assert_eq!(ids.generate(NOW), (Some(ProducerId(4_000)), false));
    }

    #[test]
    fn the_next_block_is_asked_for_when_nine_tenths_are_gone() {
        // P-16.
        let mut ids = ProducerIds::default();
        ids.generate(NOW);
        ids.allocated(&block(0), NOW);
        let asks: Vec<i64> = (0..1_000)
            .filter(|n| ids.generate(NOW) == (Some(ProducerId(*n)), true))
            .collect();
        assert_eq!(asks, [900]);
        ids.allocated(&block(7_000), NOW);
        assert_eq!(ids.generate(NOW), (Some(ProducerId(7_000)), false));
    }

    #[test]
    fn after_an_error_it_asks_again_only_50_ms_later() {
        let mut ids = ProducerIds::default();
        ids.generate(NOW);
        let refused = AllocateProducerIdsResponse {
            error_code: ErrorCode::StaleBrokerEpoch,
            ..block(0)
        };
        ids.allocated(&refused, NOW);
        assert_eq!(ids.generate(Timestamp(1_049)), (None, false));
        assert_eq!(ids.generate(Timestamp(1_050)), (None, true));
    }
}
