//! rumqttc's reason codes of MQTT 5.0 by their numbers (table 2.6 of the standard).

use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, PubAckReason, PubCompReason, PubRecReason, PubRelReason,
    SubscribeReasonCode, UnsubAckReason,
};

pub(super) fn connack(code: ConnectReturnCode) -> u8 {
    use ConnectReturnCode as R;
    match code {
        R::Success => 0,
        R::RefusedProtocolVersion => 1,
        R::BadClientId => 2,
        R::ServiceUnavailable => 3,
        R::UnspecifiedError => 0x80,
        R::MalformedPacket => 0x81,
        R::ProtocolError => 0x82,
        R::ImplementationSpecificError => 0x83,
        R::UnsupportedProtocolVersion => 0x84,
        R::ClientIdentifierNotValid => 0x85,
        R::BadUserNamePassword => 0x86,
        R::NotAuthorized => 0x87,
        R::ServerUnavailable => 0x88,
        R::ServerBusy => 0x89,
        R::Banned => 0x8a,
        R::BadAuthenticationMethod => 0x8c,
        R::TopicNameInvalid => 0x90,
        R::PacketTooLarge => 0x95,
        R::QuotaExceeded => 0x97,
        R::PayloadFormatInvalid => 0x99,
        R::RetainNotSupported => 0x9a,
        R::QoSNotSupported => 0x9b,
        R::UseAnotherServer => 0x9c,
        R::ServerMoved => 0x9d,
        R::ConnectionRateExceeded => 0x9f,
    }
}

/// PUBACK and PUBREC have the same codes.
macro_rules! received {
    ($name:ident, $reason:ident) => {
        pub(super) fn $name(reason: $reason) -> u8 {
            match reason {
                $reason::Success => 0,
                $reason::NoMatchingSubscribers => 0x10,
                $reason::UnspecifiedError => 0x80,
                $reason::ImplementationSpecificError => 0x83,
                $reason::NotAuthorized => 0x87,
                $reason::TopicNameInvalid => 0x90,
                $reason::PacketIdentifierInUse => 0x91,
                $reason::QuotaExceeded => 0x97,
                $reason::PayloadFormatInvalid => 0x99,
            }
        }
    };
}

received!(puback, PubAckReason);
received!(pubrec, PubRecReason);

pub(super) fn pubrel(reason: PubRelReason) -> u8 {
    match reason {
        PubRelReason::Success => 0,
        PubRelReason::PacketIdentifierNotFound => 0x92,
    }
}

pub(super) fn pubcomp(reason: PubCompReason) -> u8 {
    match reason {
        PubCompReason::Success => 0,
        PubCompReason::PacketIdentifierNotFound => 0x92,
    }
}

pub(super) fn suback(reason: SubscribeReasonCode) -> u8 {
    use SubscribeReasonCode as R;
    match reason {
        R::Success(granted) => granted as u8,
        R::Failure | R::Unspecified => 0x80,
        R::ImplementationSpecific => 0x83,
        R::NotAuthorized => 0x87,
        R::TopicFilterInvalid => 0x8f,
        R::PkidInUse => 0x91,
        R::QuotaExceeded => 0x97,
        R::SharedSubscriptionsNotSupported => 0x9e,
        R::SubscriptionIdNotSupported => 0xa1,
        R::WildcardSubscriptionsNotSupported => 0xa2,
    }
}

pub(super) fn unsuback(reason: UnsubAckReason) -> u8 {
    match reason {
        UnsubAckReason::Success => 0,
        UnsubAckReason::NoSubscriptionExisted => 0x11,
        UnsubAckReason::UnspecifiedError => 0x80,
        UnsubAckReason::ImplementationSpecificError => 0x83,
        UnsubAckReason::NotAuthorized => 0x87,
        UnsubAckReason::TopicFilterInvalid => 0x8f,
        UnsubAckReason::PacketIdentifierInUse => 0x91,
    }
}
