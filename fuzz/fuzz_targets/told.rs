//! Run by hand: `cargo fuzz run told`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::stored::told(bytes));
