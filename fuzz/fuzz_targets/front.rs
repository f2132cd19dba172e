//! Run by hand: `cargo fuzz run front`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::front::front(bytes));
