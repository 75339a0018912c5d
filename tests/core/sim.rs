//! Deterministic simulation of the session: the real session, a virtual clock, a network and a server
//! that misbehave in every way of which we know, and reference models that say what must hold.
//!
//! A run is given by a seed. `OXMQTT_SIM_SEED` and `OXMQTT_SIM_STEPS` choose the first seed and the
//! number of steps; a failure prints the seed and the shortest list of steps that still fails.

mod checks;
mod client;
mod clock;
mod digest;
mod exhaustive;
mod fault;
mod hostile;
mod link;
mod misdeeds;
mod mutant;
mod random;
mod run;
mod scenarios;
mod server;
mod step;
mod violation;
mod world;

use std::time::{Duration, Instant};

use fault::Stats;
use mutant::Mutant;
use random::Random;
use server::Naming;
use step::{Own, Step};
use violation::{Violation, caught};
use world::{Settings, World};

use crate::VERSIONS;

/// Steps of one run from a fresh session to its end.
const RUN: usize = 600;

fn settings(random: &mut Random) -> Settings {
    Settings {
        version: random.of(&VERSIONS),
        max_inflight: random.below(6) as u16,
        receive_maximum: random.between(1, 5) as u16,
        alias_maximum: random.of(&[0, 10]),
        packet: random.between(100, 400),
        keep_alive: random.of(&[0, 1, 5, 60]),
        manual_ack: random.one_in(3),
        named: random.below(2) == 0,
    }
}

fn plan(seed: u64) -> (Settings, Vec<Step>) {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    let steps = (0..RUN).map(|_| step::draw(&mut random, settings.version)).collect();
    (settings, steps)
}

fn run(settings: Settings, steps: &[Step], mutant: Option<Mutant>) -> Result<Stats, Violation> {
    caught(|| {
        let mut world = World::new(settings, mutant);
        for step in steps {
            world.perform(*step);
        }
        world.finish();
        world.stats
    })
}

/// Leaves out what is not needed for the same property to fail.
fn shrink(settings: Settings, mut steps: Vec<Step>, found: Violation) -> (Vec<Step>, Violation) {
    let (mut found, deadline) = (found, Instant::now() + Duration::from_secs(20));
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() && Instant::now() < deadline {
            let end = (at + size).min(steps.len());
            let fewer = [&steps[..at], &steps[end..]].concat();
            match run(settings, &fewer, None) {
                Err(violation) if violation.property == found.property => {
                    (steps, found) = (fewer, violation);
                }
                _ => at = end,
            }
        }
        size /= 2;
    }
    (steps, found)
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn simulation() {
    let (seed, steps) = (variable("OXMQTT_SIM_SEED", 1), variable("OXMQTT_SIM_STEPS", 100_000));
    let mut stats = Stats::default();
    for seed in seed.. {
        if stats.steps >= steps {
            break;
        }
        let (settings, steps) = plan(seed);
        match run(settings, &steps, None) {
            Ok(run) => stats.add(&run),
            Err(violation) => {
                let (steps, violation) = shrink(settings, steps, violation);
                panic!("seed {seed}: {violation:?}\n{settings:?}\n{steps:?}");
            }
        }
    }
    println!("{stats}");
    if stats.steps >= 100_000 {
        scenarios::check_all_happened(&stats);
    }
}

#[test]
fn the_simulation_catches_seeded_bugs() {
    for (mutant, properties) in Mutant::ALL {
        let caught = (1..2_000).find_map(|seed| {
            let (settings, steps) = plan(seed);
            run(settings, &steps, Some(mutant)).err()
        });
        let found = caught.expect("the bug is caught");
        assert!(properties.contains(&found.property), "{mutant:?}: {found:?}");
    }
}

/// Traffic of every kind; the connection breaks when so many bytes have gone up or come down.
fn traffic_until(settings: Settings, up: usize, down: usize) -> Result<bool, Violation> {
    caught(|| {
        let mut world = World::new(settings, None);
        world.perform(Step::connect(true, 2));
        world.carry_down(usize::MAX);
        for qos in [2, 1, 0, 2] {
            world.perform(Step::Publish { qos, padding: 0, retain: false, own: Own::Topic });
            world.perform(Step::Deliver { qos, naming: Naming::Topic });
        }
        world.perform(Step::Subscribe { filters: 2 });
        let (mut up, mut down) = (up, down);
        loop {
            let link = world.link.as_ref().expect("no reason to close");
            if link.up.is_empty() && link.down.len() == 0 {
                world.finish();
                return true;
            }
            if !link.up.is_empty() {
                if up == 0 {
                    break;
                }
                up -= 1;
                world.carry_up(1);
            } else {
                if down == 0 {
                    break;
                }
                down -= 1;
                world.carry_down(1);
            }
            world.perform(Step::Answer { index: 0, refuse: false });
            world.acknowledge(0);
        }
        world.cut();
        world.finish();
        false
    })
}

#[test]
fn a_reset_at_every_byte() {
    for version in VERSIONS {
        let mut random = Random::new(1);
        let settings =
            Settings { version, max_inflight: 2, receive_maximum: 3, ..settings(&mut random) };
        for (which, of) in [("up", |n| (n, usize::MAX)), ("down", |n| (usize::MAX, n))]
            as [(&str, fn(usize) -> (usize, usize)); 2]
        {
            let mut offset = 0;
            loop {
                let (up, down) = of(offset);
                match traffic_until(settings, up, down) {
                    Ok(true) => break,
                    Ok(false) => offset += 1,
                    Err(violation) => panic!("{version:?}, {which} {offset}: {violation:?}"),
                }
            }
            println!("{version:?}: reset at each of {offset} bytes {which}");
            assert!(offset > 60);
        }
    }
}
