//! Lists as files, for the command line and the pages: what entries of other programs' lists mean, and the rows of our own.

mod judge;
mod rows;

pub use self::judge::{Skip, judge, shown, whom};
pub use self::rows::{COLUMNS, row, value};
