#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxmqtt_fuzz::broker::broker(data));
