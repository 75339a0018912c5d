#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxmqtt_fuzz::decode::decode_v3(data));
