//! CONNECT, the first packet of a connection.

use bytes::Bytes;
use bytestring::ByteString;

use super::frame::write_packet;
use super::primitives::{Reader, keep, keep_text, put_binary, put_text};
use super::properties::{put_properties, read_properties};
use super::{DecodeError, EncodeError, PacketType, Properties, PropertyContext, QoS, Version};
use crate::topic;

const USERNAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS: u8 = 0x18;
const WILL: u8 = 0x04;
const CLEAN_START: u8 = 0x02;
const RESERVED: u8 = 0x01;
/// Added to the protocol level by a bridge, a custom from before MQTT 5.0.
const BRIDGE: u8 = 0x80;

/// CONNECT.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Connect {
    /// The client identifier; if it is empty the server may choose one.
    pub client_id: ByteString,
    /// Clean Start, called Clean Session before MQTT 5.0.
    pub clean_start: bool,
    /// In seconds; 0 turns the keep alive off.
    pub keep_alive: u16,
    /// Text by the standard; bytes because existing clients do send others.
    pub username: Option<Bytes>,
    /// Binary data.
    pub password: Option<Bytes>,
    /// The will, if the server is to publish one.
    pub will: Option<Will>,
    /// Properties of CONNECT itself (MQTT 5.0); the will has its own.
    pub properties: Properties,
    /// Says to an MQTT 3 server that the client is a bridge. MQTT 5.0 has no such bit.
    pub bridge: bool,
}

/// The message that the server publishes when the connection is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Will {
    /// The topic name.
    pub topic: ByteString,
    /// The payload.
    pub payload: Bytes,
    /// With which QoS the server publishes it.
    pub qos: QoS,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Properties of the will (MQTT 5.0).
    pub properties: Properties,
}

impl Will {
    /// The same in allocations of its own, so that the receive buffer can be freed.
    pub fn detach(&self) -> Self {
        Self {
            topic: ByteString::from(&*self.topic),
            payload: Bytes::copy_from_slice(&self.payload),
            properties: self.properties.detach(),
            ..*self
        }
    }

    /// Bytes of what it holds.
    pub fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.as_bytes().len()
    }
}

impl std::fmt::Debug for Connect {
    /// Credentials do not show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("username", &self.username.as_ref().map(|_| "***"))
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("will", &self.will)
            .field("properties", &self.properties)
            .field("bridge", &self.bridge)
            .finish()
    }
}

impl Connect {
    /// The version that the body of a CONNECT asks for: what a server needs before it decodes it.
    pub fn requested_version(body: &[u8]) -> Result<Version, DecodeError> {
        read_protocol(&mut Reader::new(body)).map(|(version, _)| version)
    }

    /// Decodes the body, which must ask for `version`.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let (requested, bridge) = read_protocol(&mut reader)?;
        if requested != version {
            return Err(DecodeError::UnsupportedProtocolVersion);
        }
        let flags = reader.byte()?;
        check_flags(version, flags)?;
        let keep_alive = reader.two_byte()?;
        let properties = read_properties(&mut reader, version, PacketType::Connect.into(), source)?;
        let client_id = keep_text(reader.text()?, source);
        let will = if flags & WILL == 0 {
            None
        } else {
            Some(read_will(&mut reader, version, flags, source)?)
        };
        // In MQTT 3.1 the remaining length takes precedence over these two flags.
        let missing_allowed = version == Version::V31;
        let mut username = None;
        if flags & USERNAME != 0 && !(missing_allowed && reader.is_empty()) {
            username = Some(keep(reader.text()?.as_bytes(), source));
        }
        let mut password = None;
        if flags & PASSWORD != 0 && !(missing_allowed && reader.is_empty()) {
            password = Some(keep(reader.binary()?, source));
        }
        reader.finish()?;
        Ok(Self {
            client_id,
            clean_start: flags & CLEAN_START != 0,
            keep_alive,
            username,
            password,
            will,
            properties,
            bridge,
        })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let v5 = version.has_properties();
        if self.password.is_some() && self.username.is_none() && !v5 {
            return Err(EncodeError::PasswordWithoutUsername);
        }
        if self.bridge && v5 {
            return Err(EncodeError::NotInVersion("bridge bit"));
        }
        write_packet(out, PacketType::Connect.first_byte(), |body| {
            put_text(body, version.protocol_name(), "protocol name")?;
            body.push(version.level() | if self.bridge { BRIDGE } else { 0 });
            body.push(self.flags());
            body.extend_from_slice(&self.keep_alive.to_be_bytes());
            put_properties(body, version, self.properties.as_bytes())?;
            put_text(body, &self.client_id, "client identifier")?;
            if let Some(will) = &self.will {
                put_properties(body, version, will.properties.as_bytes())?;
                put_text(body, &will.topic, "will topic")?;
                put_binary(body, &will.payload, "will payload")?;
            }
            if let Some(username) = &self.username {
                if memchr::memchr(0, username).is_some() {
                    return Err(EncodeError::NulCharacter("user name"));
                }
                put_binary(body, username, "user name")?;
            }
            if let Some(password) = &self.password {
                put_binary(body, password, "password")?;
            }
            Ok(())
        })
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << WILL_QOS.trailing_zeros();
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.username.is_some() {
            flags |= USERNAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }
}

/// Protocol name and level, with the bridge bit split off.
fn read_protocol(reader: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = reader.text()?;
    let level = reader.byte()?;
    let version = Version::from_level(level & !BRIDGE)
        .filter(|version| version.protocol_name() == name)
        .ok_or(DecodeError::UnsupportedProtocolVersion)?;
    let bridge = level & BRIDGE != 0;
    if bridge && version.has_properties() {
        return Err(DecodeError::UnsupportedProtocolVersion);
    }
    Ok((version, bridge))
}

fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    if flags & RESERVED != 0 {
        return Err(DecodeError::Malformed("reserved flag of CONNECT")); // [MQTT-3.1.2-3]
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        // [MQTT-3.1.2-11, MQTT-3.1.2-13]
        return Err(DecodeError::Malformed("will QoS or will retain without a will"));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(DecodeError::Malformed("will QoS 3")); // [MQTT-3.1.2-12]
    }
    if !version.has_properties() && flags & USERNAME == 0 && flags & PASSWORD != 0 {
        // [MQTT-3.1.2-22] of 3.1.1
        return Err(DecodeError::Malformed("password without user name"));
    }
    Ok(())
}

fn read_will(
    reader: &mut Reader<'_>,
    version: Version,
    flags: u8,
    source: &Bytes,
) -> Result<Will, DecodeError> {
    let properties = read_properties(reader, version, PropertyContext::Will, source)?;
    let name = reader.text()?;
    if !topic::is_valid_name(name) {
        return Err(DecodeError::Malformed("will topic is not a topic name"));
    }
    Ok(Will {
        topic: keep_text(name, source),
        payload: keep(reader.binary()?, source),
        qos: QoS::from_bits(flags >> WILL_QOS.trailing_zeros())
            .ok_or(DecodeError::Malformed("will QoS 3"))?,
        retain: flags & WILL_RETAIN != 0,
        properties,
    })
}
