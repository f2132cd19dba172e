//! Run by hand: `cargo fuzz run socketmap`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::mta::socketmap(bytes));
