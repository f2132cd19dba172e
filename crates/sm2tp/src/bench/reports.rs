//! `sm2tp bench report`: how many reports one core reads and classifies in a second.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use sm2tp_proto::report::Report;
use sm2tp_rules::Classifier;

use crate::report::outcome;
use crate::{Exit, Failure, say};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// Mails to read, again and again; without them, one of each kind that is built in.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Mails in all.
    #[arg(long, default_value_t = 100_000)]
    mails: usize,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Figures {
    mails: usize,
    /// Different ones, and their octets on average.
    different: usize,
    octets_average: usize,
    read_s: f64,
    read_per_s: f64,
    /// With what the words of each recipient mean.
    classified_s: f64,
    classified_per_s: f64,
    recipients: usize,
}

/// Measures once and prints the figures.
pub fn report(classifier: &Classifier, args: &ReportArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let mails = mails(&args.files)?;
    let rounds = args.mails.max(1);
    let (read, _) = measure(rounds, &mails, |report| report.recipients.len());
    let (classified, recipients) = measure(rounds, &mails, |report| {
        report.recipients.iter().filter(|recipient| outcome(report, recipient, classifier).is_some()).count()
    });
    let per_s = |took: Duration| rounds as f64 / took.as_secs_f64().max(f64::EPSILON);
    let figures = Figures {
        mails: rounds,
        different: mails.len(),
        octets_average: mails.iter().map(Vec::len).sum::<usize>() / mails.len().max(1),
        read_s: read.as_secs_f64(),
        read_per_s: per_s(read),
        classified_s: classified.as_secs_f64(),
        classified_per_s: per_s(classified),
        recipients,
    };
    if as_json {
        let text = serde_json::to_string(&figures);
        say(&text.map_err(|error| Failure::new(Exit::Unavailable, format!("the figures: {error}")))?);
    } else {
        say(&format!(
            "{} reports of {} octets on average ({} different ones), one core:\n\
             read {:.2} s, {:.0}/s; read and classified {:.2} s, {:.0}/s ({} outcomes)",
            figures.mails,
            figures.octets_average,
            figures.different,
            figures.read_s,
            figures.read_per_s,
            figures.classified_s,
            figures.classified_per_s,
            figures.recipients,
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads that many mails, the given ones in turn; what was counted keeps the work from being left out.
fn measure(rounds: usize, mails: &[Vec<u8>], count: impl Fn(&Report) -> usize) -> (Duration, usize) {
    let began = Instant::now();
    let turns = mails.iter().cycle().take(rounds);
    let counted = turns.filter_map(|mail| Report::read(mail).ok()).map(|report| count(&report)).sum();
    (began.elapsed(), counted)
}

fn mails(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    if files.is_empty() {
        return Ok(BUILT_IN.iter().map(|report| with_returned_mail(report)).collect());
    }
    let read = |file: &PathBuf| {
        std::fs::read(file).map_err(|error| Failure::new(Exit::Input, format!("{}: {error}", file.display())))
    };
    files.iter().map(read).collect()
}

/// Reports return the mail that they are about: a newsletter of some kB.
fn with_returned_mail(report: &str) -> Vec<u8> {
    let body = "Bonjour, voici la lettre du mois. https://asso.example/lettre\n".repeat(60);
    let report = report.trim_start_matches('\n');
    report.replace("RETURNED\n", &format!("{RETURNED}\n{body}")).replace('\n', "\r\n").into_bytes()
}

const RETURNED: &str = "\
Return-Path: <news@asso.example>
Received: from asso.example (asso.example [192.0.2.10])
\tby mx.example.net with ESMTPS id 4XYZ; Thu, 12 Feb 2026 09:59:58 +0100
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=asso.example; s=k1;
\th=from:to:subject:date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=dGVzdA==
Message-ID: <letter.12@asso.example>
Date: Thu, 12 Feb 2026 09:59:57 +0100
From: Asso <news@asso.example>
To: jean@example.org
Subject: Lettre du mois
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
";

/// Postfix, qmail, Exim, a complaint.
const BUILT_IN: &[&str] = &[
    r#"
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: news@asso.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="4XYZ.1770886798/mx.example.net"

--4XYZ.1770886798/mx.example.net
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.net.

<jean@example.org>: host mx1.example.org[192.0.2.25] said: 550 5.1.1
    <jean@example.org>: Recipient address rejected: User unknown (in reply to
    RCPT TO command)

--4XYZ.1770886798/mx.example.net
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Thu, 12 Feb 2026 09:59:58 +0100 (CET)

Final-Recipient: rfc822; jean@example.org
Original-Recipient: rfc822;jean@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx1.example.org
Diagnostic-Code: smtp; 550 5.1.1 <jean@example.org>: Recipient address
    rejected: User unknown

--4XYZ.1770886798/mx.example.net
Content-Type: message/rfc822

RETURNED
--4XYZ.1770886798/mx.example.net--
"#,
    r#"
From: MAILER-DAEMON@mx.example.net
To: news@asso.example
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<jean@example.org>:
192.0.2.25 does not like recipient.
Remote host said: 552 5.2.2 <jean@example.org>: mailbox full
Giving up on 192.0.2.25.

--- Below this line is a copy of the message.

RETURNED
"#,
    r#"
X-Failed-Recipients: jean@example.org
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: news@asso.example
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  jean@example.org
    host mx1.example.org [192.0.2.25]
    SMTP error from remote mail server after end of data:
    550 5.7.1 Message refused as spam

------ This is a copy of the message, including all the headers. ------

RETURNED
"#,
    r#"
From: fbl@provider.example
To: fbl@asso.example
Subject: Email Feedback Report
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_fbl"

--=_fbl
Content-Type: text/plain

This is an email abuse report.

--=_fbl
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Example/2.0
Version: 1
Original-Mail-From: <news@asso.example>
Original-Rcpt-To: jean@example.org
Source-IP: 192.0.2.10

--=_fbl
Content-Type: message/rfc822

RETURNED
--=_fbl--
"#,
];
