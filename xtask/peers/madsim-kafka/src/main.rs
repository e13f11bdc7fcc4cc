//! madsim-rdkafka under the same loads as `klab bench`: the peer of `cargo xtask bench --peers`.
//!
//! It is a mock: one broker object without replication, leaders or groups, and nobody reads `acks`. Prints one JSON line a case, of its
//! second run: the first is not timed, as in `klab bench`. Wall times are taken outside of `block_on`, because madsim replaces the
//! clock inside.

use madsim::runtime::{NodeHandle, Runtime};
use madsim_rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use madsim_rdkafka::consumer::BaseConsumer;
use madsim_rdkafka::producer::{BaseProducer, BaseRecord};
use madsim_rdkafka::{ClientConfig, SimBroker, TopicPartitionList};
use std::time::{Duration, Instant};

const BROKER: &str = "10.0.0.1:9092";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 100_000;
/// 60 virtual seconds of them.
const PACED: usize = 6_000;
const PAYLOAD: [u8; 100] = [7; 100];

fn main() {
    report("one record a batch", RECORDS, &|rt, client| flushed(rt, client, 1));
    report("100 records a batch", RECORDS, &|rt, client| flushed(rt, client, 100));
    report("100 records/s, one a batch", PACED, &paced);
}

/// Runs a case twice and prints the figures of the second time.
fn report(case: &str, records: usize, run: &dyn Fn(&Runtime, &NodeHandle)) {
    timed(run);
    let (wall, passed) = timed(run);
    println!(
        "{{\"case\":\"{case}\",\"records\":{records},\"wall_ns\":{wall},\"virtual_ns\":{passed}}}"
    );
}

/// Runs a case in a cluster of its own: wall and virtual time, in ns.
fn timed(run: &dyn Fn(&Runtime, &NodeHandle)) -> (u128, u128) {
    let rt = Runtime::with_seed_and_config(1, madsim::Config::default());
    rt.create_node().name("broker").ip("10.0.0.1".parse().unwrap()).build().spawn(async {
        SimBroker::default().serve(BROKER.parse().unwrap()).await.unwrap();
    });
    let client = rt.create_node().name("client").ip("10.0.1.1".parse().unwrap()).build();
    let ready = client.spawn(async {
        madsim::time::sleep(Duration::from_secs(1)).await;
        let admin: AdminClient<_> = config().create().await.unwrap();
        let topic = NewTopic::new("orders", PARTITIONS, TopicReplication::Fixed(1));
        admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    });
    rt.block_on(ready).unwrap();
    let (from, began) = (virtual_now(&rt), Instant::now());
    run(&rt, &client);
    (began.elapsed().as_nanos(), (virtual_now(&rt) - from).as_nanos())
}

fn virtual_now(rt: &Runtime) -> Duration {
    rt.block_on(async { madsim::time::TimeHandle::current().elapsed() })
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", BROKER).set("auto.offset.reset", "earliest");
    config
}

/// Writes, flushing every so many records; reads all when that is done.
fn flushed(rt: &Runtime, client: &NodeHandle, every: usize) {
    let writer = client.spawn(async move {
        let producer: BaseProducer = config().create().await.unwrap();
        for i in 0..RECORDS {
            send(&producer, i);
            if (i + 1) % every == 0 {
                producer.flush(None).await.unwrap();
            }
        }
    });
    rt.block_on(writer).unwrap();
    rt.block_on(client.spawn(read(RECORDS))).unwrap();
}

/// Writes a record each 10 virtual ms, while another node reads.
fn paced(rt: &Runtime, client: &NodeHandle) {
    let writer = client.spawn(async {
        let producer: BaseProducer = config().create().await.unwrap();
        let mut tick = madsim::time::interval(Duration::from_millis(10));
        for i in 0..PACED {
            tick.tick().await;
            send(&producer, i);
            producer.flush(None).await.unwrap();
        }
    });
    let reader = rt.create_node().name("reader").ip("10.0.2.1".parse().unwrap()).build();
    let reader = reader.spawn(read(PACED));
    rt.block_on(async {
        writer.await.unwrap();
        reader.await.unwrap();
    });
}

fn send(producer: &BaseProducer, i: usize) {
    let key = i.to_be_bytes();
    let record = BaseRecord::to("orders").key(&key[..]).payload(&PAYLOAD[..]);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

async fn read(records: usize) {
    let consumer: BaseConsumer = config().create().await.unwrap();
    let mut assigned = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assigned.add_partition("orders", partition);
    }
    consumer.assign(&assigned).unwrap();
    let mut read = 0;
    while read < records {
        match consumer.poll(None).await {
            Some(record) => {
                record.unwrap();
                read += 1;
            }
            None => madsim::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
