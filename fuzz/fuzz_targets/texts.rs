//! Run by hand: `cargo fuzz run texts`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::replies::texts(bytes));
