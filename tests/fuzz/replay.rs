//! The committed corpus of the fuzz targets, and what stands close to it, as plain tests: one input in
//! hexadecimal digits a line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The modules are a library for the fuzz targets.
#![allow(unreachable_pub)]

#[path = "src/lib.rs"]
mod fuzz;

/// Changed copies of each input.
const NEIGHBOURS: u64 = 12;

/// Runs each input of a corpus, which has at least `least` of them, and its neighbours.
fn replay(corpus: &str, least: usize, target: fn(&[u8])) {
    let lines = corpus.lines().filter(|line| !line.starts_with("//") && !line.is_empty());
    let inputs: Vec<Vec<u8>> = lines.map(bytes).collect();
    assert!(inputs.len() >= least, "{} inputs", inputs.len());
    for (number, input) in (1..).zip(&inputs) {
        target(input);
        for seed in 0..NEIGHBOURS {
            target(&neighbour(input, number * NEIGHBOURS + seed));
        }
    }
}

/// The input with a byte changed, put in or taken out, once to four times; by the seed alone.
fn neighbour(input: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut changed = input.to_vec();
    for _ in 0..=random(4) {
        let at = random(changed.len() + 1);
        match (random(4), changed.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << random(8),
            (1, Some(byte)) => *byte = random(256) as u8,
            (2, Some(_)) => drop(changed.remove(at)),
            _ => changed.insert(at, random(256) as u8),
        }
    }
    changed
}

fn bytes(line: &str) -> Vec<u8> {
    assert!(line.is_ascii() && line.len().is_multiple_of(2), "not hexadecimal: {line}");
    let digits = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal digits");
    (0..line.len()).step_by(2).map(digits).collect()
}

macro_rules! replay {
    ($($target:ident in $module:ident: $least:literal;)*) => {
        $(#[test]
        fn $target() {
            let corpus = include_str!(concat!("corpus/", stringify!($target), ".hex"));
            replay(corpus, $least, fuzz::$module::$target);
        })*
    };
}

replay! {
    broker in broker: 500;
    decode_v3 in decode: 100;
    decode_v5 in decode: 200;
    round_trip in round_trip: 300;
    session in session: 400;
    topic_match in topic_match: 50;
}
