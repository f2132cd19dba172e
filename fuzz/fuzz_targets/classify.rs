//! Run by hand: `cargo fuzz run classify`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::classify::classify(bytes));
