//! The sending side: floods a connection with pre-encoded messages, within a window of
//! unacknowledged ones and at a rate if one is asked for.

use crate::link::Link;
use crate::wire::{self, Template};
use crate::{now_ns, Options, Tally};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes per write, about what a busy broker hands to the kernel at once.
const CHUNK: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts acknowledgements for the thread that waits for room in the window.
#[derive(Default)]
pub struct Credit {
    acknowledged: Mutex<u64>,
    grown: Condvar,
}

impl Credit {
    pub fn give(&self, n: u64) {
        *self.acknowledged.lock().expect("the credit") += n;
        self.grown.notify_one();
    }

    /// Room in the window after `sent` messages, waiting for some; `None` if the client went quiet.
    fn room(&self, sent: u64, window: u64) -> Option<u64> {
        let acknowledged = self.acknowledged.lock().expect("the credit");
        let full = |acknowledged: &mut u64| sent - *acknowledged >= window;
        let (acknowledged, wait) = self
            .grown
            .wait_timeout_while(acknowledged, PATIENCE, full)
            .expect("the credit");
        (!wait.timed_out()).then(|| window - (sent - *acknowledged))
    }
}

pub fn flood(
    options: &Options,
    tally: &Tally,
    credit: &Credit,
    link: &Link,
    window: u64,
    v5: bool,
) {
    let templates: Vec<Template> = (0..options.topics)
        .map(|i| {
            if options.topics == 1 {
                "bench/t".into()
            } else {
                format!("bench/{i}/t")
            }
        })
        .map(|topic: String| Template::new(&topic, options.size, options.qos, v5))
        .collect();
    let per_chunk = match options.rate {
        0 => (CHUNK / templates[0].bytes.len()).clamp(1, 1000) as u64,
        rate => (rate / 1000).max(1),
    };
    let mut chunk = Vec::with_capacity(2 * CHUNK);
    let (mut sent, mut id) = (0u64, 0u16);
    let start = Instant::now();
    tally.start();
    while sent < options.count {
        let mut n = per_chunk.min(options.count - sent);
        if options.qos > 0 {
            let Some(room) = credit.room(sent, window) else {
                return;
            };
            n = n.min(room);
        }
        if options.rate > 0 {
            let due = Duration::from_secs_f64(sent as f64 / options.rate as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        chunk.clear();
        for i in sent..sent + n {
            let template = &templates[(i % templates.len() as u64) as usize];
            let at = chunk.len() + template.id_at;
            chunk.extend_from_slice(&template.bytes);
            if options.qos > 0 {
                id = id.checked_add(1).unwrap_or(1);
                chunk[at..at + 2].copy_from_slice(&id.to_be_bytes());
            }
        }
        if link.send(&chunk).is_err() {
            return;
        }
        sent += n;
        tally.saw(n, 0);
        if options.qos == 0 {
            tally.finished(n, options.count);
        }
    }
}

/// Connects to a broker as an ordinary client and floods it.
pub fn load_broker(options: &Arc<Options>, tally: &Arc<Tally>) {
    let stream = TcpStream::connect(&options.broker).expect("the broker");
    let link = Arc::new(Link::new(stream));
    let client_id = format!("bench-load-{}-{}", std::process::id(), now_ns());
    link.send(&wire::connect(&client_id)).expect("a CONNECT");
    let mut connack = [0u8; 4];
    link.receive_all(&mut connack).expect("a CONNACK");
    assert_eq!(connack[3], 0, "the broker refused the loader");

    let credit = Arc::new(Credit::default());
    {
        let (options, tally) = (options.clone(), tally.clone());
        let (credit, link) = (credit.clone(), link.clone());
        thread::spawn(move || flood(&options, &tally, &credit, &link, options.window, false));
    }
    // Only PUBACKs come back, four bytes each. The connection stays open until the process ends.
    let mut buffer = vec![0u8; CHUNK];
    let mut bytes = 0;
    while let Ok(n @ 1..) = link.receive(&mut buffer) {
        let before = bytes / 4;
        bytes += n as u64;
        let acknowledged = bytes / 4 - before;
        credit.give(acknowledged);
        if !tally.is_done(options.count) {
            tally.finished(acknowledged, options.count);
        }
    }
}
