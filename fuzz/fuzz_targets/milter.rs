//! Run by hand: `cargo fuzz run milter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::mta::milter(bytes));
