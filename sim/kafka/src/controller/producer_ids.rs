//! Blocks of producer ids: Kafka's ProducerIdControlManager. No id is given out twice, because the next block's first id is
//! committed before the block is handed over (P-16).

use crate::controller::cluster::Cluster;
use crate::controller::records::MetadataRecord;
use crate::decision::Decision;
use crate::ids::ProducerId;
use crate::protocol::ErrorCode;
use crate::protocol::cluster::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

/// How many ids a block holds.
const BLOCK: i32 = 1_000;

impl Cluster<'_> {
    /// A block for a broker.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH.
    pub fn allocate_producer_ids(
        &self,
        r: &AllocateProducerIdsRequest,
    ) -> Result<Decision<MetadataRecord, AllocateProducerIdsResponse>, ErrorCode> {
        self.check_broker_epoch(r.broker_id, r.broker_epoch)?;
        let first = self.image.next_producer_id;
        let record = MetadataRecord::ProducerIds {
            broker: r.broker_id,
            epoch: r.broker_epoch,
            next_producer_id: ProducerId(first.0 + i64::from(BLOCK)),
        };
        let response = AllocateProducerIdsResponse {
            error_code: ErrorCode::None,
            producer_id_start: first,
            producer_id_len: BLOCK,
        };
        Ok(Decision::new(vec![record], response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{Told, epoch_of};
    use crate::ids::{BrokerEpoch, NodeId};

    #[test]
    fn blocks_follow_one_another_once_they_are_replayed() {
        let mut told = Told::with_brokers(1);
        let request = AllocateProducerIdsRequest {
            broker_id: NodeId(1),
            broker_epoch: epoch_of(1),
        };
        let mut starts = Vec::new();
        for _ in 0..2 {
            let decision = told
                .cluster()
                .allocate_producer_ids(&request)
                .expect("its epoch is right");
            told.replay_all(&decision.records);
            starts.push(decision.response.producer_id_start.0);
        }
        assert_eq!(starts, [0, 1_000]);
    }

    #[test]
    fn an_old_incarnation_gets_no_block() {
        let told = Told::with_brokers(1);
        let request = AllocateProducerIdsRequest {
            broker_id: NodeId(1),
            broker_epoch: BrokerEpoch(3),
        };
        let refused = told.cluster().allocate_producer_ids(&request).err();
        assert_eq!(refused, Some(ErrorCode::StaleBrokerEpoch));
    }
}
