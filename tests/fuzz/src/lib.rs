//! The fuzz targets: what each does with its bytes, and what must hold. `fuzz_targets/` hands them
//! libFuzzer's inputs, `replay.rs` the committed ones, as plain tests.

pub mod allocation;
pub mod broker;
pub mod decode;
pub mod generate;
pub mod input;
pub mod observer;
pub mod round_trip;
pub mod session;
pub mod topic_match;
