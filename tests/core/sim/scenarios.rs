//! What can go wrong between a client and a broker, and where each of it happens in the tests: as
//! faults of the simulation, or with real sockets where it is not the session's concern.

use std::path::Path;

use super::fault::{
    Fault::{self, *},
    Stats,
};

pub(super) enum Place {
    /// Faults of the simulation.
    Here(&'static [Fault]),
    /// A test with real sockets: file and name.
    There(&'static str, &'static str),
}
use Place::{Here, There};

const DIALLING: &str = "tests/lifecycle/test_dialling.py";
const ERRORS: &str = "tests/interop/test_errors.py";
const TRAFFIC: &str = "tests/interop/test_traffic.py";
const TIME: &str = "tests/lifecycle/test_time.py";
const ADDRESSES: &str = "tests/transports/test_addresses.py";
const HANDSHAKE: &str = "tests/transports/test_websocket_handshake.py";
const PROXIES: &str = "tests/transports/test_proxies.py";

pub(super) const SCENARIOS: [(&str, Place); 60] = [
    // The network.
    ("half-open: the peer is gone, nothing is sent", Here(&[HalfOpenIdle])),
    ("half-open while publishing", Here(&[HalfOpenPublishing])),
    ("a download slower than the keep-alive, no PINGRESP", Here(&[SlowDownload])),
    ("CONNACK never comes", Here(&[NoConnAck])),
    ("the SYN is dropped", There(DIALLING, "test_stop_while_nobody_answers_the_syn")),
    ("ClientHello is never answered", There(TIME, "test_stop_while_the_tls_handshake_stalls")),
    (
        "endless answer to the WebSocket handshake",
        There(HANDSHAKE, "test_a_dripping_server_does_not_outlast_the_deadline"),
    ),
    ("reset in mid packet", Here(&[CutInPacketDown, CutInPacketUp])),
    (
        "reset between protocol states",
        Here(&[CutBeforePubAck, CutBeforePubRec, CutBeforePubRel, CutBeforePubComp, CutWhileIdle]),
    ),
    ("segments of one byte", Here(&[OneByteSegments])),
    ("many packets in one segment", Here(&[ManyPacketsAtOnce])),
    ("the peer stops reading", Here(&[PeerStopsReading])),
    ("1,000 queued messages and a flaky link", Here(&[ManyQueued])),
    ("reconnect storm: back-off", There(TIME, "test_back_off")),
    ("accepted, then kicked", Here(&[KickedAfterConnAck, ConnectRefused])),
    ("name resolution fails", There(ERRORS, "test_unknown_host")),
    ("a dead address before a live one", There(ADDRESSES, "test_a_dead_address_costs_a_moment")),
    ("the address changes while connected", Here(&[HalfOpenIdle])),
    ("the proxy refuses, stalls or lies", There(PROXIES, "test_silent_proxy")),
    ("the clock jumps, the machine sleeps", Here(&[ClockLeap])),
    ("descriptors above 1,023", There(TRAFFIC, "test_thousand_clients")),
    ("the unix socket's path is gone", There(ERRORS, "test_gone_unix_socket")),
    // The broker.
    ("malformed packet", Here(&[Malformed])),
    ("remaining length of five bytes, over-long", Here(&[LengthOfFiveBytes, OverlongLength])),
    ("QoS 3", Here(&[QosThree])),
    ("packet identifier 0", Here(&[IdentifierZero])),
    ("unsolicited PUBACK, PUBREC, PUBCOMP", Here(&[StrayPubAck, StrayPubRec, StrayPubComp])),
    ("unsolicited SUBACK, UNSUBACK", Here(&[StraySubAck])),
    ("acknowledgement of the wrong kind", Here(&[AckOfWrongKind, AckOfUnsent])),
    ("reserved bits of the fixed header", Here(&[ReservedFlags])),
    ("CONNACK with impossible flags", Here(&[ConnAckFlags, PresentOnCleanStart])),
    ("packets before CONNACK", Here(&[BeforeConnAck])),
    ("second CONNACK", Here(&[SecondConnAck])),
    ("topic that is no UTF-8", Here(&[InvalidUtf8])),
    ("topic with U+0000 or wildcards", Here(&[ForbiddenCharacter])),
    ("empty topic without an alias", Here(&[EmptyTopic])),
    ("topic alias 0, too high, unknown", Here(&[AliasZero, AliasAboveMaximum, AliasUnknown])),
    ("packet above our Maximum Packet Size", Here(&[TooLarge])),
    ("the server exceeds our Receive Maximum", Here(&[ReceiveMaximumExceeded])),
    ("the server's Receive Maximum is small", Here(&[SmallQuota])),
    ("the server's Maximum Packet Size is small", Here(&[SmallMaximumPacketSize])),
    ("Maximum QoS 0 or 1", Here(&[LowMaximumQos])),
    ("aliases of our own, with and without their topics", Here(&[AliasRefused, AliasAlone])),
    ("Retain Available 0", Here(&[RetainUnavailable])),
    ("Server Keep Alive", Here(&[ServerKeepAlive])),
    ("Assigned Client Identifier, then a reconnect", Here(&[AssignedIdentifier])),
    ("the session is lost with PUBREL in flight", Here(&[SessionLost, SessionLostBeforePubRel])),
    ("the application fails at a message", Here(&[ApplicationFails])),
    ("QoS 2 PUBLISH twice before PUBREL", Here(&[DuplicateQos2])),
    ("PUBREL of an unknown identifier", Here(&[StrayPubRel])),
    ("PUBACK or PUBREC with a failure", Here(&[RefusedMessage])),
    ("SUBACK with too many or too few codes", Here(&[SubAckCount])),
    ("DISCONNECT with a Server Reference", Here(&[Redirected])),
    ("AUTH that nobody asked for", Here(&[AuthUnasked])),
    ("DISCONNECT with every reason", Here(&[DisconnectReason])),
    ("packet types that a server may not send", Here(&[ForbiddenType])),
    ("QoS 2 messages that are never released", Here(&[NeverReleased, FloodOfStrays])),
    ("identifiers wrap while some are in use", Here(&[IdentifiersWrap])),
    (
        "property twice, misplaced, with a wrong value",
        Here(&[PropertyTwice, PropertyMisplaced, PropertyValue]),
    ),
    ("flood of tiny QoS 1 messages", Here(&[FloodOfTiny])),
];

/// Every fault that the table names has happened.
pub(super) fn check_all_happened(stats: &Stats) {
    for (scenario, place) in &SCENARIOS {
        if let Here(faults) = place {
            for fault in *faults {
                assert!(stats.faults.contains_key(fault), "{scenario}: no {fault:?}");
            }
        }
    }
}

#[test]
fn what_happens_elsewhere_is_there() {
    for (scenario, place) in &SCENARIOS {
        if let There(file, test) = place {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("def {test}(")), "{scenario}: {file} has no {test}");
        }
    }
}
