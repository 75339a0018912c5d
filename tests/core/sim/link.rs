//! One connection: the bytes under way in both directions, what they mean, and what must hold until
//! it is closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::clock::Asked;

/// What the server allows on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) receive_maximum: u16,
    pub(crate) maximum_qos: u8,
    pub(crate) retain: bool,
    pub(crate) packet: u16,
    pub(crate) keep_alive: Option<u8>,
    pub(crate) assign: bool,
    pub(crate) aliases: u8,
}

impl Grant {
    pub(crate) const ALL: Self = Self {
        receive_maximum: u16::MAX,
        maximum_qos: 2,
        retain: true,
        packet: u16::MAX,
        keep_alive: None,
        assign: false,
        aliases: 3,
    };

    /// The properties of CONNACK that say it.
    pub(crate) fn properties(&self) -> Vec<u8> {
        let mut list = Vec::new();
        if self.receive_maximum != u16::MAX {
            list.push(0x21);
            list.extend(self.receive_maximum.to_be_bytes());
        }
        if self.maximum_qos < 2 {
            list.extend([0x24, self.maximum_qos]);
        }
        if !self.retain {
            list.extend([0x25, 0]);
        }
        if self.packet != u16::MAX {
            list.push(0x27);
            list.extend(u32::from(self.packet).to_be_bytes());
        }
        if let Some(seconds) = self.keep_alive {
            list.extend([0x13, 0, seconds]);
        }
        if self.assign {
            list.extend([0x12, 0, 2]);
            list.extend(ASSIGNED);
        }
        if self.aliases > 0 {
            list.extend([0x22, 0, self.aliases]);
        }
        list
    }
}

/// The client identifier that the server assigns.
pub(crate) const ASSIGNED: &[u8; 2] = b"a1";

/// What a packet of the server means to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Nothing,
    /// The identifier of one that is sent again.
    Publish {
        id: Option<u16>,
    },
    PubRel {
        id: u16,
    },
    PubRec {
        id: u16,
    },
    /// The end of what the identifier stands for.
    Ends {
        id: u16,
        reason: u8,
    },
    Accept {
        grant: Grant,
        fresh: bool,
    },
    /// The connection must end for this.
    Final(End),
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Requested,
    ByServer(u8),
    Refused(u8),
    /// A breach; the reasons that are right for it.
    Breach(&'static [u8]),
}

/// A packet of the server.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) note: Note,
}

impl Packet {
    pub(crate) fn new(bytes: Vec<u8>, note: Note) -> Self {
        Self { bytes, note }
    }
}

/// The way from the server to the client.
#[derive(Debug, Default)]
pub(crate) struct Down {
    bytes: VecDeque<u8>,
    /// How many bytes from here each packet starts and ends.
    notes: VecDeque<(usize, usize, Note)>,
    /// A part of the first packet was taken.
    pub(crate) in_packet: bool,
}

impl Down {
    pub(crate) fn push(&mut self, packet: Packet) {
        let start = self.bytes.len();
        self.bytes.extend(packet.bytes);
        self.notes.push_back((start, self.bytes.len(), packet.note));
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes up to `count` bytes; `arrived` gets what is whole with them. Returns the bytes, and the
    /// end that stands in a packet of which a part is taken.
    pub(crate) fn take(
        &mut self,
        count: usize,
        mut arrived: impl FnMut(Note),
    ) -> (Vec<u8>, Option<End>) {
        let count = count.min(self.bytes.len());
        while let Some(&(_, end, note)) = self.notes.front()
            && end <= count
        {
            self.notes.pop_front();
            arrived(note);
        }
        let mut part = None;
        self.in_packet = false;
        for (start, end, note) in &mut self.notes {
            self.in_packet |= *start < count;
            if *start < count
                && let Note::Final(end) = *note
            {
                part = Some(end);
            }
            *start = start.saturating_sub(count);
            *end -= count;
        }
        (self.bytes.drain(..count).collect(), part)
    }

    /// Where the first packet ends.
    pub(crate) fn first_packet(&self) -> Option<usize> {
        self.notes.front().map(|(_, end, _)| *end)
    }

    /// What is under way.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Note> {
        self.notes.iter().map(|(_, _, note)| *note)
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) up: Vec<u8>,
    pub(crate) down: Down,
    /// Nothing arrives any more on either side, and nobody is told.
    pub(crate) vanished: Option<Vec<u8>>,
    /// The server does not read.
    pub(crate) stalled: bool,
    /// The server sent CONNACK.
    pub(crate) accepted: bool,
    /// CONNACK came.
    pub(crate) grant: Option<Grant>,
    pub(crate) clean: bool,
    /// More than that may not be in flight.
    pub(crate) quota: usize,
    pub(crate) in_flight: BTreeSet<u16>,
    pub(crate) last_seq: Option<u32>,
    pub(crate) publishes: BTreeSet<u32>,
    /// What the aliases of the client stand for behind the bytes that it has sent.
    pub(crate) told: BTreeMap<u8, String>,
    /// Why it must end; the first reason counts.
    pub(crate) end: Option<End>,
    /// The breach that came in part: the session may have seen enough of it.
    pub(crate) may_end: Option<End>,
    /// `disconnect()` was called before CONNACK.
    pub(crate) deferred: bool,
    /// The reason in our DISCONNECT.
    pub(crate) goodbye: Option<u8>,
    pub(crate) interval: Duration,
    pub(crate) connack_due: Instant,
    /// When bytes came last, or the silence was our own doing.
    pub(crate) heard: Instant,
    /// When the server has to be given up if nothing comes.
    pub(crate) dead_at: Instant,
    pub(crate) sent: Instant,
    /// A PINGREQ went out since bytes came last.
    pub(crate) asked: Option<Asked>,
    /// When the out-buffer last got smaller, or the goodbye was put into it.
    pub(crate) drained: Instant,
}

impl Link {
    pub(crate) fn new(now: Instant, keep_alive: Duration, connack_due: Instant) -> Self {
        Self {
            up: Vec::new(),
            down: Down::default(),
            vanished: None,
            stalled: false,
            accepted: false,
            grant: None,
            clean: false,
            quota: 0,
            in_flight: BTreeSet::new(),
            last_seq: None,
            publishes: BTreeSet::new(),
            told: BTreeMap::new(),
            end: None,
            may_end: None,
            deferred: false,
            goodbye: None,
            interval: keep_alive,
            connack_due,
            heard: now,
            dead_at: now + keep_alive * 3 / 2,
            sent: now,
            asked: None,
            drained: now,
        }
    }

    pub(crate) fn end_with(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Bytes came, or silence is our own doing.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
        self.dead_at = now + self.interval * 3 / 2;
    }

    pub(crate) fn is_online(&self) -> bool {
        self.grant.is_some() && self.end.is_none()
    }
}
