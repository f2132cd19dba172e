//! Run by hand: `cargo fuzz run session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::session::session(bytes));
