//! DISCONNECT and AUTH: a reason and properties, both of which may be left out.

use bytes::Bytes;

use super::frame::write_packet;
use super::primitives::Reader;
use super::properties::put_properties;
use super::{DecodeError, EncodeError, PacketType, Properties, ReasonCode, Version};

/// DISCONNECT, the last packet of a connection. A packet may leave out its properties, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnect {
    /// Absent means normal disconnection (3.14.2.1).
    pub reason: Option<ReasonCode>,
    /// Properties (MQTT 5.0); absent and empty are encoded differently.
    pub properties: Option<Properties>,
}

impl Disconnect {
    /// The shortest packet that says this.
    pub fn new(reason: ReasonCode, properties: Properties) -> Self {
        let properties = Some(properties).filter(|list| !list.is_empty());
        let is_said = reason != ReasonCode::NORMAL_DISCONNECTION || properties.is_some();
        Self { reason: is_said.then_some(reason), properties }
    }

    /// Decodes the body; `E0 00` and `E0 01 rc` are whole packets (3.14.2.1, 3.14.2.2.1).
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mut packet = Self::default();
        if version.has_properties() && !reader.is_empty() {
            // [MQTT-3.14.2-1]
            packet.reason = Some(ReasonCode(reader.byte()?).checked(PacketType::Disconnect)?);
            if !reader.is_empty() {
                let list = reader.property_list()?;
                packet.properties =
                    Some(Properties::decode(PacketType::Disconnect.into(), list, source)?);
            }
        }
        reader.finish()?;
        Ok(packet)
    }

    /// Appends the packet. Before MQTT 5.0 it carries no reason.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_packet(out, PacketType::Disconnect.first_byte(), |body| {
            let reason = self.reason.unwrap_or_default();
            if version.has_properties() && (self.reason.is_some() || self.properties.is_some()) {
                body.push(reason.0);
            }
            match &self.properties {
                Some(properties) => put_properties(body, version, properties.as_bytes()),
                None => Ok(()),
            }
        })
    }
}

/// AUTH, a step of enhanced authentication (MQTT 5.0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue authentication, or re-authenticate.
    pub reason: ReasonCode,
    /// Among them the authentication method and data.
    pub properties: Properties,
}

impl Auth {
    /// Decodes the body. It may be empty (3.15.2.1); one that is not names its authentication
    /// method (3.15.2.2.2).
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        if !version.has_properties() {
            return Err(DecodeError::Protocol("AUTH before MQTT 5.0"));
        }
        let mut reader = Reader::new(body);
        let mut packet = Self::default();
        if !reader.is_empty() {
            packet.reason = ReasonCode(reader.byte()?).checked(PacketType::Auth)?; // [MQTT-3.15.2-1]
            packet.properties =
                Properties::decode(PacketType::Auth.into(), reader.property_list()?, source)?;
            if packet.properties.authentication_method().is_none() {
                return Err(DecodeError::Protocol("AUTH without an authentication method"));
            }
        }
        reader.finish()?;
        Ok(packet)
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !version.has_properties() {
            return Err(EncodeError::NotInVersion("AUTH"));
        }
        write_packet(out, PacketType::Auth.first_byte(), |body| {
            if self.reason == ReasonCode::SUCCESS && self.properties.is_empty() {
                return Ok(());
            }
            body.push(self.reason.0);
            put_properties(body, version, self.properties.as_bytes())
        })
    }
}
