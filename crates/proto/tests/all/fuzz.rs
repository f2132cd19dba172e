//! Feeds the fuzz targets of this crate (`fuzz/src`) with their corpus and seeded mutations of it.

#[path = "../../../../fuzz/src/drive.rs"]
pub mod drive;
#[path = "../../../../fuzz/src/front.rs"]
mod front;
#[path = "../../../../fuzz/src/header.rs"]
mod header;
#[path = "../../../../fuzz/src/lists.rs"]
mod lists;
#[path = "../../../../fuzz/src/log.rs"]
mod log;
#[path = "../../../../fuzz/src/mta.rs"]
mod mta;
#[path = "../../../../fuzz/src/multipart.rs"]
mod multipart;
#[path = "../../../../fuzz/src/policies.rs"]
mod policies;
#[path = "../../../../fuzz/src/replies.rs"]
mod replies;
#[path = "../../../../fuzz/src/reports.rs"]
mod reports;
#[path = "../../../../fuzz/src/session.rs"]
mod session;
#[path = "../../../../fuzz/src/token.rs"]
mod token;

const ROUNDS: u64 = 20_000;

#[test]
fn no_client_confuses_the_session() {
    drive::drive("session", ROUNDS, session::session);
}

#[test]
fn no_server_confuses_the_reader_of_replies() {
    drive::drive("replies", ROUNDS, replies::replies);
}

#[test]
fn texts_that_were_read_are_written_as_the_same() {
    drive::drive("texts", ROUNDS, replies::texts);
}

#[test]
fn tls_policies_that_were_read_are_written_as_the_same() {
    drive::drive("policies", ROUNDS, policies::policies);
}

#[test]
fn a_header_of_the_proxy_protocol_is_read_the_same_however_it_is_cut() {
    drive::drive("front", ROUNDS, front::front);
}

#[test]
fn the_fields_of_a_header_are_the_header() {
    drive::drive("header", ROUNDS, header::header);
}

#[test]
fn whatever_a_bounce_says_it_says_it_in_bounds() {
    drive::drive("bounce", ROUNDS, reports::bounce);
}

#[test]
fn whatever_a_complaint_says_it_says_it_in_bounds() {
    drive::drive("complaint", ROUNDS, reports::complaint);
}

#[test]
fn only_what_we_made_opens_as_a_token() {
    drive::drive("token", ROUNDS, token::token);
}

#[test]
fn no_mail_server_confuses_the_readers_of_its_questions() {
    drive::drive("policy", ROUNDS, mta::policy);
    drive::drive("socketmap", ROUNDS, mta::socketmap);
}

#[test]
fn each_question_of_open_smtpd_is_answered_with_a_line() {
    drive::drive("smtpd_filter", ROUNDS, mta::smtpd_filter);
}

#[test]
fn milter_frames_are_the_same_however_they_are_cut_and_answered_with_whole_frames() {
    drive::drive("milter", ROUNDS, mta::milter);
}

#[test]
fn a_sentence_about_a_delivery_that_holds_a_reply_begins_it_with_its_code() {
    drive::drive("deliveries", ROUNDS, mta::deliveries);
}

#[test]
fn no_line_of_a_log_confuses_its_reader() {
    drive::drive("log", ROUNDS, log::log);
}

#[test]
fn a_list_of_another_program_is_read_the_same_however_it_is_cut() {
    drive::drive("lists", ROUNDS, lists::lists);
}

#[test]
fn a_form_that_was_read_is_read_the_same_when_it_is_written_again() {
    drive::drive("multipart", ROUNDS, multipart::multipart);
}
