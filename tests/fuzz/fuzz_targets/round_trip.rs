#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxmqtt_fuzz::round_trip::round_trip(data));
