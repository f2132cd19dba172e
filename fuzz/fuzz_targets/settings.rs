//! Run by hand: `cargo fuzz run settings`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::settings::settings(bytes));
