//! klab's protocol on Kafka's wire: every request and response goes through the bytes of the crate `kafka-protocol`, which was
//! made from Kafka's schemas by others, and comes back as it was. What klab leaves out of Kafka's schemas stands in one place.

#[path = "wire_probe/admin.rs"]
mod admin;
#[path = "wire_probe/batches.rs"]
mod batches;
#[path = "wire_probe/convert.rs"]
mod convert;
#[path = "wire_probe/data.rs"]
mod data;
#[path = "wire_probe/fields.rs"]
mod fields;
#[path = "wire_probe/left_out.rs"]
mod left_out;
#[path = "wire_probe/servers.rs"]
mod servers;
#[path = "wire_probe/values.rs"]
mod values;

use batches::{Batches, written};
use bytes::{Bytes, BytesMut};
use convert::Wire;
use fields::Fields;
use kafka_protocol::messages as k;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use kafka_protocol::records::RecordBatchDecoder;
use klab_kafka::ids::{LeaderEpoch, Offset};
use klab_kafka::log::batch::{BatchData, RecordBatch};
use klab_kafka::protocol::{Api, Request, Response};
use klab_kafka::time::Duration;
use klab_world::network::Body;
use left_out::{LEFT_OUT, version};
use servers::{BeginQuorumEpochResponse, EndQuorumEpochResponse};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use tests::{Cluster, Setting};
use values::Dice;

/// The version of the header before an enveloped message: all that are enveloped have tagged fields.
const ENVELOPED_REQUEST_HEADER: i16 = 2;
const ENVELOPED_RESPONSE_HEADER: i16 = 1;

/// The bytes of a message; what it says is noted.
fn encode<M: Encodable + Debug>(message: &M, version: i16, fields: &mut Fields) -> Bytes {
    fields.see(&format!("{message:?}"));
    let mut bytes = BytesMut::new();
    message
        .encode(&mut bytes, version)
        .expect("Kafka has a place for it");
    assert_eq!(bytes.len(), message.compute_size(version).expect("a size"));
    bytes.freeze()
}

/// A message from its bytes, all of them.
fn decode<M: Decodable>(bytes: &mut Bytes, version: i16) -> M {
    let message = M::decode(bytes, version).expect("it was written so");
    assert!(bytes.is_empty(), "bytes are left");
    message
}

fn out<W: Wire>(ours: &W, api: Api, fields: &mut Fields) -> Bytes
where
    W::Kafka: Debug,
{
    encode(&ours.to_kafka(), version(api), fields)
}

fn back<W: Wire>(api: Api, mut bytes: Bytes, batches: &Batches) -> W {
    W::of_kafka(decode(&mut bytes, version(api)), batches)
}

/// One arm for each API whose request and response have one type each in klab and in Kafka.
macro_rules! apis {
    ($($name:ident),* ; $($request_only:ident),*) => {
        const APIS: &[Api] = &[$(Api::$name,)* $(Api::$request_only,)* Api::Envelope];

        fn request_out(request: &Request, fields: &mut Fields) -> Bytes {
            match request {
                $(Request::$name(r) => out(r, Api::$name, fields),)*
                $(Request::$request_only(r) => out(r, Api::$request_only, fields),)*
                Request::Envelope(inner) => request_enveloped(inner, fields),
            }
        }

        fn request_back(api: Api, bytes: Bytes, batches: &Batches) -> Request {
            match api {
                $(Api::$name => Request::$name(back(api, bytes, batches)),)*
                $(Api::$request_only => Request::$request_only(back(api, bytes, batches)),)*
                Api::Envelope => request_unwrapped(bytes, batches),
            }
        }

        fn response_out(response: &Response, fields: &mut Fields) -> Bytes {
            match response {
                $(Response::$name(r) => out(r, Api::$name, fields),)*
                Response::BeginQuorumEpoch(r) => {
                    out(&BeginQuorumEpochResponse(r.clone()), Api::BeginQuorumEpoch, fields)
                }
                Response::EndQuorumEpoch(r) => {
                    out(&EndQuorumEpochResponse(r.clone()), Api::EndQuorumEpoch, fields)
                }
                Response::Envelope(inner) => response_enveloped(inner, fields),
            }
        }

        /// `asked`: what the answer in an envelope answers, which only the asker knows.
        fn response_back(api: Api, asked: Api, bytes: Bytes, batches: &Batches) -> Response {
            match api {
                $(Api::$name => Response::$name(back(api, bytes, batches)),)*
                Api::BeginQuorumEpoch => {
                    let BeginQuorumEpochResponse(r) = back(api, bytes, batches);
                    Response::BeginQuorumEpoch(r)
                }
                Api::EndQuorumEpoch => {
                    let EndQuorumEpochResponse(r) = back(api, bytes, batches);
                    Response::EndQuorumEpoch(r)
                }
                Api::Envelope => response_unwrapped(asked, bytes, batches),
            }
        }
    };
}

apis!(
    Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, Metadata, InitProducerId, CreateTopics,
    DeleteTopics, CreatePartitions, ElectLeaders, DescribeConfigs, IncrementalAlterConfigs,
    DeleteRecords, BrokerRegistration, BrokerHeartbeat, AlterPartition, AllocateProducerIds, Vote ;
    BeginQuorumEpoch, EndQuorumEpoch
);

fn request_enveloped(inner: &Request, fields: &mut Fields) -> Bytes {
    let api = inner.api();
    let header = k::RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version(api));
    let mut data = BytesMut::new();
    header
        .encode(&mut data, ENVELOPED_REQUEST_HEADER)
        .expect("a header");
    data.extend(request_out(inner, fields));
    let envelope = k::EnvelopeRequest::default().with_request_data(data.freeze());
    encode(&envelope, version(Api::Envelope), fields)
}

fn request_unwrapped(mut bytes: Bytes, batches: &Batches) -> Request {
    let envelope: k::EnvelopeRequest = decode(&mut bytes, version(Api::Envelope));
    let mut data = envelope.request_data;
    let header = k::RequestHeader::decode(&mut data, ENVELOPED_REQUEST_HEADER).expect("a header");
    let api = APIS
        .iter()
        .find(|api| **api as i16 == header.request_api_key);
    let api = *api.expect("one of klab's");
    assert_eq!(header.request_api_version, version(api));
    Request::Envelope(Box::new(request_back(api, data, batches)))
}

fn response_enveloped(
    inner: &Result<Box<Response>, klab_kafka::protocol::ErrorCode>,
    fields: &mut Fields,
) -> Bytes {
    let envelope = match inner {
        Ok(response) => {
            let mut data = BytesMut::new();
            let header = k::ResponseHeader::default();
            header
                .encode(&mut data, ENVELOPED_RESPONSE_HEADER)
                .expect("a header");
            data.extend(response_out(response, fields));
            k::EnvelopeResponse::default().with_response_data(Some(data.freeze()))
        }
        Err(error) => k::EnvelopeResponse::default().with_error_code(error.code()),
    };
    encode(&envelope, version(Api::Envelope), fields)
}

fn response_unwrapped(asked: Api, mut bytes: Bytes, batches: &Batches) -> Response {
    let envelope: k::EnvelopeResponse = decode(&mut bytes, version(Api::Envelope));
    let Some(mut data) = envelope.response_data else {
        return Response::Envelope(Err(convert::error(envelope.error_code)));
    };
    k::ResponseHeader::decode(&mut data, ENVELOPED_RESPONSE_HEADER).expect("a header");
    let inner = response_back(asked, asked, data, batches);
    Response::Envelope(Ok(Box::new(inner)))
}

fn probe_request(request: &Request, fields: &mut Fields) {
    let bytes = request_out(request, fields);
    let came = request_back(request.api(), bytes, &Batches::of_request(request));
    assert_eq!(&came, request);
}

fn probe_response(response: &Response, fields: &mut Fields) {
    let asked = match response {
        Response::Envelope(Ok(inner)) => inner.api(),
        other => other.api(),
    };
    let bytes = response_out(response, fields);
    let batches = Batches::of_response(response);
    let came = response_back(response.api(), asked, bytes, &batches);
    assert_eq!(&came, response);
}

/// How many messages of each kind are made up.
const SEEDS: u64 = 200;

#[test]
fn every_message_comes_back_from_kafkas_bytes_as_it_was_and_what_is_left_out_is_listed() {
    let mut fields = Fields::default();
    assert_eq!(APIS.len(), 21);
    for api in APIS {
        for seed in 0..SEEDS {
            let mut dice = Dice(seed << 8 | *api as u64);
            probe_request(&values::request(*api, &mut dice), &mut fields);
            probe_response(&values::response(*api, &mut dice), &mut fields);
        }
    }
    let everywhere = |field: &&str| {
        let always = [".unknown_tagged_fields", ".throttle_time_ms"];
        always.iter().any(|end| field.ends_with(end))
    };
    let mut unsaid = fields.unsaid();
    unsaid.retain(|field| !everywhere(field));
    let listed = LEFT_OUT
        .iter()
        .flat_map(|(_, fields)| fields.iter().copied());
    assert_eq!(unsaid, listed.collect());
}

/// Whether a message carries the metadata log's batches, which have no bytes here.
fn is_metadata(response: &Response) -> bool {
    let Response::Fetch(r) = response else {
        return false;
    };
    let partitions = r.topics.iter().flat_map(|t| &t.partitions);
    let mut batches = partitions.flat_map(|p| &p.records);
    batches.any(|batch| batch.encode().is_none())
}

#[test]
fn every_message_of_a_run_comes_back_as_it_was() {
    let mut c = Setting::default().sends(200, 50).begin();
    let first = c.leader().expect("ready");
    let mut seen = Seen::default();
    seen.watch(&mut c, Duration::secs(3));
    c.crash(first);
    seen.watch(&mut c, Duration::secs(12));
    c.restart(first);
    seen.watch(&mut c, Duration::secs(12));
    let active = c.active_controller().expect("there is one");
    c.stop(active);
    seen.watch(&mut c, Duration::secs(6));
    for api in [
        Api::Produce,
        Api::Fetch,
        Api::Metadata,
        Api::BrokerHeartbeat,
        Api::AlterPartition,
        Api::Vote,
        Api::EndQuorumEpoch,
    ] {
        assert!(seen.requests.contains_key(&api), "no {api:?} was under way");
        assert!(seen.responses.contains_key(&api), "no {api:?} was answered");
    }
    assert!(seen.metadata > 0, "the metadata log was fetched");
}

/// Messages that were under way, by API.
#[derive(Default)]
struct Seen {
    requests: BTreeMap<Api, u64>,
    responses: BTreeMap<Api, u64>,
    /// Answers with batches of the metadata log.
    metadata: u64,
    /// The newest record of a sending that was looked at.
    upto: u64,
}

impl Seen {
    fn watch(&mut self, c: &mut Cluster, time: Duration) {
        let until = c.world.now() + time;
        while c.world.now() < until && c.world.step() {
            self.look(c);
        }
    }

    fn look(&mut self, c: &Cluster) {
        let view = c.view();
        let pipes = view.network().connections();
        let messages = pipes.flat_map(|(_, conn)| {
            let both = [&conn.to_server, &conn.to_client];
            both.map(|pipe| pipe.messages.iter()).into_iter().flatten()
        });
        let mut newest = self.upto;
        let mut fields = Fields::default();
        for message in messages.filter(|message| message.cause > self.upto) {
            newest = newest.max(message.cause);
            match &message.body {
                Body::Request { request, .. } => {
                    *self.requests.entry(request.api()).or_default() += 1;
                    probe_request(request, &mut fields);
                }
                Body::Response { response, .. } if is_metadata(response) => self.metadata += 1,
                Body::Response { response, .. } => {
                    *self.responses.entry(response.api()).or_default() += 1;
                    probe_response(response, &mut fields);
                }
                _ => {}
            }
        }
        self.upto = newest;
    }
}

#[test]
fn others_read_from_klabs_batches_the_records_that_were_put_in() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let records = dice.records();
        let batch = RecordBatch {
            base_offset: Offset(1_000),
            leader_epoch: LeaderEpoch(7),
            data: Arc::new(BatchData::of_records(&records, None)),
        };
        let read = RecordBatchDecoder::decode(&mut written(&[batch])).expect("a good batch");
        assert_eq!(read.records.len(), records.len());
        for (at, (ours, theirs)) in (1_000..).zip(records.iter().zip(&read.records)) {
            assert_eq!(theirs.offset, at);
            assert_eq!(theirs.partition_leader_epoch, 7);
            assert_eq!(theirs.timestamp, ours.timestamp.0);
            assert_eq!(theirs.key, ours.key);
            assert_eq!(theirs.value, ours.value);
            // Theirs is a map: of headers with one key the last.
            let headers: BTreeMap<&[u8], _> =
                ours.headers.iter().map(|(k, v)| (&k[..], v)).collect();
            assert_eq!(theirs.headers.len(), headers.len());
            for (key, value) in &theirs.headers {
                assert_eq!(headers[key.as_bytes()], value);
            }
        }
    }
}

#[test]
fn both_speak_the_same_versions_but_for_one() {
    let differing = APIS.iter().filter(|api| api.version() != version(**api));
    let differing: Vec<&Api> = differing.collect();
    assert_eq!(differing, [&Api::ListOffsets]);
    for api in APIS {
        let key = ApiKey::try_from(*api as i16).expect("one of Kafka's");
        let newest = match api {
            // Its table of APIs counts the version that is not stable.
            Api::InitProducerId => k::InitProducerIdRequest::VERSIONS.max,
            _ => key.valid_versions().max,
        };
        assert_eq!(newest, version(*api), "{api:?}");
    }
}
