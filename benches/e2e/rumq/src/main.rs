//! bench-rumqttc: the Rust client rumqttc under the same scenarios and the same line protocol as
//! `child.py`: `bench-rumqttc SCENARIO port=… n=… size=… qos=… protocol=4|5 window=…`.
//! It is a program as its users write one: the blocking `Client` publishes, a thread iterates the
//! `Connection`.

mod usage;

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};
use usage::{cpu_seconds, now_ns, rss_kib};

/// Requests that the client hands to its connection before it blocks.
const CAPACITY: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the connection's thread tells the main thread.
enum News {
    Connected,
    Subscribed,
    Message(Instant),
    /// The nth message arrived, or the nth acknowledgement, at this wall-clock time.
    Last(u64),
}

/// The scenario and how much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Messages,
    Acknowledgements,
    EachMessage,
}

struct Task {
    port: u16,
    n: u64,
    size: usize,
    qos: u8,
    window: u16,
    seconds: f64,
    barrier: bool,
}

trait Publisher {
    fn publish(&self, payload: Vec<u8>, qos: u8);
    fn subscribe(&self, filter: &str, qos: u8);
}

/// rumqttc's two protocol versions are two sets of types with the same names.
macro_rules! version {
    ($name:ident, $($api:ident)::+, $qos:path, $window:ident) => {
        mod $name {
            use super::{now_ns, News, Publisher, Task, Watch, CAPACITY};
            use std::sync::mpsc::Sender;
            use std::time::{Duration, Instant};
            use $($api)::+::{Client, Connection, Event, Incoming, MqttOptions};
            use $qos as QoS;

            impl Publisher for Client {
                fn publish(&self, payload: Vec<u8>, qos: u8) {
                    Client::publish(self, "bench/t", level(qos), false, payload).expect("publish");
                }

                fn subscribe(&self, filter: &str, qos: u8) {
                    Client::subscribe(self, filter, level(qos)).expect("subscribe");
                }
            }

            pub fn start(task: &Task, watch: Watch, news: Sender<News>) -> Box<dyn Publisher> {
                let mut options = MqttOptions::new("bench", "127.0.0.1", task.port);
                options.set_keep_alive(Duration::from_secs(60));
                options.$window(task.window);
                let (client, connection) = Client::new(options, CAPACITY);
                let n = task.n;
                std::thread::spawn(move || iterate(connection, n, watch, &news));
                Box::new(client)
            }

            fn iterate(mut connection: Connection, n: u64, watch: Watch, news: &Sender<News>) {
                let mut counted = 0;
                let mut count = |kind: Watch| {
                    counted += u64::from(kind == watch);
                    if counted == n && kind == watch {
                        let _ = news.send(News::Last(now_ns()));
                    }
                };
                for event in connection.iter() {
                    match event {
                        Ok(Event::Incoming(Incoming::Publish(publish))) => {
                            std::hint::black_box(&publish);
                            match watch {
                                Watch::EachMessage => {
                                    let _ = news.send(News::Message(Instant::now()));
                                }
                                _ => count(Watch::Messages),
                            }
                        }
                        Ok(Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_))) => {
                            count(Watch::Acknowledgements);
                        }
                        Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                            let _ = news.send(News::Connected);
                        }
                        Ok(Event::Incoming(Incoming::SubAck(_))) => {
                            let _ = news.send(News::Subscribed);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            eprintln!("rumqttc: {error:?}");
                            std::process::exit(1);
                        }
                    }
                }
            }

            fn level(qos: u8) -> QoS {
                [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]
            }
        }
    };
}

version!(v4, rumqttc, rumqttc::QoS, set_inflight);
version!(
    v5,
    rumqttc::v5,
    rumqttc::v5::mqttbytes::QoS,
    set_outgoing_inflight_upper_limit
);

fn main() {
    let mut args = std::env::args().skip(1);
    let scenario = args.next().expect("a scenario");
    let options: HashMap<String, String> = args
        .filter_map(|arg| {
            arg.split_once('=')
                .map(|(key, value)| (key.into(), value.into()))
        })
        .collect();
    let number = |key: &str, default: f64| -> f64 {
        options
            .get(key)
            .map_or(default, |value| value.parse().expect("a number"))
    };
    let task = Task {
        port: number("port", 0.0) as u16,
        n: number("n", 0.0) as u64,
        size: number("size", 64.0) as usize,
        qos: number("qos", 0.0) as u8,
        window: number("window", 100.0) as u16,
        seconds: number("seconds", 1.0),
        barrier: number("barrier", 0.0) != 0.0,
    };
    let watch = match scenario.as_str() {
        "publish" => Watch::Acknowledgements,
        "receive" => Watch::Messages,
        "echo" => Watch::EachMessage,
        other => panic!("rumqttc has no scenario {other}"),
    };
    let (sender, news): (Sender<News>, Receiver<News>) = channel();
    let client = match number("protocol", 4.0) as u8 {
        5 => v5::start(&task, watch, sender),
        _ => v4::start(&task, watch, sender),
    };
    wait_for(&news, |item| matches!(item, News::Connected).then_some(()));
    let cpu_before = cpu_seconds();
    match watch {
        Watch::Acknowledgements => publish(&task, client.as_ref(), &news),
        Watch::Messages => receive(&task, client.as_ref(), &news),
        Watch::EachMessage => echo(&task, client.as_ref(), &news),
    }
    let _ = std::io::stdin().lock().lines().next();
    let cpu = cpu_seconds() - cpu_before;
    println!("{{\"at\":\"end\",\"cpu\":{cpu},\"rss_kib\":{}}}", rss_kib());
    std::process::exit(0);
}

fn publish(task: &Task, client: &dyn Publisher, news: &Receiver<News>) {
    let payload = vec![b'x'; task.size];
    let start = now_ns();
    for _ in 0..task.n {
        client.publish(payload.clone(), task.qos);
    }
    if task.qos > 0 {
        wait_for(news, last);
    }
    if task.barrier {
        client.subscribe("bench/barrier", 0);
        wait_for(news, subscribed);
    }
    println!(
        "{{\"at\":\"published\",\"t0\":{start},\"t1\":{}}}",
        now_ns()
    );
}

fn receive(task: &Task, client: &dyn Publisher, news: &Receiver<News>) {
    client.subscribe("bench/#", task.qos);
    wait_for(news, subscribed);
    println!("{{\"at\":\"subscribed\"}}");
    let end = wait_for(news, last);
    println!("{{\"at\":\"received\",\"t1\":{end},\"got\":{}}}", task.n);
}

fn echo(task: &Task, client: &dyn Publisher, news: &Receiver<News>) {
    client.subscribe("bench/#", task.qos);
    wait_for(news, subscribed);
    let payload = vec![b'x'; task.size];
    let mut samples = Vec::new();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < task.seconds {
        let start = Instant::now();
        client.publish(payload.clone(), task.qos);
        let arrived = wait_for(news, |item| match item {
            News::Message(at) => Some(at),
            _ => None,
        });
        samples.push((arrived - start).as_nanos());
    }
    samples.drain(..samples.len() / 20);
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!(
        "{{\"at\":\"echoed\",\"n\":{},\"p50_ns\":{p50},\"p99_ns\":{p99}}}",
        samples.len()
    );
}

fn last(item: News) -> Option<u64> {
    match item {
        News::Last(at) => Some(at),
        _ => None,
    }
}

fn subscribed(item: News) -> Option<()> {
    matches!(item, News::Subscribed).then_some(())
}

fn wait_for<T>(news: &Receiver<News>, wanted: impl Fn(News) -> Option<T>) -> T {
    loop {
        let item = news
            .recv_timeout(PATIENCE)
            .expect("news from the connection");
        if let Some(found) = wanted(item) {
            return found;
        }
    }
}
