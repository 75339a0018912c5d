//! Walking an encoded property list, and the rules that a received one must keep.

use super::primitives::Reader;
use super::{
    DecodeError, MAX_REMAINING_LENGTH, PacketType, PropertyContext, PropertyId, PropertyKind,
    PropertyValue,
};
use crate::topic;

/// Walks a checked list.
#[derive(Clone)]
pub struct PropertyIter<'a> {
    reader: Reader<'a>,
}

impl<'a> PropertyIter<'a> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self { reader: Reader::new(list) }
    }

    /// The first property with this identifier among those that are left.
    pub fn find(mut self, id: PropertyId) -> Option<PropertyValue<'a>> {
        Iterator::find(&mut self, |property| property.0 == id).map(|(_, value)| value)
    }
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = (PropertyId, PropertyValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        read_property(&mut self.reader).ok()
    }
}

/// Which properties a list has so far; every identifier is below 64.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) fn contains(self, id: PropertyId) -> bool {
        self.0 & 1 << id as u8 != 0
    }

    pub(super) fn insert(&mut self, id: PropertyId) {
        self.0 |= 1 << id as u8;
    }
}

/// The rules of [`Properties::decode`](super::Properties::decode).
pub(super) fn validate(context: PropertyContext, list: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(list);
    let mut seen = Seen::default();
    while !reader.is_empty() {
        let (id, value) = read_property(&mut reader)?;
        if !id.is_allowed_in(context) {
            return Err(DecodeError::Protocol("property not allowed in this packet"));
        }
        if seen.contains(id) && !id.is_repeatable_in(context) {
            return Err(DecodeError::Protocol("property given twice"));
        }
        seen.insert(id);
        check_range(id, &value)?;
    }
    // 3.1.2.11.10
    if context == PropertyContext::Packet(PacketType::Connect)
        && seen.contains(PropertyId::AuthenticationData)
        && !seen.contains(PropertyId::AuthenticationMethod)
    {
        return Err(DecodeError::Protocol("authentication data without a method"));
    }
    Ok(())
}

/// An identifier is a variable byte integer, though all known ones fit one byte (2.2.2.2).
fn read_property<'a>(
    reader: &mut Reader<'a>,
) -> Result<(PropertyId, PropertyValue<'a>), DecodeError> {
    let id = PropertyId::from_id(reader.variable()?)
        .ok_or(DecodeError::Malformed("unknown property"))?;
    let value = match id.kind() {
        PropertyKind::Byte => PropertyValue::Byte(reader.byte()?),
        PropertyKind::TwoByteInteger => PropertyValue::TwoByte(reader.two_byte()?),
        PropertyKind::FourByteInteger => PropertyValue::FourByte(reader.four_byte()?),
        PropertyKind::VariableByteInteger => PropertyValue::VarInt(reader.variable()?),
        PropertyKind::BinaryData => PropertyValue::Binary(reader.binary()?),
        PropertyKind::Utf8String => PropertyValue::Text(reader.text()?),
        PropertyKind::Utf8StringPair => PropertyValue::Pair(reader.text()?, reader.text()?),
    };
    Ok((id, value))
}

/// Values that their type could hold and the standard forbids.
pub(super) fn check_range(id: PropertyId, value: &PropertyValue<'_>) -> Result<(), DecodeError> {
    use PropertyId as P;
    match (id, value) {
        (P::TopicAlias, PropertyValue::TwoByte(0)) => Err(DecodeError::TopicAliasInvalid),
        // Every property of one byte is 0 or 1.
        (_, PropertyValue::Byte(2..)) => Err(DecodeError::Protocol("property is neither 0 nor 1")),
        (P::ReceiveMaximum, PropertyValue::TwoByte(0))
        | (P::MaximumPacketSize, PropertyValue::FourByte(0))
        | (P::SubscriptionIdentifier, PropertyValue::VarInt(0)) => {
            Err(DecodeError::Protocol("property is zero"))
        }
        (P::SubscriptionIdentifier, PropertyValue::VarInt(id))
            if *id as usize > MAX_REMAINING_LENGTH =>
        {
            Err(DecodeError::Protocol("subscription identifier too large"))
        }
        // It is a topic name (3.3.2.3.5): not empty [MQTT-4.7.3-1], no wildcard [MQTT-3.3.2-14].
        (P::ResponseTopic, PropertyValue::Text(name)) if !topic::is_valid_name(name) => {
            Err(DecodeError::Protocol("response topic is not a topic name"))
        }
        _ => Ok(()),
    }
}
