//! The listening side (sink and source): one thread per connection that reads large, answers once
//! per read, and counts.

use crate::flood::{self, Credit};
use crate::link::Link;
use crate::wire::{self, Frame};
use crate::{Options, Role, Tally};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

const READ: usize = 256 * 1024;
/// Thousands of idle connections must stay cheap.
const STACK: usize = 128 * 1024;

pub fn accept(listener: &TcpListener, options: &Arc<Options>, tally: &Arc<Tally>) {
    for stream in listener.incoming().flatten() {
        let (options, tally) = (options.clone(), tally.clone());
        let thread = thread::Builder::new().stack_size(STACK);
        thread
            .spawn(move || Connection::new(Link::new(stream), options, tally).run())
            .expect("a thread");
    }
}

struct Connection {
    link: Arc<Link>,
    options: Arc<Options>,
    tally: Arc<Tally>,
    credit: Arc<Credit>,
    v5: bool,
    receive_maximum: u64,
    subscriptions: usize,
    flooding: bool,
}

/// What one read brought.
#[derive(Default)]
struct Batch {
    answers: Vec<u8>,
    published: u64,
    duplicates: u64,
    finished: u64,
    acknowledged: u64,
    closed: bool,
}

impl Connection {
    fn new(link: Link, options: Arc<Options>, tally: Arc<Tally>) -> Self {
        Connection {
            link: Arc::new(link),
            options,
            tally,
            credit: Arc::default(),
            v5: false,
            receive_maximum: 0,
            subscriptions: 0,
            flooding: false,
        }
    }

    fn run(mut self) {
        let mut buffer = vec![0u8; READ];
        let mut filled = 0;
        let mut batch = Batch::default();
        while !batch.closed {
            match self.link.receive(&mut buffer[filled..]) {
                Ok(0) | Err(_) => return,
                Ok(n) => filled += n,
            }
            batch = Batch {
                answers: std::mem::take(&mut batch.answers),
                ..Batch::default()
            };
            batch.answers.clear();
            let mut at = 0;
            loop {
                match wire::next_frame(&buffer[at..filled]) {
                    Ok(frame) => {
                        self.take(&frame, &mut batch);
                        at += frame.len;
                    }
                    Err(needed) => {
                        buffer.copy_within(at..filled, 0);
                        filled -= at;
                        if needed > buffer.len() {
                            buffer.resize(needed + READ, 0);
                        }
                        break;
                    }
                }
            }
            if self.settle(&batch).is_err() {
                return;
            }
        }
    }

    fn take(&mut self, frame: &Frame<'_>, batch: &mut Batch) {
        let body = frame.body;
        match frame.first >> 4 {
            wire::PUBLISH => {
                batch.published += 1;
                batch.duplicates += u64::from(frame.first >> 3 & 1);
                match frame.first >> 1 & 3 {
                    0 => batch.finished += 1,
                    _ if self.options.no_ack => {}
                    1 => {
                        batch.finished += 1;
                        answer(0x40, wire::publish_id(body), batch);
                    }
                    _ => answer(0x50, wire::publish_id(body), batch),
                }
            }
            wire::PUBREL => {
                batch.finished += 1;
                answer(0x70, [body[0], body[1]], batch);
            }
            wire::PUBACK | wire::PUBCOMP => batch.acknowledged += 1,
            wire::PUBREC => answer(0x62, [body[0], body[1]], batch),
            wire::CONNECT => {
                (self.v5, self.receive_maximum) = wire::read_connect(body);
                batch.answers.extend_from_slice(wire::connack(self.v5));
                self.tally.connected();
            }
            wire::SUBSCRIBE => {
                self.subscriptions += wire::put_suback(body, self.v5, &mut batch.answers);
            }
            wire::UNSUBSCRIBE => wire::put_unsuback(body, self.v5, &mut batch.answers),
            wire::PINGREQ => batch.answers.extend_from_slice(&[0xd0, 0]),
            wire::DISCONNECT => batch.closed = true,
            _ => {}
        }
    }

    /// Sends the answers first, so that a report never precedes the acknowledgement it counts.
    fn settle(&mut self, batch: &Batch) -> std::io::Result<()> {
        if batch.published > 0 {
            self.tally.start();
            self.tally.saw(batch.published, batch.duplicates);
        }
        if !batch.answers.is_empty() {
            self.link.send(&batch.answers)?;
        }
        if self.options.role == Role::Sink {
            if batch.finished > 0 {
                self.tally.finished(batch.finished, self.options.count);
            }
            return Ok(());
        }
        if batch.acknowledged > 0 {
            self.credit.give(batch.acknowledged);
            self.tally.finished(batch.acknowledged, self.options.count);
        }
        if !self.flooding && self.subscriptions >= self.options.topics {
            self.flooding = true;
            let (options, tally) = (self.options.clone(), self.tally.clone());
            let (credit, link) = (self.credit.clone(), self.link.clone());
            let window = options.window.min(self.receive_maximum);
            let v5 = self.v5;
            thread::spawn(move || flood::flood(&options, &tally, &credit, &link, window, v5));
        }
        Ok(())
    }
}

fn answer(first: u8, id: [u8; 2], batch: &mut Batch) {
    batch.answers.extend_from_slice(&[first, 2, id[0], id[1]]);
}
