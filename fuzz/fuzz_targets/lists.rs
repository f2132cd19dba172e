//! Run by hand: `cargo fuzz run lists`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::lists::lists(bytes));
