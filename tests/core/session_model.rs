//! Whatever happens, in whatever order: the promises of the session hold.

use oxmqtt::codec::QoS;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::VERSIONS;
use crate::session_sim::Sim;

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    SkipIdentifiers(u32),
    Subscribe,
    DropUnfinished,
    Disconnect,
    Connect { keep: bool, quota: u8 },
    Cut,
    Wait { seconds: u32, reading: bool },
    Up(usize),
    Down(usize),
    Answer { index: usize, refuse: bool },
    Deliver(u8),
    Acknowledge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![4 => Just(usize::MAX), 3 => 1..40usize];
    prop_oneof![
        30 => (0..3u8).prop_map(Step::Publish),
        2 => (65_520..65_536u32).prop_map(Step::SkipIdentifiers),
        2 => Just(Step::Subscribe),
        1 => Just(Step::DropUnfinished),
        1 => Just(Step::Disconnect),
        6 => (prop::bool::weighted(0.75), 1..5u8)
            .prop_map(|(keep, quota)| Step::Connect { keep, quota }),
        2 => Just(Step::Cut),
        3 => (1..100u32, any::<bool>())
            .prop_map(|(seconds, reading)| Step::Wait { seconds, reading }),
        30 => bytes.clone().prop_map(Step::Up),
        30 => bytes.prop_map(Step::Down),
        30 => (0..16usize, prop::bool::weighted(0.1))
            .prop_map(|(index, refuse)| Step::Answer { index, refuse }),
        12 => (0..3u8).prop_map(Step::Deliver),
        12 => (0..16usize).prop_map(Step::Acknowledge),
    ]
}

fn run(mut sim: Sim, steps: &[Step]) {
    for step in steps {
        match *step {
            Step::Publish(qos) => sim.publish(QoS::try_from(qos).unwrap()),
            Step::SkipIdentifiers(count) => sim.skip_identifiers(count),
            Step::Subscribe => sim.subscribe(),
            Step::DropUnfinished => sim.drop_unfinished(),
            Step::Disconnect => sim.disconnect(),
            Step::Connect { keep, quota } => sim.connect(keep, quota),
            Step::Cut => sim.cut(),
            Step::Wait { seconds, reading } => sim.wait(seconds, reading),
            Step::Up(count) => sim.carry_up(count),
            Step::Down(count) => sim.carry_down(count),
            Step::Answer { index, refuse } => sim.answer(index, refuse),
            Step::Deliver(qos) => sim.deliver(qos),
            Step::Acknowledge(index) => sim.acknowledge(index),
        }
        sim.check_handover();
    }
    sim.finish();
}

#[test]
fn the_promises_hold() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let input = (
        prop::sample::select(&VERSIONS[..]),
        0..6u16,
        1..5u8,
        prop::collection::vec(step(), 0..200),
    );
    TestRunner::new(config)
        .run(&input, |(version, max_inflight, maximum, steps)| {
            run(Sim::new(version, max_inflight, maximum), &steps);
            Ok(())
        })
        .unwrap();
}
