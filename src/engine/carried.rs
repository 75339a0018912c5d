//! Which of the session's bytes have left the process, where a relay carries them on.

use std::collections::VecDeque;

/// What the socket took and the other side has not passed on.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pieces: VecDeque<Piece>,
    /// Passed on before the writer came to say that it was written.
    ahead: usize,
}

/// One write: the session's bytes, behind what the layers put in front of them.
#[derive(Debug)]
struct Piece {
    length: usize,
    content: usize,
}

impl Carried {
    /// The socket took `length` bytes, `content` of them the session's; how many of the session's
    /// are through by now.
    pub(super) fn written(&mut self, length: usize, content: usize) -> usize {
        match self.pieces.back_mut() {
            Some(last) if last.length == last.content && length == content => {
                last.length += length;
                last.content += content;
            }
            _ => self.pieces.push_back(Piece { length, content }),
        }
        self.passed_on(0)
    }

    /// The other side is through with `count` bytes more; how many of the session's are.
    pub(super) fn passed_on(&mut self, count: usize) -> usize {
        self.ahead += count;
        let mut through = 0;
        while let Some(piece) = self.pieces.front_mut() {
            let passed = self.ahead.min(piece.length);
            self.ahead -= passed;
            piece.length -= passed;
            let content = piece.content.min(piece.length);
            through += piece.content - content;
            piece.content = content;
            if piece.length > 0 {
                break;
            }
            self.pieces.pop_front();
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_through_when_they_are_passed_on() {
        let mut carried = Carried::default();
        assert_eq!(carried.written(10, 10), 0);
        assert_eq!(carried.passed_on(4), 4);
        assert_eq!(carried.written(5, 5), 0);
        assert_eq!(carried.passed_on(7), 7);
        assert_eq!(carried.passed_on(4), 4);
        assert!(carried.pieces.is_empty());
    }

    #[test]
    fn the_news_may_come_before_the_writer_tells() {
        let mut carried = Carried::default();
        assert_eq!(carried.passed_on(6), 0);
        assert_eq!(carried.written(4, 4), 4);
        assert_eq!(carried.written(4, 4), 2);
        assert_eq!(carried.passed_on(2), 2);
    }

    #[test]
    fn what_layers_add_is_not_counted() {
        let mut carried = Carried::default();
        assert_eq!(carried.written(18, 10), 0);
        assert_eq!(carried.written(8, 2), 0);
        assert_eq!(carried.passed_on(8), 0);
        assert_eq!(carried.passed_on(5), 5);
        assert_eq!(carried.passed_on(12), 6);
        assert_eq!(carried.passed_on(1), 1);
    }
}
