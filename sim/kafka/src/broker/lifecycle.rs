//! The broker's conversation with the active controller about itself: Kafka's BrokerLifecycleManager (K-14…K-16, K-19,
//! K-30).
//!
//! It keeps one request in flight, registers until it is registered, then beats; a broker takes no client before it has
//! been unfenced once, and asks to leave before it stops.
//!
//! Left out: features, directories and their failures (KIP-858), the second registration after a metadata version change.

use crate::effect::{Effect, Effects};
use crate::event::{BrokerEvent, Event};
use crate::ids::{Address, BrokerEpoch, IncarnationId, NodeId, Offset};
use crate::protocol::Request;
use crate::protocol::cluster::*;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::sync::Arc;

/// Where a broker stands. The legal transitions, with their causes:
/// - Starting -> Recovery: the controller says that it has caught up with its own registration;
/// - Recovery -> Running: the controller says that it is unfenced, for the first time;
/// - Running -> PendingControlledShutdown: it was asked to stop;
/// - PendingControlledShutdown -> ShuttingDown: the controller lets it go, or it has waited five minutes;
/// - any other -> ShuttingDown: it was asked to stop before it ran, or could not register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[allow(missing_docs)] // Kafka's own names.
pub enum BrokerState {
    Starting,
    Recovery,
    Running,
    PendingControlledShutdown,
    ShuttingDown,
}

/// What a broker says of itself when it registers.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// Who it is.
    pub node: NodeId,
    /// New for every start of the process (K-14).
    pub incarnation: IncarnationId,
    /// Where clients reach it.
    pub address: Address,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// What its clean-shutdown marker named (KIP-966).
    pub previous_epoch: Option<BrokerEpoch>,
}

/// The spans that the settings give.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pace {
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// `initial.broker.registration.timeout.ms`.
    pub registration: Duration,
}

/// After the first reply to a wish to stop, the next heartbeat comes sooner, should the shutdown be quick (K-19).
const FIRST_SHUTDOWN_POLL: Duration = Duration::millis(50);
/// While a broker catches up it asks again soon (K-30).
const CATCH_UP_POLL: Duration = Duration::millis(10);
/// A controlled shutdown that takes longer is given up, and the broker stops anyway (K-19).
const SHUTDOWN_TIMEOUT: Duration = Duration::secs(300);

/// A broker's standing with the controller.
#[derive(Clone, Debug, Serialize)]
pub struct Lifecycle {
    identity: Identity,
    pace: Pace,
    state: BrokerState,
    epoch: Option<BrokerEpoch>,
    ready_to_unfence: bool,
    /// What the last heartbeat's answer said.
    fenced: bool,
    in_flight: bool,
    /// The next wait is skipped: something happened while a request was in flight.
    hurry: bool,
    /// The controller has answered a wish to stop once.
    shutdown_heard: bool,
    next: Time,
    /// Not registered by then: the process ends.
    register_by: Time,
    /// Not let go by then: it stops anyway.
    stop_by: Option<Time>,
}

impl Lifecycle {
    /// A broker that starts; its first registration is due at once.
    pub fn start(identity: Identity, pace: Pace, now: Time) -> Lifecycle {
        Lifecycle {
            identity,
            pace,
            state: BrokerState::Starting,
            epoch: None,
            ready_to_unfence: false,
            fenced: true,
            in_flight: false,
            hurry: false,
            shutdown_heard: false,
            next: now,
            register_by: now + pace.registration,
            stop_by: None,
        }
    }

    /// Where the broker stands.
    pub fn state(&self) -> BrokerState {
        self.state
    }

    /// Its epoch, once it is registered.
    pub fn epoch(&self) -> Option<BrokerEpoch> {
        self.epoch
    }

    /// Whether clients may come: unfenced once, not on the way out.
    pub fn serves(&self) -> bool {
        matches!(
            self.state,
            BrokerState::Running | BrokerState::PendingControlledShutdown
        )
    }

    /// When to call [`Lifecycle::communicate`] next; with a request in flight only its answer or a limit leads on.
    pub fn wake_at(&self) -> Option<Time> {
        let limit = match self.epoch {
            None => Some(self.register_by),
            Some(_) => self.stop_by,
        };
        let next = (!self.in_flight).then_some(self.next);
        let is_over = self.state == BrokerState::ShuttingDown;
        Time::earliest([next, limit]).filter(|_| !is_over)
    }

    /// Whether it could not register in time: Kafka's process exits then.
    pub fn has_given_up(&self, now: Time) -> bool {
        self.epoch.is_none() && now >= self.register_by
    }

    /// The next request, if one is due: a registration until one is accepted, then heartbeats (K-16).
    pub fn communicate(&mut self, applied: Offset, now: Time) -> Option<Request> {
        if self.stop_by.is_some_and(|by| by <= now) {
            self.state = BrokerState::ShuttingDown;
        }
        if now < self.next || self.in_flight || self.state == BrokerState::ShuttingDown {
            return None;
        }
        self.in_flight = true;
        Some(match self.epoch {
            None => Request::BrokerRegistration(self.registration()),
            Some(epoch) => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                broker_id: self.identity.node,
                broker_epoch: epoch,
                current_metadata_offset: applied,
                want_fence: !self.ready_to_unfence,
                want_shut_down: self.state == BrokerState::PendingControlledShutdown,
            }),
        })
    }

    fn registration(&self) -> BrokerRegistrationRequest {
        BrokerRegistrationRequest {
            broker_id: self.identity.node,
            incarnation_id: self.identity.incarnation,
            address: self.identity.address,
            rack: self.identity.rack.clone(),
            previous_broker_epoch: self.identity.previous_epoch,
        }
    }

    /// The metadata is published and the logs are there: the broker asks to be unfenced.
    pub fn ready_to_unfence(&mut self, now: Time) {
        if !self.ready_to_unfence {
            self.ready_to_unfence = true;
            self.at_once(now);
        }
    }

    /// Asked to stop: a running broker first hands over what it leads; another stops at once (K-19).
    pub fn begin_controlled_shutdown(&mut self, now: Time) {
        match self.state {
            BrokerState::Running => {
                self.state = BrokerState::PendingControlledShutdown;
                self.stop_by = Some(now + SHUTDOWN_TIMEOUT);
                self.at_once(now);
            }
            BrokerState::PendingControlledShutdown => {}
            _ => self.state = BrokerState::ShuttingDown,
        }
    }

    /// Asked to stop where `controlled.shutdown.enable` is off.
    pub fn shut_down(&mut self) {
        self.state = BrokerState::ShuttingDown;
    }

    /// The request in flight is answered no more: it was not sent or answered in time.
    pub fn failed(&mut self, now: Time) {
        self.in_flight = false;
        self.wait_after_failure(now);
    }

    /// The registration is answered.
    pub fn registered(
        &mut self,
        response: &BrokerRegistrationResponse,
        now: Time,
        out: &mut Effects,
    ) {
        self.in_flight = false;
        match response.broker_epoch {
            Some(epoch) if response.error_code.is_none() => {
                self.epoch = Some(epoch);
                out.push(tell(BrokerEvent::Registered { epoch }));
                self.at_once(now);
            }
            _ => {
                let error = response.error_code;
                out.push(tell(BrokerEvent::RegistrationRefused { error }));
                self.wait_after_failure(now);
            }
        }
    }

    /// A heartbeat is answered.
    pub fn beaten(&mut self, response: &BrokerHeartbeatResponse, now: Time, out: &mut Effects) {
        self.in_flight = false;
        if !response.error_code.is_none() {
            return self.wait_after_failure(now);
        }
        if self.fenced != response.is_fenced {
            self.fenced = response.is_fenced;
            out.push(tell(if self.fenced {
                BrokerEvent::Fenced
            } else {
                BrokerEvent::Unfenced
            }));
        }
        let wait = self.advance(response, out);
        self.wait(wait, now);
    }

    /// Moves to the state that the controller's answer allows; returns the wait before the next heartbeat.
    fn advance(&mut self, response: &BrokerHeartbeatResponse, out: &mut Effects) -> Duration {
        match self.state {
            BrokerState::Starting => {
                if response.is_caught_up {
                    self.state = BrokerState::Recovery;
                }
                CATCH_UP_POLL
            }
            BrokerState::Recovery => {
                if !response.is_fenced {
                    self.state = BrokerState::Running;
                }
                self.pace.heartbeat
            }
            BrokerState::PendingControlledShutdown if response.should_shut_down => {
                self.state = BrokerState::ShuttingDown;
                out.push(tell(BrokerEvent::ShutdownGranted));
                self.pace.heartbeat
            }
            BrokerState::PendingControlledShutdown if !self.shutdown_heard => {
                self.shutdown_heard = true;
                FIRST_SHUTDOWN_POLL
            }
            _ => self.pace.heartbeat,
        }
    }

    /// The next request goes out at once, or right after the answer to the one in flight.
    fn at_once(&mut self, now: Time) {
        self.hurry = self.in_flight;
        self.next = now;
    }

    fn wait(&mut self, span: Duration, now: Time) {
        let hurry = std::mem::replace(&mut self.hurry, false);
        self.next = now + if hurry { Duration::ZERO } else { span };
    }

    /// After a failure nothing is hurried.
    fn wait_after_failure(&mut self, now: Time) {
        self.hurry = false;
        self.wait(self.pace.heartbeat, now);
    }
}

fn tell(event: BrokerEvent) -> Effect {
    Effect::Tell(Event::Broker(event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    fn ms(n: u64) -> Time {
        Time(0) + Duration::millis(n)
    }

    fn starting() -> Lifecycle {
        let identity = Identity {
            node: NodeId(1),
            incarnation: IncarnationId(7),
            address: Address(1),
            rack: None,
            previous_epoch: None,
        };
        let pace = Pace {
            heartbeat: Duration::millis(2_000),
            registration: Duration::millis(60_000),
        };
        Lifecycle::start(identity, pace, ms(0))
    }

    fn registered() -> Lifecycle {
        let mut l = starting();
        l.communicate(Offset(0), ms(0));
        let accepted = BrokerRegistrationResponse {
            error_code: ErrorCode::None,
            broker_epoch: Some(BrokerEpoch(5)),
        };
        l.registered(&accepted, ms(10), &mut Effects::new());
        l
    }

    fn beat(l: &mut Lifecycle, at: Time, answer: BrokerHeartbeatResponse) -> Effects {
        let mut out = Effects::new();
        assert!(matches!(
            l.communicate(Offset(9), at),
            Some(Request::BrokerHeartbeat(_))
        ));
        l.beaten(&answer, at, &mut out);
        out
    }

    fn running() -> Lifecycle {
        let mut l = registered();
        beat(&mut l, ms(10), answer(true, true));
        l.ready_to_unfence(ms(10));
        beat(&mut l, ms(10), answer(true, false));
        assert_eq!(l.state(), BrokerState::Running);
        l
    }

    fn answer(is_caught_up: bool, is_fenced: bool) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse {
            error_code: ErrorCode::None,
            is_caught_up,
            is_fenced,
            should_shut_down: false,
        }
    }

    #[test]
    fn a_refused_registration_is_tried_again_after_a_heartbeat_interval() {
        // K-14: a restart within the old session.
        let mut l = starting();
        assert!(matches!(
            l.communicate(Offset(0), ms(0)),
            Some(Request::BrokerRegistration(_))
        ));
        let refused = BrokerRegistrationResponse {
            error_code: ErrorCode::DuplicateBrokerRegistration,
            broker_epoch: None,
        };
        l.registered(&refused, ms(3), &mut Effects::new());
        assert_eq!(l.wake_at(), Some(ms(2_003)));
        assert_eq!(l.communicate(Offset(0), ms(2_002)), None);
        assert!(matches!(
            l.communicate(Offset(0), ms(2_003)),
            Some(Request::BrokerRegistration(_))
        ));
    }

    #[test]
    fn a_broker_that_cannot_register_gives_up_after_a_minute() {
        let mut l = starting();
        l.communicate(Offset(0), ms(0));
        assert_eq!(l.wake_at(), Some(ms(60_000)));
        assert!(!l.has_given_up(ms(59_999)));
        assert!(l.has_given_up(ms(60_000)));
    }

    #[test]
    fn while_it_catches_up_a_broker_beats_every_ten_ms_and_wants_to_stay_fenced() {
        // K-30.
        let mut l = registered();
        let Some(Request::BrokerHeartbeat(r)) = l.communicate(Offset(3), ms(10)) else {
            panic!("a registered broker beats at once");
        };
        assert!(r.want_fence);
        assert_eq!(r.current_metadata_offset, Offset(3));
        l.beaten(&answer(false, true), ms(12), &mut Effects::new());
        assert_eq!(
            (l.state(), l.wake_at()),
            (BrokerState::Starting, Some(ms(22)))
        );
    }

    #[test]
    fn a_broker_runs_from_the_first_answer_that_says_unfenced() {
        let mut l = registered();
        beat(&mut l, ms(10), answer(true, true));
        assert_eq!(l.state(), BrokerState::Recovery);
        l.ready_to_unfence(ms(11));
        let told = beat(&mut l, ms(11), answer(true, false));
        assert_eq!(told, [tell(BrokerEvent::Unfenced)]);
        assert_eq!(
            (l.state(), l.wake_at()),
            (BrokerState::Running, Some(ms(2_011)))
        );
    }

    #[test]
    fn a_wish_that_comes_while_a_heartbeat_is_in_flight_is_sent_right_after_its_answer() {
        let mut l = running();
        assert!(l.communicate(Offset(9), ms(2_010)).is_some());
        l.begin_controlled_shutdown(ms(2_011));
        assert_eq!(l.communicate(Offset(9), ms(2_011)), None);
        l.beaten(&answer(true, false), ms(2_012), &mut Effects::new());
        let Some(Request::BrokerHeartbeat(r)) = l.communicate(Offset(9), ms(2_012)) else {
            panic!("the wish to stop is not delayed");
        };
        assert!(r.want_shut_down);
    }

    #[test]
    fn a_shutdown_is_polled_after_50_ms_and_then_every_two_seconds() {
        // K-19.
        let mut l = running();
        l.begin_controlled_shutdown(ms(100));
        beat(&mut l, ms(100), answer(true, false));
        assert_eq!(l.wake_at(), Some(ms(150)));
        beat(&mut l, ms(150), answer(true, false));
        assert_eq!(l.wake_at(), Some(ms(2_150)));
        let granted = BrokerHeartbeatResponse {
            should_shut_down: true,
            ..answer(true, false)
        };
        assert_eq!(
            beat(&mut l, ms(2_150), granted),
            [tell(BrokerEvent::ShutdownGranted)]
        );
        assert_eq!(l.state(), BrokerState::ShuttingDown);
    }

    #[test]
    fn a_shutdown_that_nobody_grants_is_given_up_after_five_minutes() {
        let mut l = running();
        l.begin_controlled_shutdown(ms(100));
        l.communicate(Offset(9), ms(100));
        assert_eq!(l.wake_at(), Some(ms(300_100)));
        assert_eq!(l.communicate(Offset(9), ms(300_100)), None);
        assert_eq!(l.state(), BrokerState::ShuttingDown);
    }

    #[test]
    fn an_error_is_never_hurried_past() {
        let mut l = running();
        l.communicate(Offset(9), ms(2_010));
        l.begin_controlled_shutdown(ms(2_011));
        let stale = BrokerHeartbeatResponse {
            error_code: ErrorCode::StaleBrokerEpoch,
            ..answer(false, true)
        };
        l.beaten(&stale, ms(2_012), &mut Effects::new());
        assert_eq!(l.wake_at(), Some(ms(4_012)));
    }
}
