//! The tests that need the whole program, or look at the whole repository: one binary, so that it is linked once.

mod tidy;
