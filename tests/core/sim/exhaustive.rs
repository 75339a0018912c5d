//! The model check: every order of events within small bounds, with the real session in it.
//!
//! A session cannot be copied, so a state is the list of steps that leads to it, replayed from the
//! start, and two states are the same when session, server, network and duties look the same. From
//! each state a run with a good network has to end with every message where it belongs.

use std::hash::{Hash, Hasher};

use oxmqtt_protocol::codec::Version;
use stateright::{Checker, Model, Property as Always};

use super::mutant::{Mutant, first_bytes};
use super::server::Naming;
use super::step::{Own, Step};
use super::violation::{Violation, caught};
use super::world::{Settings, World};

/// How far the check goes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    version: Version,
    /// QoS of the messages to the server, in this order.
    out: &'static [u8],
    /// QoS of the messages to the client.
    back: &'static [u8],
    connections: usize,
    refusals: usize,
    /// How each message to the server names its topic; by the topic where the list is at its end.
    own: &'static [Own],
}

const SETTINGS: Settings = Settings {
    version: Version::V5,
    max_inflight: 2,
    receive_maximum: 2,
    alias_maximum: 0,
    packet: 400,
    keep_alive: 0,
    manual_ack: false,
    named: true,
};

#[derive(Clone, Copy, Debug)]
struct Check {
    bounds: Bounds,
    mutant: Option<Mutant>,
}

/// A state: the steps to it, what can follow, and what it looks like.
#[derive(Clone, Debug)]
struct Reached {
    steps: Vec<Step>,
    next: Vec<Vec<Step>>,
    digest: u64,
    violated: bool,
}

impl Hash for Reached {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.digest, self.violated).hash(hasher);
    }
}

impl PartialEq for Reached {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.violated == other.violated
    }
}

impl Check {
    fn replay(&self, steps: &[Step]) -> Result<World, Violation> {
        caught(|| {
            // Where aliases are at stake, what names one has to wait for the quota.
            let max_inflight = if self.bounds.own.is_empty() { 2 } else { 1 };
            let settings = Settings { version: self.bounds.version, max_inflight, ..SETTINGS };
            let mut world = World::new(settings, self.mutant);
            for step in steps {
                world.perform(*step);
            }
            world
        })
    }

    fn reach(&self, steps: Vec<Step>) -> Reached {
        match self.replay(&steps) {
            Ok(world) => {
                let next = self.follow(&steps, &world);
                Reached { next, digest: world.digest(), violated: false, steps }
            }
            Err(_) => Reached { next: Vec::new(), digest: 0, violated: true, steps },
        }
    }

    fn finishes(&self, steps: &[Step]) -> Result<(), Violation> {
        let mut world = self.replay(steps)?;
        caught(|| world.finish())
    }

    /// What can happen next. What the server gets it answers at once: a later answer is a slower
    /// network, and a lost one a connection that breaks before it arrives.
    fn follow(&self, steps: &[Step], world: &World) -> Vec<Vec<Step>> {
        let Bounds { out, back, connections, refusals, .. } = self.bounds;
        let count = |wanted: fn(&Step) -> bool| steps.iter().filter(|step| wanted(step)).count();
        let mut next = Vec::new();
        let published = count(|step| matches!(step, Step::Publish { .. }));
        if let Some(&qos) = out.get(published) {
            let own = self.bounds.own.get(published).copied().unwrap_or(Own::Topic);
            next.push(vec![Step::Publish { qos, padding: 0, retain: false, own }]);
        }
        if !world.client.to_acknowledge.is_empty() {
            next.push(vec![Step::Acknowledge(0)]);
            if count(|step| matches!(step, Step::Fail(_))) == 0 {
                next.push(vec![Step::Fail(0)]);
            }
        }
        let Some(link) = &world.link else {
            if count(|step| matches!(step, Step::Connect { .. })) < connections {
                next.push(vec![Step::connect(true, 2)]);
                next.push(vec![Step::connect(false, 2)]);
            }
            return next;
        };
        next.push(vec![Step::Cut]);
        let delivered = count(|step| matches!(step, Step::Deliver { .. }));
        if let Some(&qos) = back.get(delivered) {
            next.push(vec![Step::Deliver { qos, naming: Naming::Topic }]);
        }
        if let Some(end) = link.down.first_packet() {
            next.push(vec![Step::Down(end as u16)]);
        }
        if !link.up.is_empty() {
            let starts = first_bytes(&link.up);
            let (end, first) = (starts.get(1).map_or(link.up.len(), |(at, _)| *at), starts[0].1);
            let up = Step::Up(end as u16);
            let answer = |refuse| vec![up, Step::Answer { index: 0, refuse }];
            next.push(answer(false));
            let refused = count(|step| matches!(step, Step::Answer { refuse: true, .. }));
            if first >> 4 == 3 && refused < refusals {
                next.push(answer(true));
            }
        }
        next
    }
}

impl Model for Check {
    type State = Reached;
    type Action = Vec<Step>;

    fn init_states(&self) -> Vec<Reached> {
        vec![self.reach(Vec::new())]
    }

    fn actions(&self, state: &Reached, actions: &mut Vec<Vec<Step>>) {
        actions.extend(state.next.iter().cloned());
    }

    fn next_state(&self, last: &Reached, action: Vec<Step>) -> Option<Reached> {
        Some(self.reach([&last.steps[..], &action].concat()))
    }

    fn properties(&self) -> Vec<Always<Self>> {
        vec![Always::always("the promises hold", |check: &Self, state: &Reached| {
            !state.violated && check.finishes(&state.steps).is_ok()
        })]
    }
}

/// Checks all states; returns how many there are, or the shortest way to a violation.
fn check(bounds: Bounds, mutant: Option<Mutant>) -> Result<usize, (Vec<Step>, Violation)> {
    let check = Check { bounds, mutant };
    let checker = check.checker().threads(2).spawn_bfs().join();
    let Some(path) = checker.discovery("the promises hold") else {
        return Ok(checker.unique_state_count());
    };
    let steps = path.last_state().steps.clone();
    let violation = check.finishes(&steps).expect_err("a violation");
    Err((steps, violation))
}

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

#[test]
fn exhaustive() {
    let all = super::variable("OXMQTT_MODEL_ALL", 0) != 0;
    use Own::{Alone, Named};
    type Case = (&'static [u8], &'static [u8], usize, usize, &'static [Own]);
    let two: [Case; 3] = [
        (&[2], &[], 2, 1, &[]),
        (&[1], &[2], 2, 0, &[]),
        (&[1, 1, 0], &[], 2, 0, &[Own::Topic, Named(1), Alone(1)]),
    ];
    let three: [Case; 6] = [
        (&[2, 1, 2], &[], 3, 0, &[]),
        (&[2, 2], &[], 3, 1, &[]),
        (&[], &[2, 1, 2], 3, 0, &[]),
        (&[2], &[2, 1], 3, 0, &[]),
        (&[1, 1, 0, 0], &[], 2, 1, &[Own::Topic, Named(1), Named(1), Alone(1)]),
        (&[1, 0, 1, 0], &[], 3, 0, &[Named(1), Named(1), Alone(1), Alone(1)]),
    ];
    let (mut states, began) = (0, std::time::Instant::now());
    for version in VERSIONS {
        for &(out, back, connections, refusals, own) in if all { &three[..] } else { &two[..] } {
            let bounds = Bounds { version, out, back, connections, refusals, own };
            match check(bounds, None) {
                Ok(count) => {
                    println!("{bounds:?}: {count} states");
                    states += count;
                }
                Err((steps, violation)) => panic!("{violation:?}\n{bounds:?}\n{steps:?}"),
            }
        }
    }
    println!("model check: {states} states in {:.1} s", began.elapsed().as_secs_f64());
}

#[test]
fn the_model_check_catches_seeded_bugs() {
    for (mutant, properties) in Mutant::ALL {
        let receives = matches!(mutant, Mutant::DeliversAgain | Mutant::AcknowledgesTooSoon);
        let back: &[u8] = if receives { &[2] } else { &[] };
        let (out, own): (&[u8], &[Own]) = match mutant {
            _ if receives => (&[], &[]),
            Mutant::AliasTooSoon => (&[0], &[Own::Named(1)]),
            _ => (&[2], &[]),
        };
        let version = Version::V5;
        let bounds = Bounds { version, out, back, connections: 2, refusals: 0, own };
        let (steps, violation) = check(bounds, Some(mutant)).expect_err("the bug is caught");
        assert!(properties.contains(&violation.property), "{mutant:?}: {violation:?}");
        println!("{mutant:?}: {} after {} steps", violation.detail, steps.len());
    }
}
