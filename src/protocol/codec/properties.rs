//! Property lists: kept as they are encoded, checked once, read by walking them.

use bytes::Bytes;

use super::primitives::{Reader, keep, put_bytes, put_variable};
use super::property_list::{PropertyIter, validate};
use super::{
    DecodeError, EncodeError, MAX_REMAINING_LENGTH, PropertyContext, PropertyId, PropertyValue,
    QoS, Version,
};

/// A checked list of properties, encoded, without the length in front. Empty costs nothing, a clone
/// is one reference.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    encoded: Bytes,
}

impl Properties {
    /// Checks a received list: identifiers known and allowed in `context`, none repeated that may
    /// not be, values well-formed and in range. Takes time linear in its length. `list` lies in
    /// `source`, which the result keeps alive.
    pub fn decode(
        context: PropertyContext,
        list: &[u8],
        source: &Bytes,
    ) -> Result<Self, DecodeError> {
        validate(context, list)?;
        Ok(Self { encoded: keep(list, source) })
    }

    /// Checks a list that a caller encoded.
    pub fn from_encoded(context: PropertyContext, encoded: Bytes) -> Result<Self, EncodeError> {
        validate(context, &encoded).map_err(EncodeError::Properties)?;
        Ok(Self { encoded })
    }

    /// Bytes that [`validate`] accepted.
    pub(super) fn from_validated(encoded: Bytes) -> Self {
        Self { encoded }
    }

    /// Whether the list has no property.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The encoded list without its length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// The encoded list without its length, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.encoded.clone()
    }

    /// The properties in the order of the list.
    pub fn iter(&self) -> PropertyIter<'_> {
        PropertyIter::new(&self.encoded)
    }

    /// The first property with this identifier.
    pub fn find(&self, id: PropertyId) -> Option<PropertyValue<'_>> {
        self.iter().find(id)
    }

    /// A copy in an allocation of its own, so that the packet it came in can be freed.
    pub fn detach(&self) -> Self {
        Self { encoded: Bytes::copy_from_slice(&self.encoded) }
    }

    /// Receive Maximum: how many QoS 1 and 2 messages may be unacknowledged.
    pub fn receive_maximum(&self) -> Option<u16> {
        self.two_byte(PropertyId::ReceiveMaximum)
    }

    /// Topic Alias: the number that stands for the topic name.
    pub fn topic_alias(&self) -> Option<u16> {
        self.two_byte(PropertyId::TopicAlias)
    }

    /// Topic Alias Maximum: the largest alias that the sender of this packet accepts.
    pub fn topic_alias_maximum(&self) -> Option<u16> {
        self.two_byte(PropertyId::TopicAliasMaximum)
    }

    /// Server Keep Alive: seconds that replace the client's keep-alive.
    pub fn server_keep_alive(&self) -> Option<u16> {
        self.two_byte(PropertyId::ServerKeepAlive)
    }

    /// Maximum Packet Size that the sender of this packet accepts, in bytes.
    pub fn maximum_packet_size(&self) -> Option<u32> {
        self.four_byte(PropertyId::MaximumPacketSize)
    }

    /// Session Expiry Interval, in seconds.
    pub fn session_expiry_interval(&self) -> Option<u32> {
        self.four_byte(PropertyId::SessionExpiryInterval)
    }

    /// Message Expiry Interval, in seconds.
    pub fn message_expiry_interval(&self) -> Option<u32> {
        self.four_byte(PropertyId::MessageExpiryInterval)
    }

    /// Will Delay Interval, in seconds.
    pub fn will_delay_interval(&self) -> Option<u32> {
        self.four_byte(PropertyId::WillDelayInterval)
    }

    /// Maximum QoS that the server supports.
    pub fn maximum_qos(&self) -> Option<QoS> {
        self.byte(PropertyId::MaximumQoS).and_then(|value| QoS::try_from(value).ok())
    }

    /// Retain Available: whether the server supports retained messages.
    pub fn retain_available(&self) -> Option<bool> {
        self.flag(PropertyId::RetainAvailable)
    }

    /// Wildcard Subscription Available: whether the server supports wildcards.
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::WildcardSubscriptionAvailable)
    }

    /// Subscription Identifier Available: whether the server supports them.
    pub fn subscription_identifier_available(&self) -> Option<bool> {
        self.flag(PropertyId::SubscriptionIdentifierAvailable)
    }

    /// Shared Subscription Available: whether the server supports them.
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.flag(PropertyId::SharedSubscriptionAvailable)
    }

    /// Request Problem Information: whether the server may explain failures.
    pub fn request_problem_information(&self) -> Option<bool> {
        self.flag(PropertyId::RequestProblemInformation)
    }

    /// Assigned Client Identifier: what the server chose for a client without one.
    pub fn assigned_client_identifier(&self) -> Option<&str> {
        self.text(PropertyId::AssignedClientIdentifier)
    }

    /// Reason String: an explanation for people.
    pub fn reason_string(&self) -> Option<&str> {
        self.text(PropertyId::ReasonString)
    }

    /// Server Reference: another server to use.
    pub fn server_reference(&self) -> Option<&str> {
        self.text(PropertyId::ServerReference)
    }

    /// Response Topic: where the answer to a request is expected.
    pub fn response_topic(&self) -> Option<&str> {
        self.text(PropertyId::ResponseTopic)
    }

    /// Authentication Method: the name of the enhanced authentication.
    pub fn authentication_method(&self) -> Option<&str> {
        self.text(PropertyId::AuthenticationMethod)
    }

    /// Authentication Data: what the method exchanges.
    pub fn authentication_data(&self) -> Option<&[u8]> {
        match self.find(PropertyId::AuthenticationData) {
            Some(PropertyValue::Binary(data)) => Some(data),
            _ => None,
        }
    }

    /// All Subscription Identifiers: those of the subscriptions that matched.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter().filter_map(|property| match property {
            (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(id)) => Some(id),
            _ => None,
        })
    }

    /// All User Properties, as pairs of name and value.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.iter().filter_map(|property| match property {
            (PropertyId::UserProperty, PropertyValue::Pair(name, value)) => Some((name, value)),
            _ => None,
        })
    }

    fn byte(&self, id: PropertyId) -> Option<u8> {
        match self.find(id) {
            Some(PropertyValue::Byte(value)) => Some(value),
            _ => None,
        }
    }

    fn flag(&self, id: PropertyId) -> Option<bool> {
        self.byte(id).map(|value| value != 0)
    }

    fn two_byte(&self, id: PropertyId) -> Option<u16> {
        match self.find(id) {
            Some(PropertyValue::TwoByte(value)) => Some(value),
            _ => None,
        }
    }

    fn four_byte(&self, id: PropertyId) -> Option<u32> {
        match self.find(id) {
            Some(PropertyValue::FourByte(value)) => Some(value),
            _ => None,
        }
    }

    fn text(&self, id: PropertyId) -> Option<&str> {
        match self.find(id) {
            Some(PropertyValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Properties {
    /// Authentication data is a credential and does not show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(id, value)| match id {
                PropertyId::AuthenticationData => (id, PropertyValue::Text("***")),
                _ => (id, value),
            }))
            .finish()
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (PropertyId, PropertyValue<'a>);
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

/// Writes a property list behind its length. Before MQTT 5.0 there is none.
pub(super) fn put_properties(
    out: &mut Vec<u8>,
    version: Version,
    list: &[u8],
) -> Result<(), EncodeError> {
    if !version.has_properties() {
        return if list.is_empty() { Ok(()) } else { Err(EncodeError::NotInVersion("properties")) };
    }
    if list.len() > MAX_REMAINING_LENGTH {
        return Err(EncodeError::PacketTooLarge);
    }
    put_variable(out, list.len());
    put_bytes(out, list)?;
    Ok(())
}

/// Reads a property list behind its length; before MQTT 5.0 there is none.
pub(super) fn read_properties(
    reader: &mut Reader<'_>,
    version: Version,
    context: PropertyContext,
    source: &Bytes,
) -> Result<Properties, DecodeError> {
    if !version.has_properties() {
        return Ok(Properties::default());
    }
    Properties::decode(context, reader.property_list()?, source)
}
