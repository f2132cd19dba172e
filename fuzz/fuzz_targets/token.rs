//! Run by hand: `cargo fuzz run token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::token::token(bytes));
