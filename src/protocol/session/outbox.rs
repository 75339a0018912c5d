//! The out-buffer of a connection and the marks that tell when QoS 0 messages have left it.

use std::collections::VecDeque;
use std::ops::Range;

/// Losses remembered one by one; older ones are merged.
const REMEMBERED_LOSSES: usize = 256;

/// How exactly unread answers are counted.
const CHECKPOINT: u64 = 64 << 10;

/// Encoded packets that wait for the transport.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    /// Stream offset behind `bytes`.
    queued: u64,
    /// Stream offset up to which the transport took everything.
    written: u64,
    /// (stream offset of the end, identifier) of QoS 0 messages not yet written.
    marks: VecDeque<(u64, u16)>,
    /// Running number of the first of `marks`.
    first_mark: u64,
    lost: VecDeque<Range<u64>>,
    /// Bytes of answers to the server, all in all, and those that left by the last checkpoint.
    answers: u64,
    answers_written: u64,
    /// (stream offset, `answers` there), one for each [`CHECKPOINT`] bytes of the stream at the most.
    checkpoints: VecDeque<(u64, u64)>,
}

/// What became of a QoS 0 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The transport has not taken it yet.
    Waiting,
    /// The transport took all of it.
    Written,
    /// The connection ended before.
    Lost,
}

impl Outbox {
    /// Accounts for what was appended to `bytes` since it had `before` bytes.
    pub(super) fn appended(&mut self, before: usize) {
        self.queued += (self.bytes.len() - before) as u64;
    }

    /// As [`Self::appended`], for an answer to a packet of the server.
    pub(super) fn answered(&mut self, before: usize) {
        self.appended(before);
        self.answers += (self.bytes.len() - before) as u64;
        let last = self.checkpoints.back().map_or(self.written, |&(offset, _)| offset);
        if self.queued - last >= CHECKPOINT {
            self.checkpoints.push_back((self.queued, self.answers));
        }
    }

    /// Bytes of answers that the transport has not taken, rounded up.
    pub(super) fn unread_answers(&self) -> u64 {
        if self.queued == self.written { 0 } else { self.answers - self.answers_written }
    }

    /// Takes the last `count` bytes back.
    pub(super) fn withdraw(&mut self, count: usize) {
        self.bytes.truncate(self.bytes.len() - count);
        self.queued -= count as u64;
    }

    /// Notes that a QoS 0 message ends here; returns its running number.
    pub(super) fn mark(&mut self, packet_id: u16) -> u64 {
        self.marks.push_back((self.queued, packet_id));
        self.first_mark + self.marks.len() as u64 - 1
    }

    /// Stream offset behind all that was encoded.
    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    /// Stream offset up to which the transport took everything.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that the transport has not taken yet, wherever they are.
    pub(super) fn unsent(&self) -> usize {
        (self.queued - self.written) as usize
    }

    /// The transport took `count` bytes more; `report` gets the messages that are through.
    pub(super) fn handle_written(&mut self, count: usize, mut report: impl FnMut(u16)) {
        self.written += count as u64;
        while let Some(&(offset, answers)) = self.checkpoints.front()
            && offset <= self.written
        {
            self.checkpoints.pop_front();
            self.answers_written = answers;
        }
        if self.queued == self.written {
            self.answers_written = self.answers;
        }
        while let Some(&(end, packet_id)) = self.marks.front()
            && end <= self.written
        {
            self.marks.pop_front();
            self.first_mark += 1;
            report(packet_id);
        }
    }

    /// QoS 0 messages that wait.
    pub(super) fn waiting_marks(&self) -> usize {
        self.marks.len()
    }

    /// The mark of the oldest message that waits, or of the next to come.
    pub(super) fn first_mark(&self) -> u64 {
        self.first_mark
    }

    pub(super) fn handover(&self, mark: u64) -> Handover {
        if mark >= self.first_mark {
            Handover::Waiting
        } else if self.lost.iter().any(|lost| lost.contains(&mark)) {
            Handover::Lost
        } else {
            Handover::Written
        }
    }

    /// The connection is gone: whatever waited is lost.
    pub(super) fn clear(&mut self) {
        let lost = self.first_mark..self.first_mark + self.marks.len() as u64;
        self.first_mark = lost.end;
        if !lost.is_empty() {
            if self.lost.len() == REMEMBERED_LOSSES
                && let Some(oldest) = self.lost.pop_front()
                && let Some(next) = self.lost.front_mut()
            {
                next.start = oldest.start;
            }
            self.lost.push_back(lost);
        }
        self.marks = VecDeque::new();
        self.bytes = Vec::new();
        self.queued = 0;
        self.written = 0;
        self.answers = 0;
        self.answers_written = 0;
        self.checkpoints = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(outbox: &mut Outbox, bytes: &[u8]) {
        let before = outbox.bytes.len();
        outbox.bytes.extend_from_slice(bytes);
        outbox.appended(before);
    }

    #[test]
    fn a_message_is_through_when_its_last_byte_is() {
        let mut outbox = Outbox::default();
        append(&mut outbox, b"abc");
        let first = outbox.mark(1);
        append(&mut outbox, b"de");
        let second = outbox.mark(2);
        let mut through = Vec::new();
        outbox.handle_written(2, |id| through.push(id));
        assert_eq!((outbox.handover(first), through.len()), (Handover::Waiting, 0));
        outbox.handle_written(2, |id| through.push(id));
        assert_eq!(through, [1]);
        assert_eq!(outbox.handover(first), Handover::Written);
        outbox.clear();
        assert_eq!(outbox.handover(first), Handover::Written);
        assert_eq!(outbox.handover(second), Handover::Lost);
        assert_eq!(outbox.unsent(), 0);
    }

    #[test]
    fn losses_stay_bounded() {
        let mut outbox = Outbox::default();
        for _ in 0..10 * REMEMBERED_LOSSES {
            append(&mut outbox, b"x");
            let mark = outbox.mark(1);
            outbox.clear();
            assert_eq!(outbox.handover(mark), Handover::Lost);
        }
        assert_eq!(outbox.lost.len(), REMEMBERED_LOSSES);
    }
}
