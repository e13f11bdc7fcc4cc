//! Configs as a broker sees them: it describes what it knows itself (Kafka's ConfigHelper), and looks at changes of its own
//! settings before it forwards them (ConfigAdminManager), since only it knows what it takes at runtime.
//!
//! Left out: loggers, groups, metrics.

use crate::config::layers::{Layers, check_dynamic};
use crate::controller::configs::{Refusal, result};
use crate::controller::image::Image;
use crate::protocol::ErrorCode;
use crate::protocol::admin::*;
use std::collections::BTreeSet;

/// What remains to be forwarded of a request, and what is refused here already.
pub fn preprocess(
    request: IncrementalAlterConfigsRequest,
    layers: Layers<'_>,
) -> (IncrementalAlterConfigsRequest, Vec<AlterConfigsResult>) {
    let all = request.resources.clone();
    let mut refused = Vec::new();
    let mut remaining = request;
    remaining.resources.retain(|r| {
        let twice = all.iter().filter(|o| o.resource == r.resource).count() > 1;
        let refusal = match twice {
            true => Some((
                ErrorCode::InvalidRequest,
                "Each resource must appear at most once.",
            )),
            false => check(r, layers).err(),
        };
        if refusal.is_some() {
            refused.push(result(r.resource.clone(), refusal));
        }
        refusal.is_none()
    });
    (remaining, refused)
}

fn check(r: &AlterConfigsResource, layers: Layers<'_>) -> Result<(), Refusal> {
    let invalid = |words| (ErrorCode::InvalidRequest, words);
    let keys: BTreeSet<_> = r.configs.iter().map(|(key, _)| key).collect();
    if keys.len() < r.configs.len() {
        return Err(invalid("Error due to duplicate config keys"));
    }
    match &r.resource {
        ConfigResource::Topic(_) => Ok(()),
        ConfigResource::Broker(broker) if *broker != layers.node => {
            Err(invalid("Unexpected broker id"))
        }
        ConfigResource::Broker(_) | ConfigResource::AllBrokers => {
            let mut configs = r.configs.iter();
            let checked = configs.try_for_each(|(k, v)| check_dynamic(k, v.as_deref()));
            checked.map_err(invalid)
        }
    }
}

/// DescribeConfigs: of any topic, of all brokers, of this one.
pub fn describe(
    request: &DescribeConfigsRequest,
    layers: Layers<'_>,
    image: &Image,
) -> DescribeConfigsResponse {
    let describe = |resource: &ConfigResource| {
        let described = match resource {
            ConfigResource::Topic(name) => {
                let topic = image.names.get(name).and_then(|id| image.topics.get(id));
                topic
                    .map(|t| layers.describe_topic(&t.config))
                    .ok_or(ErrorCode::UnknownTopicOrPartition)
            }
            ConfigResource::AllBrokers => Ok(layers.describe_all_brokers()),
            ConfigResource::Broker(broker) if *broker == layers.node => Ok(layers.describe()),
            ConfigResource::Broker(_) => Err(ErrorCode::InvalidRequest),
        };
        DescribeConfigsResult {
            resource: resource.clone(),
            error_code: described.as_ref().err().copied().unwrap_or_default(),
            configs: described.unwrap_or_default(),
        }
    };
    DescribeConfigsResponse {
        results: request.resources.iter().map(describe).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;
    use crate::config::layers::DynamicConfigs;
    use crate::ids::NodeId;
    use std::sync::Arc;

    fn of(resource: ConfigResource, key: &str) -> AlterConfigsResource {
        let configs = vec![(Arc::from(key), Some(Arc::from("2000")))];
        AlterConfigsResource { resource, configs }
    }

    fn refused(resources: Vec<AlterConfigsResource>) -> (usize, Vec<ErrorCode>) {
        let (fixed, dynamic) = (ServerConfig::default(), DynamicConfigs::default());
        let layers = Layers {
            fixed: &fixed,
            dynamic: &dynamic,
            node: NodeId(1),
        };
        let request = IncrementalAlterConfigsRequest {
            resources,
            validate_only: false,
        };
        let (remaining, refused) = preprocess(request, layers);
        let errors = refused.iter().map(|r| r.error_code).collect();
        (remaining.resources.len(), errors)
    }

    #[test]
    fn a_broker_takes_changes_of_itself_and_of_all_that_it_can_take_while_it_runs() {
        let (me, other) = (
            ConfigResource::Broker(NodeId(1)),
            ConfigResource::Broker(NodeId(2)),
        );
        let all = ConfigResource::AllBrokers;
        let good = vec![
            of(me.clone(), "message.max.bytes"),
            of(all.clone(), "message.max.bytes"),
        ];
        assert_eq!(refused(good), (2, vec![]));
        let bad = vec![
            of(me, "broker.session.timeout.ms"),
            of(other, "message.max.bytes"),
            of(all, "num.partitions"),
        ];
        assert_eq!(refused(bad), (0, vec![ErrorCode::InvalidRequest; 3]));
    }

    #[test]
    fn a_resource_named_twice_is_not_changed_and_a_topic_is_left_to_the_controller() {
        let topic = || ConfigResource::Topic("orders".into());
        let twice = vec![of(topic(), "a"), of(topic(), "b")];
        assert_eq!(refused(twice), (0, vec![ErrorCode::InvalidRequest; 2]));
        assert_eq!(refused(vec![of(topic(), "no.such.key")]), (1, vec![]));
    }
}
