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
use step::Step;
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
