//! The committed corpus of the fuzz targets, as plain tests: one input in hexadecimal digits a line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The modules are a library for the fuzz targets.
#![allow(unreachable_pub)]

#[path = "src/lib.rs"]
mod fuzz;

/// Runs each input of a corpus, which has at least `least` of them.
fn replay(corpus: &str, least: usize, target: fn(&[u8])) {
    let lines = corpus.lines().filter(|line| !line.starts_with("//"));
    let inputs: Vec<Vec<u8>> = lines.map(bytes).collect();
    assert!(inputs.len() >= least, "{} inputs", inputs.len());
    for input in inputs {
        target(&input);
    }
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
    decode_v3 in decode: 100;
    decode_v5 in decode: 200;
    round_trip in round_trip: 300;
    session in session: 400;
    topic_match in topic_match: 50;
}
