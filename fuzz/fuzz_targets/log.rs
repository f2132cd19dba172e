//! Run by hand: `cargo fuzz run log`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::log::log(bytes));
