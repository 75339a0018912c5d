//! CONNACK, the server's answer to CONNECT.

use bytes::Bytes;

use super::frame::write_packet;
use super::primitives::Reader;
use super::properties::{put_properties, read_properties};
use super::{DecodeError, EncodeError, PacketType, Properties, ReasonCode, Version};

/// CONNACK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server has a session of this client.
    pub session_present: bool,
    /// Before MQTT 5.0 the return code as it came, 0 to 5 in the standard. A refusal for a reason
    /// that the standard does not know is a refusal all the same.
    pub reason: ReasonCode,
    /// Properties (MQTT 5.0).
    pub properties: Properties,
}

impl ConnAck {
    /// Decodes the body.
    pub fn decode(version: Version, body: &[u8], source: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let flags = reader.byte()?;
        if flags & !1 != 0 {
            return Err(DecodeError::Malformed("reserved flags of CONNACK")); // [MQTT-3.2.2-1]
        }
        let session_present = flags != 0;
        let mut reason = ReasonCode(reader.byte()?);
        if version.has_properties() && !reason.is_failure() {
            reason = reason.checked(PacketType::ConnAck)?; // [MQTT-3.2.2-8]
        }
        if session_present && reason != ReasonCode::SUCCESS {
            // [MQTT-3.2.2-6]; [MQTT-3.2.2-4] of 3.1.1
            return Err(DecodeError::Protocol("session present in a refusing CONNACK"));
        }
        let properties = read_properties(&mut reader, version, PacketType::ConnAck.into(), source)?;
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_packet(out, PacketType::ConnAck.first_byte(), |body| {
            body.extend_from_slice(&[u8::from(self.session_present), self.reason.0]);
            put_properties(body, version, self.properties.as_bytes())
        })
    }
}
