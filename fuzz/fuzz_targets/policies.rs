//! Run by hand: `cargo fuzz run policies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::policies::policies(bytes));
