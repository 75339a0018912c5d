//! The faults that the simulation makes, and a count of each.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    HalfOpenIdle,
    HalfOpenPublishing,
    SlowDownload,
    NoConnAck,
    ConnectRefused,
    CutInPacketDown,
    CutInPacketUp,
    CutBeforePubAck,
    CutBeforePubRec,
    CutBeforePubRel,
    CutBeforePubComp,
    CutWhileIdle,
    OneByteSegments,
    ManyPacketsAtOnce,
    PeerStopsReading,
    ManyQueued,
    KickedAfterConnAck,
    ClockLeap,
    Malformed,
    LengthOfFiveBytes,
    OverlongLength,
    QosThree,
    IdentifierZero,
    StrayPubAck,
    StrayPubRec,
    StrayPubComp,
    StraySubAck,
    StrayPubRel,
    AckOfWrongKind,
    AckOfUnsent,
    ReservedFlags,
    ConnAckFlags,
    PresentOnCleanStart,
    BeforeConnAck,
    SecondConnAck,
    InvalidUtf8,
    ForbiddenCharacter,
    EmptyTopic,
    AliasZero,
    AliasAboveMaximum,
    AliasUnknown,
    TooLarge,
    ReceiveMaximumExceeded,
    SmallQuota,
    SmallMaximumPacketSize,
    LowMaximumQos,
    AliasRefused,
    AliasAlone,
    RetainUnavailable,
    ServerKeepAlive,
    AssignedIdentifier,
    SessionLost,
    SessionLostBeforePubRel,
    DuplicateQos2,
    ApplicationFails,
    RefusedMessage,
    SubAckCount,
    Redirected,
    AuthUnasked,
    DisconnectReason,
    ForbiddenType,
    NeverReleased,
    IdentifiersWrap,
    PropertyTwice,
    PropertyMisplaced,
    PropertyValue,
    FloodOfTiny,
    FloodOfStrays,
    ClientGoesWhileConnecting,
    UnfinishedDropped,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) steps: u64,
    pub(crate) connections: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) faults: BTreeMap<Fault, u64>,
}

impl Stats {
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.connections += other.connections;
        self.published += other.published;
        self.delivered += other.delivered;
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.faults.values().sum();
        writeln!(f, "steps       {:>12}", self.steps)?;
        writeln!(f, "connections {:>12}", self.connections)?;
        writeln!(f, "messages    {:>12} out, {} in", self.published, self.delivered)?;
        writeln!(f, "faults      {total:>12} of {} kinds", self.faults.len())?;
        for (fault, count) in &self.faults {
            writeln!(f, "  {:<26}{count:>10}", format!("{fault:?}"))?;
        }
        Ok(())
    }
}
