//! Run by hand: `cargo fuzz run header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::header::header(bytes));
