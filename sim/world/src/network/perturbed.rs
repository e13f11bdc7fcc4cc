//! Whatever is changed in the state of connections, alone, gives the run another hash.

use super::*;
use crate::perturbing::{each_is_seen, on_its_way};
use crate::world::World;
use klab_kafka::ids::NodeId;
use klab_kafka::protocol::Api;
use klab_kafka::protocol::metadata::{MetadataRequest, MetadataResponse};

const LINK: (ProcessId, ProcessId) = (ProcessId(0), ProcessId(1));

/// A connection with something under way to its server.
fn connection(w: &mut World) -> &mut Connection {
    let mut all = w.network.connections.iter_mut().map(|(_, c)| c);
    all.find(|c| !c.to_server.messages.is_empty())
        .expect("somebody asks something")
}

fn pipe(w: &mut World) -> &mut Pipe {
    &mut connection(w).to_server
}

fn message(w: &mut World) -> &mut Message {
    pipe(w).messages.front_mut().expect("it is not empty")
}

fn catch() -> Catch {
    Catch {
        id: 1,
        api: Api::Fetch,
        response: false,
        from: vec![LINK.0],
        to: vec![LINK.1],
        skip: 1,
        lose: false,
        spent: false,
    }
}

#[test]
fn any_field_of_the_network_changes_the_hash() {
    let world = on_its_way();
    let Network {
        connections: _,
        next: _,
        latency: _,
        bandwidth: _,
        link_free: _,
        cuts: _,
        holes: _,
        slow: _,
        catches: _,
        dark: _,
        spoils: _,
    } = &world.network;
    each_is_seen(
        &world,
        &[
            ("connections", |w| {
                let last = w.network.connections.iter().last();
                let (key, _) = last.expect("somebody is connected");
                w.network.connections.remove(key);
            }),
            ("next", |w| w.network.next += 1),
            ("latency.0", |w| w.network.latency.0 += 1),
            ("latency.1", |w| w.network.latency.1 += 1),
            ("bandwidth", |w| w.network.bandwidth = Some(1)),
            ("link_free", |w| {
                w.network.link_free.insert(LINK, Time(1));
            }),
            ("cuts", |w| {
                w.network.cuts.insert(LINK, 1);
            }),
            ("two cuts", |w| {
                w.network.cuts.insert(LINK, 2);
            }),
            ("holes", |w| {
                w.network.holes.insert(LINK, 1);
            }),
            ("slow", |w| {
                w.network.slow.insert(LINK, 2);
            }),
            ("catches", |w| w.network.catches.push(catch())),
            ("dark", |w| {
                w.network.dark.insert(LINK.0);
            }),
            ("tail", |w| {
                let (ppm, upto) = (1, 1);
                w.network.set_tail(Some(harm::Tail { ppm, upto }));
            }),
            ("loss", |w| w.network.set_loss(1)),
            ("a link's latency", |w| {
                w.network.set_link(LINK.0, LINK.1, Some((1, 2)), None)
            }),
            ("a link's bandwidth", |w| {
                w.network.set_link(LINK.0, LINK.1, None, Some(1))
            }),
            ("a card", |w| w.network.set_card(LINK.0, 1)),
            ("lossy", |w| w.network.shed(LINK.0, LINK.1, 1)),
            ("clogged", |w| w.network.clog(LINK.0, LINK.1)),
            ("refusing", |w| w.network.refuse(LINK.0)),
            ("waylays", |w| w.network.wait_for(waylay())),
            ("accepting", |w| {
                w.network.accept_later(LINK.0, Duration::millis(1))
            }),
        ],
    );
}

fn waylay() -> harm::Waylay {
    harm::Waylay {
        id: 1,
        api: Api::Fetch,
        from: vec![LINK.0],
        to: vec![LINK.1],
        skip: 1,
        take: 1,
        deed: Deed::Answer(ErrorCode::NotController),
    }
}

#[test]
fn any_field_of_a_waylay_changes_the_hash() {
    use harm::Waylay;
    let Waylay {
        id: _,
        api: _,
        from: _,
        to: _,
        skip: _,
        take: _,
        deed: _,
    } = waylay();
    fn add(w: &mut World, change: fn(&mut Waylay)) {
        let mut waylay = waylay();
        change(&mut waylay);
        w.network.wait_for(waylay);
    }
    each_is_seen(
        &on_its_way(),
        &[
            ("one", |w| add(w, |_| {})),
            ("id", |w| add(w, |y| y.id += 1)),
            ("api", |w| add(w, |y| y.api = Api::Produce)),
            ("from", |w| add(w, |y| y.from = Vec::new())),
            ("to", |w| add(w, |y| y.to = Vec::new())),
            ("skip", |w| add(w, |y| y.skip += 1)),
            ("take", |w| add(w, |y| y.take += 1)),
            ("its error", |w| {
                add(w, |y| y.deed = Deed::Answer(ErrorCode::NotLeaderOrFollower))
            }),
            ("its kind", |w| {
                add(w, |y| y.deed = Deed::Throttle(Duration(1)))
            }),
            ("how long", |w| {
                add(w, |y| y.deed = Deed::Throttle(Duration(2)))
            }),
        ],
    );
}

#[test]
fn any_field_of_a_catch_changes_the_hash() {
    let mut world = on_its_way();
    world.network.catches.push(catch());
    let Catch {
        id: _,
        api: _,
        response: _,
        from: _,
        to: _,
        skip: _,
        lose: _,
        spent: _,
    } = catch();
    each_is_seen(
        &world,
        &[
            ("id", |w| w.network.catches[0].id += 1),
            ("api", |w| w.network.catches[0].api = Api::Produce),
            ("response", |w| w.network.catches[0].response = true),
            ("from", |w| w.network.catches[0].from = Vec::new()),
            ("to", |w| w.network.catches[0].to = Vec::new()),
            ("skip", |w| w.network.catches[0].skip += 1),
            ("lose", |w| w.network.catches[0].lose = true),
            ("spent", |w| w.network.catches[0].spent = true),
        ],
    );
}

#[test]
fn any_field_of_a_connection_changes_the_hash() {
    let mut world = on_its_way();
    let Connection {
        client: _,
        server: _,
        to_server: _,
        to_client: _,
        open: _,
        client_alive: _,
        server_alive: _,
        serving: _,
        next_correlation: _,
        pending: _,
        muted_until: _,
    } = connection(&mut world);
    each_is_seen(
        &world,
        &[
            ("client", |w| connection(w).client.0 += 9),
            ("server", |w| connection(w).server.0 += 9),
            ("to_server", |w| connection(w).to_server = Pipe::default()),
            ("to_client", |w| connection(w).to_client.buffered += 1),
            ("open", |w| connection(w).open ^= true),
            ("client_alive", |w| connection(w).client_alive ^= true),
            ("server_alive", |w| connection(w).server_alive ^= true),
            ("serving", |w| {
                connection(w).serving = Some(CorrelationId(77))
            }),
            ("next_correlation", |w| connection(w).next_correlation += 1),
            ("muted_until", |w| connection(w).muted_until = Time(1)),
            ("pending", |w| {
                connection(w).pending = Some(CorrelationId(77))
            }),
        ],
    );
}

#[test]
fn any_field_of_what_is_under_way_changes_the_hash() {
    let mut world = on_its_way();
    let Pipe {
        messages: _,
        buffered: _,
        last_arrival: _,
        due: _,
        swallowed: _,
    } = pipe(&mut world);
    let Message {
        departed: _,
        arrives: _,
        cause: _,
        held: _,
        clogged: _,
        size: _,
        body: _,
    } = message(&mut world);
    each_is_seen(
        &world,
        &[
            ("messages", |w| pipe(w).messages.clear()),
            ("buffered", |w| pipe(w).buffered += 1),
            ("last_arrival", |w| pipe(w).last_arrival.0 += 1),
            ("due", |w| pipe(w).due = Some(u64::MAX)),
            ("swallowed", |w| pipe(w).swallowed ^= true),
            ("departed", |w| message(w).departed.0 += 1),
            ("arrives", |w| message(w).arrives.0 += 1),
            ("cause", |w| message(w).cause += 1),
            ("held", |w| message(w).held = Some(1)),
            ("clogged", |w| message(w).clogged = true),
            ("size", |w| message(w).size += 1),
            ("body", |w| message(w).body = Body::Fin(Closed::Refused)),
        ],
    );
}

fn ask(id: u32) -> Body {
    let topics = None;
    let request = MetadataRequest {
        topics,
        allow_auto_topic_creation: false,
    };
    Body::Request {
        id: CorrelationId(id),
        header: Header {
            api_version: 1,
            client_id: None,
        },
        request: Request::Metadata(request),
    }
}

fn answer(controller_id: Option<NodeId>) -> Body {
    let response = MetadataResponse {
        brokers: Vec::new(),
        controller_id,
        topics: Vec::new(),
    };
    Body::Response {
        id: CorrelationId(1),
        response: Response::Metadata(response),
    }
}

/// A new kind, or a new part of one, belongs into the test below.
fn is_tested(body: &Body) -> bool {
    match body {
        Body::Syn | Body::Accepted | Body::Fin(_) | Body::GivenUp => true,
        Body::Request {
            id: _,
            header: _,
            request: _,
        } => true,
        Body::Response { id: _, response: _ } => true,
    }
}

#[test]
fn every_kind_of_message_and_its_contents_change_the_hash() {
    let world = on_its_way();
    assert!([Body::Syn, ask(1), answer(None)].iter().all(is_tested));
    each_is_seen(
        &world,
        &[
            ("a wish to connect", |w| message(w).body = Body::Syn),
            ("a connection", |w| message(w).body = Body::Accepted),
            ("a request", |w| message(w).body = ask(1)),
            ("its number", |w| message(w).body = ask(2)),
            ("its header", |w| {
                let Body::Request { id, request, .. } = ask(1) else {
                    unreachable!("just asked")
                };
                let header = Header {
                    api_version: 2,
                    client_id: None,
                };
                message(w).body = Body::Request {
                    id,
                    header,
                    request,
                };
            }),
            ("a response", |w| message(w).body = answer(None)),
            ("its contents", |w| {
                message(w).body = answer(Some(NodeId(1)))
            }),
            ("a broken one", |w| message(w).body = Body::GivenUp),
            ("an end", |w| message(w).body = Body::Fin(Closed::Reset)),
            ("its reason", |w| {
                message(w).body = Body::Fin(Closed::PeerGone)
            }),
        ],
    );
}
