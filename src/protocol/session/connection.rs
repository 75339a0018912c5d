//! One connection of the session: its start, its end, its deadlines.

use std::time::Instant;

use crate::codec::{
    Connect, Disconnect, EncodeError, Packet, Partial, Properties, ReasonCode, Version,
};

use super::config::ConnectOptions;
use super::error::PeerError;
use super::event::{Closed, Event, Trace};
use super::keep_alive::{Due, KeepAlive, Outflow, STALLED};
use super::limits::{ClientLimits, ServerLimits};
use super::stall::StallWatch;
use super::{Exchange, Phase, Session};

impl Session {
    /// Starts a connection: the transport stands, CONNECT goes out first [MQTT-3.1.0-1].
    pub fn connect(&mut self, options: &ConnectOptions, now: Instant) -> Result<u32, EncodeError> {
        self.reset_connection();
        self.leaving = None;
        self.server = ServerLimits::default();
        let client_id = match &self.assigned_client_id {
            Some(assigned) if options.client_id.is_empty() => assigned.clone(),
            _ => options.client_id.clone(),
        };
        self.send(&Packet::Connect(Box::new(Connect {
            client_id: client_id.clone(),
            clean_start: options.clean_start,
            keep_alive: options.keep_alive,
            username: options.username.clone(),
            password: options.password.clone(),
            will: options.will.clone(),
            properties: options.properties.clone(),
            bridge: options.bridge,
        })))?;
        self.connect_size = self.out.queued();
        self.own = ClientLimits::from_connect(&options.properties, self.config.max_packet_size);
        self.clean_start = options.clean_start;
        self.server_keeps_session = match self.config.version {
            Version::V5 => options.properties.session_expiry_interval() > Some(0),
            Version::V31 | Version::V311 => !options.clean_start,
        };
        self.was_clean_start_unanswered = self.clean_start_unanswered;
        self.clean_start_unanswered |= options.clean_start;
        self.client_id = client_id;
        self.keep_alive = Some(KeepAlive::new(options.keep_alive, now));
        let timeout = options.connack_timeout;
        self.phase = Phase::AwaitConnAck { deadline: now + timeout, timeout };
        self.begin_exchange();
        self.epoch = self.epoch.wrapping_add(1);
        Ok(self.epoch)
    }

    fn reset_connection(&mut self) {
        self.out.clear();
        self.partial = Partial::default();
        self.inbound.handle_connection_end();
        self.own_aliases.handle_connection_end();
        self.ids.release_requests();
        self.ledger.rewind(&mut self.ids);
        self.deferred_disconnect = None;
        self.exchange = Exchange::Idle;
        self.phase = Phase::Idle;
    }

    /// Ends the connection after what was accepted so far; false when there is none.
    pub fn disconnect(&mut self, reason: ReasonCode, properties: Properties, now: Instant) -> bool {
        if properties.session_expiry_interval() == Some(0) {
            self.server_keeps_session = false;
        }
        match self.phase {
            Phase::AwaitConnAck { .. } if self.ledger.len() > 0 => {
                self.deferred_disconnect.get_or_insert((reason, properties));
                true
            }
            Phase::AwaitConnAck { .. } | Phase::Online => {
                self.drain_with(reason, properties, Closed::Requested, now);
                true
            }
            Phase::Draining { .. } => true,
            Phase::Idle | Phase::Ended { .. } => false,
        }
    }

    pub(super) fn drain_with(
        &mut self,
        reason: ReasonCode,
        properties: Properties,
        closed: Closed,
        now: Instant,
    ) {
        let before = self.out.bytes.len();
        let sent = self.send(&Packet::Disconnect(Disconnect::new(reason, properties)));
        let size = self.out.bytes.len() - before;
        if sent == Err(EncodeError::OutOfMemory) || size > self.server.maximum_packet_size {
            // The reason goes without its explanations [MQTT-3.14.2-3], [MQTT-3.14.2-4].
            self.out.withdraw(size);
            let disconnect = Disconnect::new(reason, Properties::default());
            self.send_within_limit(&Packet::Disconnect(disconnect));
        }
        // What the transport holds comes to light with the first look.
        let watch = StallWatch::new(self.taken(0), now, STALLED);
        self.phase = Phase::Draining { closed, watch };
    }

    /// Ends the connection because of the server; MQTT 5.0 says why [MQTT-4.13.1-1].
    pub(super) fn fail(&mut self, error: PeerError, now: Instant) {
        let reason = error.reason_code();
        let closed = Closed::Protocol(error);
        if self.config.version == Version::V5 {
            self.drain_with(reason, Properties::default(), closed, now);
        } else {
            self.phase = Phase::Ended { closed };
        }
    }

    /// Whether the driver has to close the transport now and call [`Self::handle_closed`].
    pub fn wants_close(&self) -> bool {
        match self.phase {
            Phase::Draining { .. } => self.out.unsent() == 0,
            Phase::Ended { .. } => true,
            _ => self.is_leaving() && self.is_handed_over(),
        }
    }

    /// The transport is closed; `error` is what it said, if it was not the session's wish.
    pub fn handle_closed(&mut self, error: Option<&str>) {
        let closed = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => return,
            Phase::Draining { closed, .. } | Phase::Ended { closed } => closed,
            Phase::AwaitConnAck { .. } | Phase::Online if self.deferred_disconnect.is_some() => {
                Closed::Requested
            }
            Phase::AwaitConnAck { .. } | Phase::Online => {
                Closed::Lost(error.unwrap_or("the server closed the connection").into())
            }
        };
        self.reset_connection();
        self.events.push(Event::Closed(closed));
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::AwaitConnAck { deadline, .. } => Some(*deadline),
            Phase::Draining { watch, .. } => Some(watch.deadline()),
            Phase::Online => self.keep_alive.as_ref().and_then(KeepAlive::deadline),
            Phase::Idle | Phase::Ended { .. } => return None,
        };
        of_phase.into_iter().chain(self.leaving_deadline()).min()
    }

    /// Time has passed. `reading` is false while the driver leaves received bytes alone because
    /// the application does not take its events. `held` is asked for the bytes that the transport
    /// took and the peer has not acknowledged, 0 where that cannot be known.
    pub fn handle_timeout(&mut self, now: Instant, reading: bool, held: impl Fn() -> usize) {
        let (written, queued) = (self.out.written(), self.out.queued());
        let outflow = || Outflow { taken: written.saturating_sub(held() as u64), queued };
        match &mut self.phase {
            // Nobody looked whether CONNACK has come.
            Phase::AwaitConnAck { deadline, timeout } if !reading => {
                *deadline = (*deadline).max(now + *timeout);
            }
            Phase::AwaitConnAck { deadline, .. } if now >= *deadline => {
                let closed = match self.deferred_disconnect {
                    Some(_) => Closed::Requested,
                    None => Closed::ConnAckTimeout,
                };
                self.phase = Phase::Ended { closed };
            }
            Phase::Draining { watch, closed } => {
                let has_stalled =
                    now >= watch.deadline() && watch.has_stalled(outflow().taken, now);
                if has_stalled {
                    self.phase = Phase::Ended { closed: closed.clone() };
                }
            }
            Phase::Online => {
                let keep_alive = self.keep_alive.as_mut();
                match keep_alive.map_or(Due::Nothing, |k| k.due(now, reading, outflow)) {
                    Due::Nothing => {}
                    Due::Ping => {
                        self.send_within_limit(&Packet::PingReq);
                        self.trace(|| Trace::SentPingReq);
                    }
                    Due::Dead => self.phase = Phase::Ended { closed: Closed::KeepAlive },
                }
            }
            _ => {}
        }
        self.leave_in_time(now, held);
    }
}
