//! Run by hand: `cargo fuzz run journal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::feeds::journal(bytes));
