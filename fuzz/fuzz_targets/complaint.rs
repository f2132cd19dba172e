//! Run by hand: `cargo fuzz run complaint`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::reports::complaint(bytes));
