//! Run by hand: `cargo fuzz run multipart`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::multipart::multipart(bytes));
