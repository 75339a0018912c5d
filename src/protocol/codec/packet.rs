//! Any packet: decoding by the first byte, encoding by the variant.

use bytes::Bytes;

use super::{
    Ack, AckKind, Auth, ConnAck, Connect, DecodeError, Disconnect, EncodeError, PacketType,
    Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Version, encode_ack, encode_publish,
};

/// A control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT.
    Connect(Box<Connect>),
    /// CONNACK.
    ConnAck(ConnAck),
    /// PUBLISH.
    Publish(Publish),
    /// PUBACK.
    PubAck(Ack),
    /// PUBREC.
    PubRec(Ack),
    /// PUBREL.
    PubRel(Ack),
    /// PUBCOMP.
    PubComp(Ack),
    /// SUBSCRIBE.
    Subscribe(Subscribe),
    /// SUBACK.
    SubAck(SubAck),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe),
    /// UNSUBACK.
    UnsubAck(UnsubAck),
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect(Disconnect),
    /// AUTH (MQTT 5.0).
    Auth(Auth),
}

impl Packet {
    /// The type in the fixed header.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Length of its encoded properties, those of a will aside; 0 where it has none.
    pub fn properties_len(&self) -> usize {
        match self {
            Self::Connect(packet) => packet.properties.as_bytes().len(),
            Self::ConnAck(packet) => packet.properties.as_bytes().len(),
            Self::Publish(packet) => packet.properties_bytes().len(),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.properties.as_bytes().len()
            }
            Self::Subscribe(packet) => packet.properties.as_bytes().len(),
            Self::SubAck(packet) => packet.properties.as_bytes().len(),
            Self::Unsubscribe(packet) => packet.properties.as_bytes().len(),
            Self::UnsubAck(packet) => packet.properties.as_bytes().len(),
            Self::Disconnect(packet) => {
                packet.properties.as_ref().map_or(0, |p| p.as_bytes().len())
            }
            Self::Auth(packet) => packet.properties.as_bytes().len(),
            Self::PingReq | Self::PingResp => 0,
        }
    }

    /// Appends the packet to `out`; on an error `out` stays as it was.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(version, out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => encode_publish(out, version, &packet.parts()),
            Self::PubAck(ack) => put_ack(out, version, AckKind::PubAck, ack),
            Self::PubRec(ack) => put_ack(out, version, AckKind::PubRec, ack),
            Self::PubRel(ack) => put_ack(out, version, AckKind::PubRel, ack),
            Self::PubComp(ack) => put_ack(out, version, AckKind::PubComp, ack),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq | Self::PingResp => {
                out.extend_from_slice(&[self.packet_type().first_byte(), 0]);
                Ok(())
            }
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }
}

fn put_ack(
    out: &mut Vec<u8>,
    version: Version,
    kind: AckKind,
    ack: &Ack,
) -> Result<(), EncodeError> {
    if ack.packet_id == 0 {
        return Err(EncodeError::PacketIdentifierZero);
    }
    encode_ack(out, version, kind, ack.packet_id, ack.reason, ack.properties.as_bytes());
    Ok(())
}

/// Decodes the packet with the first byte `first` and the bytes `body` behind its fixed header.
///
/// Packets of both directions are accepted; [`PacketType::is_sent_by_server`] says which of them a
/// client may meet. `body` lies in `source`: what must be kept becomes a slice of it.
#[inline]
pub fn decode(
    version: Version,
    first: u8,
    body: &[u8],
    source: &Bytes,
) -> Result<Packet, DecodeError> {
    let Some(packet_type) = PacketType::from_first_byte(first) else {
        return Err(DecodeError::Malformed("packet type 0"));
    };
    if packet_type == PacketType::Publish {
        return Publish::decode(version, first, body, source).map(Packet::Publish);
    }
    check_flags(version, packet_type, first)?;
    Ok(match packet_type {
        PacketType::Connect => Packet::Connect(Box::new(Connect::decode(version, body, source)?)),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(version, body, source)?),
        PacketType::Publish => Packet::Publish(Publish::decode(version, first, body, source)?),
        PacketType::PubAck => Packet::PubAck(Ack::decode(version, AckKind::PubAck, body, source)?),
        PacketType::PubRec => Packet::PubRec(Ack::decode(version, AckKind::PubRec, body, source)?),
        PacketType::PubRel => Packet::PubRel(Ack::decode(version, AckKind::PubRel, body, source)?),
        PacketType::PubComp => {
            Packet::PubComp(Ack::decode(version, AckKind::PubComp, body, source)?)
        }
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(version, body, source)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(version, body, source)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, body, source)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(version, body, source)?),
        PacketType::PingReq => empty(body, Packet::PingReq)?,
        PacketType::PingResp => empty(body, Packet::PingResp)?,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(version, body, source)?),
        PacketType::Auth => Packet::Auth(Auth::decode(version, body, source)?),
    })
}

/// The flags of the fixed header are reserved in every packet but PUBLISH [MQTT-2.1.3-1].
///
/// MQTT 3.1 gave them a meaning in PUBREL, SUBSCRIBE and UNSUBSCRIBE: DUP there is tolerated.
fn check_flags(version: Version, packet_type: PacketType, first: u8) -> Result<(), DecodeError> {
    const DUP: u8 = 0b1000;
    let expected = packet_type.first_byte();
    let with_dup = version == Version::V31 && expected & 0b0010 != 0 && first == expected | DUP;
    if first == expected || with_dup {
        Ok(())
    } else {
        Err(DecodeError::Malformed("reserved flags of the fixed header"))
    }
}

fn empty(body: &[u8], packet: Packet) -> Result<Packet, DecodeError> {
    if body.is_empty() {
        Ok(packet)
    } else {
        Err(DecodeError::Malformed("PINGREQ and PINGRESP have no body"))
    }
}
