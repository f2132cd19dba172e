//! Run by hand: `cargo fuzz run bounce`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::reports::bounce(bytes));
