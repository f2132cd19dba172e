//! Feeds the fuzz targets of the crates below (`fuzz/src`) with their corpus and seeded mutations of it.

#[path = "../../../../fuzz/src/classify.rs"]
mod classify;
#[path = "../../../../fuzz/src/drive.rs"]
mod drive;
#[path = "../../../../fuzz/src/stored.rs"]
mod stored;
#[path = "../../../../fuzz/src/wire.rs"]
mod wire;

const ROUNDS: u64 = 20_000;
/// Each round writes and reads a file.
const ROUNDS_OF_FILES: u64 = 2_000;

#[test]
fn each_text_of_a_server_has_a_meaning() {
    drive::drive("classify", ROUNDS, classify::classify);
}

#[test]
fn no_node_confuses_another_with_its_octets() {
    drive::drive("wire", ROUNDS, wire::wire);
}

#[test]
fn outbox_entries_that_were_read_are_written_as_the_same() {
    drive::drive("told", ROUNDS, stored::told);
}

#[test]
fn whatever_a_body_file_holds_each_mail_is_whole_or_damaged() {
    drive::drive("bodies", ROUNDS_OF_FILES, stored::bodies);
}
