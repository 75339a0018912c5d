//! Requests of the application: publish, subscribe, unsubscribe, acknowledge.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::{
    AckKind, EncodeError, Packet, Properties, Publish, PublishParts, QoS, ReasonCode, Subscribe,
    SubscriptionOptions, Unsubscribe, Version, encode_ack, encode_publish, encoded_topic_alias,
    parse_frame, publish_size, try_copy,
};

use super::error::LocalError;
use super::event::{Event, Trace};
use super::ids::IdUse;
use super::ledger::{Dispatch, Ended, set_dup};
use super::ticket::Ticket;
use super::{Phase, Session};

/// Unsent bytes above which nothing more is put into the out-buffer: the size of the largest packet. Threads
/// that may wait do so long before.
const MOST_UNSENT: usize = 256 << 20;

/// An application message on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The topic name; may be empty if an alias stands for it.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// The quality of service.
    pub qos: QoS,
    /// Whether the server is to retain it.
    pub retain: bool,
    /// The encoded property list without its length; empty in MQTT 3.x.
    pub properties: &'a [u8],
    /// The Topic Alias among the properties.
    pub topic_alias: Option<u16>,
}

/// How an accepted message can be followed.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// QoS 0: ask [`Session::handover`] for the mark.
    Buffered {
        /// The identifier that names it to the application; the packet has none.
        packet_id: u16,
        /// Its running number among the QoS 0 messages.
        mark: u64,
    },
    /// QoS 1 or 2: the ticket tells.
    Tracked {
        /// Has the packet identifier and the outcome.
        ticket: Arc<Ticket>,
    },
}

/// A message that was not accepted, with the identifier it used up.
#[derive(Clone, Debug)]
pub struct RefusedPublish {
    /// The identifier; 0 if none was free.
    pub packet_id: u16,
    /// Why.
    pub error: LocalError,
}

/// What SUBSCRIBE or UNSUBSCRIBE asks for.
#[derive(Clone, Debug)]
pub enum SubscriptionRequest {
    /// Subscribe to these filters, each with its options.
    Subscribe(Vec<(ByteString, SubscriptionOptions)>),
    /// End the subscriptions to these filters.
    Unsubscribe(Vec<ByteString>),
}

impl Session {
    /// Accepts a message. QoS > 0 is queued when there is no connection; QoS 0 is refused then.
    /// The caller has checked that the packet is not larger than MQTT allows.
    pub fn publish(&mut self, message: &Outgoing<'_>) -> Result<Receipt, RefusedPublish> {
        match message.topic_alias {
            None => self.accept(message, message.topic),
            Some(alias) => self.publish_aliased(message, alias).inspect_err(|_| {
                self.own_aliases.handle_refused(alias, message.topic);
            }),
        }
    }

    /// A message that waits, or may be sent again, keeps its topic beside the alias; only at QoS 0 does
    /// the alias go alone, where the server knows it.
    fn publish_aliased(
        &mut self,
        message: &Outgoing<'_>,
        alias: u16,
    ) -> Result<Receipt, RefusedPublish> {
        let admitted = match self.phase {
            _ if alias == 0 => Err(LocalError::TopicAliasInvalid), // [MQTT-3.3.2-8]
            Phase::Online => self.server.admit_alias(Some(alias)),
            // The server has not said that it takes any; QoS 1 and 2 wait until it has.
            Phase::AwaitConnAck { .. } if message.qos == QoS::AtMostOnce => {
                Err(LocalError::TopicAliasInvalid)
            }
            _ => Ok(()),
        };
        let topic = match admitted.and_then(|()| self.own_aliases.topic_of(alias, message.topic)) {
            Ok(topic) => topic,
            Err(error) => {
                let packet_id = self.ids.next().unwrap_or(0);
                return Err(RefusedPublish { packet_id, error });
            }
        };
        let goes_alone = message.topic.is_empty()
            && message.qos == QoS::AtMostOnce
            && self.own_aliases.is_told(alias, &topic);
        let receipt = self.accept(message, if goes_alone { "" } else { &topic })?;
        self.own_aliases.handle_accepted(alias, &topic);
        if message.qos == QoS::AtMostOnce {
            self.own_aliases.handle_sent(alias, &topic);
        }
        Ok(receipt)
    }

    fn accept(&mut self, message: &Outgoing<'_>, topic: &str) -> Result<Receipt, RefusedPublish> {
        let refused = |error, packet_id| Err(RefusedPublish { packet_id, error });
        let mut parts = PublishParts {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic,
            packet_id: 0,
            properties: message.properties,
            payload: message.payload,
        };
        if self.is_online()
            && let Err(error) = self.server.admit(
                message.qos,
                message.retain,
                publish_size(self.config.version, &parts),
            )
        {
            return refused(error, self.ids.next().unwrap_or(0));
        }
        if message.qos == QoS::AtMostOnce {
            let packet_id = self.ids.next().unwrap_or(0);
            if !self.is_open() {
                return refused(LocalError::NotConnected, packet_id);
            }
            if self.out.unsent() >= MOST_UNSENT {
                return refused(LocalError::QueueFull, packet_id);
            }
            let before = self.out.bytes.len();
            if let Err(error) = encode_publish(&mut self.out.bytes, self.config.version, &parts) {
                return refused(error.into(), packet_id);
            }
            self.out.appended(before);
            let mark = self.out.mark(packet_id);
            return Ok(Receipt::Buffered { packet_id, mark });
        }
        if self.config.max_queued != 0 && self.ledger.len() >= self.config.max_queued {
            return refused(LocalError::QueueFull, self.ids.next().unwrap_or(0));
        }
        if !self.ledger.has_room() {
            return refused(LocalError::OutOfMemory, 0);
        }
        // The ledger writes the identifier in when it has one.
        parts.packet_id = 1;
        let mut packet = Vec::new();
        if let Err(error) = encode_publish(&mut packet, self.config.version, &parts) {
            return refused(error.into(), 0);
        }
        let id_at = identifier_at(&packet, topic);
        let ticket = self.ledger.push(&mut self.ids, packet.into_boxed_slice(), id_at, message.qos);
        self.pump();
        Ok(Receipt::Tracked { ticket })
    }

    /// The most QoS > 0 messages that may be unacknowledged now [MQTT-3.3.4-7].
    fn quota(&self) -> usize {
        let own = match self.config.max_inflight {
            0 => u16::MAX,
            own => own,
        };
        usize::from(own.min(self.server.receive_maximum))
    }

    /// Sends what the quota allows.
    pub(super) fn pump(&mut self) {
        if !matches!(self.phase, Phase::Online) {
            return;
        }
        let quota = self.quota();
        let version = self.config.version;
        loop {
            let before = self.out.bytes.len();
            let mut refused = None;
            let mut traced = None;
            let (out, server, trace) = (&mut self.out.bytes, &self.server, self.config.trace);
            let aliases = &mut self.own_aliases;
            let sent = self.ledger.dispatch(quota, &mut self.ids, |dispatch| match dispatch {
                Dispatch::Publish { packet, id_at, resend } => {
                    let (qos, retain) = traits_of(packet);
                    let alias = match version {
                        Version::V5 => encoded_topic_alias(packet, id_at + 2),
                        Version::V31 | Version::V311 => None,
                    };
                    let admitted = server
                        .admit(qos, retain, packet.len())
                        .and_then(|()| server.admit_alias(alias));
                    if let Err(error) = admitted {
                        refused = Some((error, resend && qos == QoS::ExactlyOnce));
                        return true;
                    }
                    if out.try_reserve(packet.len()).is_err() {
                        return false;
                    }
                    out.extend_from_slice(packet);
                    if let Some(alias) = alias {
                        aliases.handle_sent(alias, topic_of(packet, id_at));
                    }
                    if resend && let Some(first) = out.get_mut(before) {
                        set_dup(first);
                        if trace && let Some(Ok(packet)) = out.get(before..).map(try_copy) {
                            traced = Some(Trace::SentPublish { packet: packet.into() });
                        }
                    }
                    true
                }
                Dispatch::Release { packet_id } => {
                    encode_ack(out, version, AckKind::PubRel, packet_id, ReasonCode::SUCCESS, &[]);
                    if out.len() - before > server.maximum_packet_size {
                        out.truncate(before);
                    }
                    traced = Some(Trace::SentAck(AckKind::PubRel, packet_id));
                    true
                }
            });
            if !sent {
                return;
            }
            self.out.appended(before);
            if let Some(traced) = traced {
                self.trace(|| traced);
            }
            if let Some((error, may_be_held)) = refused
                && let Some(ended) = self.ledger.withdraw_last()
            {
                self.give_up(Ended { may_be_held, ..ended }, error.reason_code());
            }
        }
    }

    /// A message that cannot be sent fails; its identifier stays with a server that may hold it.
    pub(super) fn give_up(&mut self, ended: Ended, reason: ReasonCode) {
        let (packet_id, may_be_held) = (ended.ticket.packet_id(), ended.may_be_held);
        self.finish(ended, AckKind::PubAck, reason, Properties::default());
        if may_be_held {
            self.ids.drop_publish(packet_id);
        }
    }

    /// A message came to its end: frees its identifier and tells the application.
    pub(super) fn finish(
        &mut self,
        ended: Ended,
        kind: AckKind,
        reason: ReasonCode,
        properties: Properties,
    ) {
        let Ended { ticket, dropped, .. } = ended;
        let packet_id = ticket.packet_id();
        self.ids.release(packet_id);
        let report = self.config.report_acked && !dropped;
        ticket.settle(reason, report);
        if report {
            self.events.push(Event::Acked { ticket, packet_id, kind, reason, properties });
        }
    }

    /// Speaks another version from the next connection on; messages that wait are encoded anew. One
    /// that the version cannot carry ends as failed.
    pub fn set_version(&mut self, version: Version) {
        let before = std::mem::replace(&mut self.config.version, version);
        if before.has_properties() == version.has_properties() {
            return;
        }
        for ended in self.ledger.reencode(|packet| reencode(packet, before, version)) {
            self.give_up(ended, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        }
    }

    /// Sends SUBSCRIBE or UNSUBSCRIBE; the packet identifier names the answer.
    pub fn request(
        &mut self,
        request: SubscriptionRequest,
        properties: Properties,
    ) -> Result<u16, RequestError> {
        if !self.is_open() {
            return Err(LocalError::NotConnected.into());
        }
        if self.out.unsent() >= MOST_UNSENT {
            return Err(LocalError::QueueFull.into());
        }
        let usage = match &request {
            SubscriptionRequest::Subscribe(filters) => IdUse::Subscribe(filters.len()),
            SubscriptionRequest::Unsubscribe(filters) => IdUse::Unsubscribe(filters.len()),
        };
        let packet_id = self.ids.reserve(usage).ok_or(LocalError::NoPacketIdentifier)?;
        let packet = match request {
            SubscriptionRequest::Subscribe(filters) => {
                Packet::Subscribe(Subscribe { packet_id, properties, filters })
            }
            SubscriptionRequest::Unsubscribe(filters) => {
                Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
            }
        };
        let before = self.out.bytes.len();
        if let Err(error) = self.send(&packet) {
            self.ids.release(packet_id);
            return Err(error.into());
        }
        let size = self.out.bytes.len() - before;
        if size > self.server.maximum_packet_size {
            self.out.withdraw(size);
            self.ids.release(packet_id);
            return Err(LocalError::PacketTooLarge.into());
        }
        Ok(packet_id)
    }

    /// Acknowledges a received message: PUBACK for QoS 1, PUBREC for QoS 2.
    /// `epoch` names the connection it came by; on any other the server has to send it again. One of
    /// QoS 2 is then answered without the application.
    pub fn acknowledge(&mut self, packet_id: u16, qos: QoS, epoch: u32) {
        let current = self.is_online().then_some(self.epoch);
        let (kind, due) = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => {
                let due =
                    current == Some(epoch) && self.inbound.handle_acknowledged_qos1(packet_id);
                (AckKind::PubAck, due)
            }
            QoS::ExactlyOnce => {
                (AckKind::PubRec, self.inbound.handle_acknowledged_qos2(packet_id, epoch, current))
            }
        };
        if due {
            self.encode_ack(kind, packet_id, ReasonCode::SUCCESS);
        }
    }

    /// A message has yet to get to the application when its connection has ended. Whether it stays with the
    /// server, which sends it again by the next connection: one of QoS 2 could not be
    /// acknowledged now, and would be delivered twice if that is another process's.
    pub fn hand_back(&mut self, packet_id: u16, qos: QoS, epoch: u32) -> bool {
        let handed_back = qos == QoS::ExactlyOnce && self.server_keeps_session && !self.is_online();
        if handed_back {
            self.inbound.handle_failed_qos2(packet_id, epoch);
        }
        handed_back
    }

    /// The application failed at a received message: it is delivered again when the server sends it
    /// again.
    pub fn leave_unacknowledged(&mut self, packet_id: u16, qos: QoS, epoch: u32) {
        if qos == QoS::ExactlyOnce {
            self.inbound.handle_failed_qos2(packet_id, epoch);
        }
    }

    /// Sends an acknowledgement that the application did not ask for.
    pub(super) fn send_ack(&mut self, kind: AckKind, packet_id: u16, reason: ReasonCode) {
        self.encode_ack(kind, packet_id, reason);
        self.trace(|| Trace::SentAck(kind, packet_id));
    }

    fn encode_ack(&mut self, kind: AckKind, packet_id: u16, reason: ReasonCode) {
        let before = self.out.bytes.len();
        encode_ack(&mut self.out.bytes, self.config.version, kind, packet_id, reason, &[]);
        if self.out.bytes.len() - before > self.server.maximum_packet_size {
            self.out.bytes.truncate(before);
        }
        self.out.answered(before);
    }
}

/// Why SUBSCRIBE or UNSUBSCRIBE was not sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The session does not allow it now.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The request cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A PUBLISH of QoS 1 or 2 as another version writes it, and where its identifier stands.
fn reencode(packet: &[u8], from: Version, to: Version) -> Option<(Box<[u8]>, u32)> {
    let frame = parse_frame(packet).ok().flatten()?;
    let body = Bytes::from(try_copy(packet.get(frame.header_len..)?).ok()?);
    let publish = Publish::decode(from, frame.first, &body, &body).ok()?;
    let properties = if to.has_properties() { publish.properties_bytes() } else { &[] };
    let parts = PublishParts { properties, ..publish.parts() };
    let mut packet = Vec::new();
    encode_publish(&mut packet, to, &parts).ok()?;
    let id_at = identifier_at(&packet, parts.topic);
    Some((packet.into_boxed_slice(), id_at))
}

/// Where in a PUBLISH of QoS 1 or 2 its identifier stands.
fn identifier_at(packet: &[u8], topic: &str) -> u32 {
    (1 + length_field_size(packet) + 2 + topic.len()) as u32
}

/// The topic of a PUBLISH whose identifier stands at `id_at`.
fn topic_of(packet: &[u8], id_at: usize) -> &str {
    let topic = packet.get(1 + length_field_size(packet) + 2..id_at).unwrap_or_default();
    std::str::from_utf8(topic).unwrap_or_default()
}

fn traits_of(packet: &[u8]) -> (QoS, bool) {
    let first = packet.first().copied().unwrap_or(0);
    (QoS::try_from((first >> 1) & 3).unwrap_or(QoS::AtLeastOnce), first & 1 != 0)
}

fn length_field_size(packet: &[u8]) -> usize {
    1 + packet.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count()
}
