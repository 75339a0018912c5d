//! Bytes to packets and back, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! The version is a parameter. Names follow the OASIS texts; clauses such as [MQTT-3.3.1-4] are those
//! of MQTT 5.0 unless 3.1.1 is said. Nothing here knows a socket, a clock or a thread, and nothing
//! panics on bytes from the network: a decoder answers with a [`DecodeError`] and its reason code.

mod ack;
mod connack;
mod connect;
mod disconnect;
mod error;
mod frame;
mod packet;
mod packet_type;
mod partial;
mod primitives;
mod properties;
mod properties_builder;
mod property;
mod property_list;
mod publish;
mod reason;
mod subscribe;
mod version;

pub use ack::{Ack, AckKind, encode_ack};
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::{Auth, Disconnect};
pub use error::{DecodeError, EncodeError};
pub use frame::{Frame, parse_frame};
pub use packet::{Packet, decode};
pub use packet_type::{PacketSet, PacketType};
pub use partial::Partial;
pub use primitives::{MAX_REMAINING_LENGTH, put_variable, try_copy};
pub use properties::Properties;
pub use properties_builder::PropertiesBuilder;
pub use property::{
    PROPERTIES, PropertyContext, PropertyId, PropertyKind, PropertyRow, PropertyValue,
};
pub use property_list::PropertyIter;
pub use publish::{Publish, PublishParts, encode_publish, encoded_topic_alias, publish_size};
pub use reason::{REASON_CODES, ReasonCode, ReasonCodeRow};
pub use subscribe::{
    RetainHandling, SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe,
};
pub use version::{QoS, Version};
