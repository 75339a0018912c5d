//! bench-peer: the other end of every benchmark connection. It must never be the bottleneck.
//!
//! ```text
//! bench-peer sink   --count N [--no-ack]           take publishes, acknowledge them, report at the Nth
//! bench-peer source --count N --size B --qos Q --window W --topics T --rate R
//!                                                  flood a client once it has T subscriptions
//! bench-peer load   --broker HOST:PORT ...         the same flood, as a client of a real broker
//! ```
//!
//! It prints `{"port":…}`, then one report line when N messages are done. Every line on stdin is
//! answered with a report; the end of stdin ends the process. It listens on loopback only.

mod flood;
mod link;
mod serve;
mod wire;

use std::io::BufRead;
use std::net::TcpListener;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Sink,
    Source,
    Load,
}

pub struct Options {
    pub role: Role,
    pub count: u64,
    pub size: usize,
    pub qos: u8,
    /// Messages of QoS > 0 on their way to the client at a time.
    pub window: u64,
    /// A source starts after this many subscriptions and sends to as many topics in turn.
    pub topics: usize,
    /// Messages per second, 0 for as fast as they go.
    pub rate: u64,
    pub no_ack: bool,
    pub broker: String,
}

/// What happened so far, over all connections.
#[derive(Default)]
pub struct Tally {
    connections: AtomicU64,
    messages: AtomicU64,
    done: AtomicU64,
    duplicates: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
    reported: AtomicBool,
}

impl Tally {
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The clock of the run starts here; later calls change nothing.
    pub fn start(&self) {
        let _ = self
            .first_ns
            .compare_exchange(0, now_ns(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn saw(&self, messages: u64, duplicates: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates, Ordering::Relaxed);
    }

    /// `n` more messages went through their whole acknowledgement; reports when `target` is reached.
    pub fn finished(&self, n: u64, target: u64) {
        let done = self.done.fetch_add(n, Ordering::AcqRel) + n;
        if target > 0 && done >= target && !self.reported.swap(true, Ordering::AcqRel) {
            self.last_ns.store(now_ns(), Ordering::Release);
            self.report();
        }
    }

    pub fn is_done(&self, target: u64) -> bool {
        self.done.load(Ordering::Acquire) >= target
    }

    fn report(&self) {
        let get = |field: &AtomicU64| field.load(Ordering::Acquire);
        println!(
            "{{\"connections\":{},\"messages\":{},\"done\":{},\"duplicates\":{},\"first_ns\":{},\"last_ns\":{}}}",
            get(&self.connections),
            get(&self.messages),
            get(&self.done),
            get(&self.duplicates),
            get(&self.first_ns),
            get(&self.last_ns),
        );
    }
}

/// Nanoseconds since the epoch: the clock that Python's `time.time_ns()` reads.
pub fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

fn main() {
    let options = Arc::new(parse_options());
    let tally = Arc::new(Tally::default());
    if options.role == Role::Load {
        println!("{{\"port\":0}}");
        let (options, tally) = (options.clone(), tally.clone());
        thread::spawn(move || flood::load_broker(&options, &tally));
    } else {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
        println!(
            "{{\"port\":{}}}",
            listener.local_addr().expect("a bound address").port()
        );
        let (options, tally) = (options.clone(), tally.clone());
        thread::spawn(move || serve::accept(&listener, &options, &tally));
    }
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        tally.report();
    }
    std::process::exit(0);
}

fn parse_options() -> Options {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let role = match args.first().map(String::as_str) {
        Some("sink") => Role::Sink,
        Some("source") => Role::Source,
        Some("load") => Role::Load,
        _ => panic!("bench-peer sink|source|load [--option value]..."),
    };
    Options {
        role,
        count: option(&args, "--count", 0),
        size: option(&args, "--size", 64),
        qos: option(&args, "--qos", 0),
        window: option(&args, "--window", 500),
        topics: option(&args, "--topics", 1),
        rate: option(&args, "--rate", 0),
        no_ack: args.iter().any(|arg| arg == "--no-ack"),
        broker: option(&args, "--broker", String::new()),
    }
}

fn option<T: FromStr>(args: &[String], name: &str, default: T) -> T {
    let Some(at) = args.iter().position(|arg| arg == name) else {
        return default;
    };
    match args.get(at + 1).and_then(|value| value.parse().ok()) {
        Some(value) => value,
        None => panic!("{name} needs a value"),
    }
}
