//! Run by hand: `cargo fuzz run local`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::feeds::local(bytes));
