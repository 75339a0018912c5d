//! The steps of a run, and how they are drawn. A step says nothing about the state it meets, so any
//! part of a run is a run: that is what shrinking and the model check need.

use oxmqtt_protocol::codec::Version;

use super::fault::Fault;
use super::hostile::{ANYTIME, refusal};
use super::link::Grant;
use super::random::Random;
use super::server::Naming;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The application.
    Publish {
        qos: u8,
        padding: u16,
        retain: bool,
        own: Own,
    },
    PublishMany(u16),
    Subscribe {
        filters: u8,
    },
    Unsubscribe,
    Acknowledge(u8),
    Fail(u8),
    DropUnfinished,
    Disconnect,
    /// Uses up so many identifiers.
    SkipIdentifiers(u16),
    /// The network.
    Connect {
        keep: bool,
        clean: bool,
        reply: Reply,
    },
    Up(u16),
    Down(u16),
    /// So many segments of one byte.
    DownByBytes(u8),
    Cut,
    Vanish,
    Stall(bool),
    /// So many tenths of a keep-alive.
    Wait {
        tenths: u8,
        reading: bool,
    },
    /// The process sleeps for that many seconds.
    Leap(u16),
    SlowDownload,
    TwoRoundTrips,
    /// The server.
    Answer {
        index: u8,
        refuse: bool,
    },
    Deliver {
        qos: u8,
        naming: Naming,
    },
    Flood(u8),
    Copy,
    Withhold(bool),
    Stray {
        fault: Fault,
        id: u16,
    },
    StrayFlood,
    Breach {
        fault: Fault,
        variant: u8,
    },
    WrongAck {
        variant: u8,
    },
    AckOfUnsent,
    SubAckCount {
        more: bool,
    },
}

/// How the application names the topic of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Own {
    Topic,
    /// By an alias beside the topic, which is another for each message.
    Named(u8),
    /// By the alias alone.
    Alone(u8),
}

/// How the server answers CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Accept(Grant),
    Refuse(u8),
    Nothing,
    Early(u8),
    Wrong(Fault, u8),
}

/// The rest of the whole stream.
pub(crate) const ALL: u16 = u16::MAX;

fn bytes(random: &mut Random) -> u16 {
    if random.below(7) < 4 { ALL } else { random.between(1, 40) as u16 }
}

fn grant(random: &mut Random, quota: u16) -> Grant {
    let mut grant = Grant { receive_maximum: quota, ..Grant::ALL };
    if random.one_in(12) {
        grant.maximum_qos = random.below(2) as u8;
    }
    grant.retain = !random.one_in(12);
    if random.one_in(12) {
        grant.packet = random.between(24, 64) as u16;
    }
    if random.one_in(6) {
        grant.keep_alive = Some(random.between(1, 90) as u8);
    }
    grant.assign = random.one_in(3);
    grant.aliases = random.below(4) as u8;
    grant
}

fn reply(random: &mut Random, version: Version) -> Reply {
    match random.below(40) {
        0 | 1 => Reply::Refuse(refusal(version, random)),
        2 | 3 => Reply::Nothing,
        4 => Reply::Early(random.below(20) as u8),
        5 => Reply::Wrong(Fault::ConnAckFlags, random.below(7) as u8),
        6 => Reply::Wrong(Fault::PresentOnCleanStart, 0),
        _ => {
            let quota = random.between(1, 5) as u16;
            Reply::Accept(grant(random, quota))
        }
    }
}

fn publish(random: &mut Random) -> Step {
    Step::Publish {
        qos: random.below(3) as u8,
        padding: if random.one_in(20) { random.between(1, 300) as u16 } else { 0 },
        retain: random.one_in(20),
        own: match random.below(6) {
            0 => Own::Named(random.below(5) as u8),
            1 => Own::Alone(random.below(5) as u8),
            _ => Own::Topic,
        },
    }
}

fn deliver(random: &mut Random) -> Step {
    let naming = if random.one_in(3) { Naming::Alias } else { Naming::Topic };
    Step::Deliver { qos: random.below(3) as u8, naming }
}

fn rare(random: &mut Random) -> Step {
    match random.below(20) {
        0 => Step::DropUnfinished,
        1 => Step::Disconnect,
        2 => Step::Vanish,
        3 => Step::Stall(random.below(3) > 0),
        4 => Step::Leap(random.between(1, 7200) as u16),
        5 => Step::SlowDownload,
        6 => Step::Withhold(random.below(2) == 0),
        7 | 17..20 => Step::Breach { fault: random.of(&ANYTIME), variant: random.below(256) as u8 },
        8 => Step::WrongAck { variant: random.below(8) as u8 },
        9 => Step::AckOfUnsent,
        10 => Step::SubAckCount { more: random.below(2) == 0 },
        11 => Step::Flood(random.between(10, 200) as u8),
        12 if random.one_in(8) => Step::PublishMany(1000),
        13 if random.one_in(60) => Step::SkipIdentifiers(random.between(65_400, 65_535) as u16),
        14 if random.one_in(20) => Step::StrayFlood,
        _ => {
            const STRAYS: [Fault; 5] = [
                Fault::StrayPubAck,
                Fault::StrayPubRec,
                Fault::StrayPubComp,
                Fault::StraySubAck,
                Fault::StrayPubRel,
            ];
            Step::Stray { fault: random.of(&STRAYS), id: random.between(50_000, 65_535) as u16 }
        }
    }
}

/// The next step of a random run.
pub(crate) fn draw(random: &mut Random, version: Version) -> Step {
    match random.below(240) {
        0..36 => publish(random),
        36..72 => Step::Up(bytes(random)),
        72..108 => Step::Down(bytes(random)),
        108..144 => Step::Answer { index: random.below(16) as u8, refuse: random.one_in(10) },
        144..162 => deliver(random),
        162..179 => Step::Acknowledge(random.below(16) as u8),
        179 => Step::Fail(random.below(16) as u8),
        180..190 => Step::Connect {
            keep: random.below(4) > 0,
            clean: random.one_in(8),
            reply: reply(random, version),
        },
        190..194 => Step::Cut,
        194..200 => {
            Step::Wait { tenths: random.between(1, 20) as u8, reading: random.below(4) > 0 }
        }
        200..204 => Step::DownByBytes(random.between(1, 60) as u8),
        204..208 => Step::TwoRoundTrips,
        208..211 => Step::Subscribe { filters: random.between(1, 3) as u8 },
        211..213 => Step::Unsubscribe,
        213..217 => Step::Copy,
        217..220 => Step::Withhold(false),
        _ => rare(random),
    }
}
