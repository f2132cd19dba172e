//! Lists as their programs write them, and lists that nobody should have written.

use super::*;

/// What was read of a list, in one word each: `number reason address [@at] [code] [enhanced] [text]`.
fn read(wish: Option<Format>, octets: &[u8], chunk: usize) -> (Option<Format>, Vec<String>) {
    let (mut reader, mut found) = (Reader::new(wish), Vec::new());
    octets.chunks(chunk).for_each(|octets| reader.push(octets, &mut found));
    reader.finish(&mut found);
    (reader.format(), found.iter().map(said).collect())
}

fn said(line: &Line) -> String {
    let entry = match line {
        Line::Refused { number, fault } => return format!("{number} {fault:?}"),
        Line::Entry(entry) => entry,
    };
    let who = match &entry.who {
        Who::Address(address) => address.clone(),
        Who::Tag { tag, domain, .. } => format!("{}…@{domain}", &tag[..4]),
    };
    let mut said = format!("{} {:?} {who}", entry.number, entry.reason);
    let more = [
        entry.at.map(|at| format!("@{at}")),
        entry.code.map(|code| code.to_string()),
        entry.enhanced.map(|enhanced| enhanced.to_string()),
        entry.text.as_ref().map(|text| format!("'{text}'")),
        entry.is_repeated.then(|| "repeated".to_owned()),
    ];
    more.into_iter().flatten().for_each(|more| said = format!("{said} {more}"));
    said
}

#[track_caller]
fn check(octets: &[u8], format: Format, want: &[&str]) {
    check_as(None, octets, format, want);
}

#[track_caller]
fn check_as(wish: Option<Format>, octets: &[u8], format: Format, want: &[&str]) {
    for chunk in [1, 11, octets.len().max(1)] {
        let (found, lines) = read(wish, octets, chunk);
        assert_eq!(lines, want, "in pieces of {chunk}");
        assert_eq!(found, Some(format), "in pieces of {chunk}");
    }
}

#[test]
fn amazon_lists_are_read() {
    check(
        br#"{"SuppressedDestinationSummaries": [
             {"EmailAddress": "a@x.example", "Reason": "BOUNCE", "LastUpdateTime": "2020-04-10T21:03:05+00:00"},
             {"EmailAddress": "b@x.example", "Reason": "COMPLAINT", "LastUpdateTime": 1586552585.077}], "NextToken": "x"}"#,
        Format::Ses,
        &["1 Bounce a@x.example @1586552585", "2 Complaint b@x.example @1586552585"],
    );
    check(
        b"{\"emailAddress\":\"a@x.example\",\"reason\":\"BOUNCE\"}\n{\"emailAddress\":\"b@x.example\",\"reason\":\"COMPLAINT\"}\n",
        Format::Ses,
        &["1 Bounce a@x.example", "2 Complaint b@x.example"],
    );
    check(
        b"a@x.example,BOUNCE\nb@x.example,COMPLAINT\n",
        Format::Ses,
        &["1 Bounce a@x.example", "2 Complaint b@x.example"],
    );
    // As its guide shows it, with a blank and an empty line.
    check(
        b"a@x.example,BOUNCE\n\nb@x.example, COMPLAINT\n",
        Format::Ses,
        &["1 Bounce a@x.example", "3 Complaint b@x.example"],
    );
    // `aws sesv2 list-suppressed-destinations --output text`.
    check_as(
        Some(Format::Ses),
        b"SUPPRESSEDDESTINATIONSUMMARIES\ta@x.example\t2020-04-10T21:03:05.077000+00:00\tBOUNCE\n",
        Format::Ses,
        &["1 Bounce a@x.example @1586552585"],
    );
    check(
        b"Email address,Reason,Last update time\na@x.example,BOUNCE,2020-04-10T21:03:05Z\n",
        Format::Ses,
        &["2 Bounce a@x.example @1586552585"],
    );
}

#[test]
fn sendgrid_lists_are_read() {
    check(
        b"status,reason,email,created\r\n5.1.1,\"550 5.1.1 no such user, \"\"sorry\"\"\r\ntry again\",a@x.example,1443651125\r\n\
          ,\"unknown\",b@x.example,1443651125\r\n",
        Format::SendGrid,
        &[
            "2 Answer a@x.example @1443651125 550 5.1.1 '550 5.1.1 no such user, \"sorry\"  try again'",
            "4 Answer b@x.example @1443651125 'unknown'",
        ],
    );
    check(
        br#"[{"created":1443651125,"email":"a@x.example","reason":"500 unknown recipient","status":"5.0.0"}]"#,
        Format::SendGrid,
        &["1 Answer a@x.example @1443651125 500 5.0.0 '500 unknown recipient'"],
    );
    check(
        b"email,ip,created\na@x.example,192.0.2.1,1443651125\n",
        Format::SendGrid,
        &["2 Complaint a@x.example @1443651125"],
    );
    check(b"email,created\na@x.example,1443651125\n", Format::SendGrid, &["2 Unsaid a@x.example @1443651125"]);
}

#[test]
fn mailgun_lists_are_read() {
    check(
        b"address,code,error,created_at\na@x.example,550,\"No such mailbox\",\"Wed, 05 Feb 2020 18:25:45 UTC\"\n",
        Format::Mailgun,
        &["2 Answer a@x.example @1580927145 550 'No such mailbox'"],
    );
    check(b"address,created_at\na@x.example,\n", Format::Mailgun, &["2 Complaint a@x.example"]);
    check(b"address,tags,created_at\na@x.example,*,\n", Format::Mailgun, &["2 Unsubscribe a@x.example"]);
    check(
        br#"{"items":[{"address":"a@x.example","tags":["*"],"created_at":"Wed, 05 Feb 2020 18:25:45 UTC"},
            {"address":"b@x.example","code":"552","error":"over quota","created_at":"Wed, 05 Feb 2020 18:25:45 UTC","MessageHash":"x"}],
            "paging":{"first":"https://x"}}"#,
        Format::Mailgun,
        &["1 Unsubscribe a@x.example @1580927145", "2 Answer b@x.example @1580927145 552 'over quota'"],
    );
}

#[test]
fn postmark_and_brevo_lists_are_read() {
    check(
        br#"{"Suppressions":[
            {"EmailAddress":"a@x.example","SuppressionReason":"HardBounce","Origin":"Recipient","CreatedAt":"2019-12-17T08:58:33-05:00"},
            {"EmailAddress":"b@x.example","SuppressionReason":"SpamComplaint","Origin":"Recipient","CreatedAt":"2019-12-17T08:58:33-05:00"},
            {"EmailAddress":"c@x.example","SuppressionReason":"ManualSuppression","Origin":"Recipient","CreatedAt":null},
            {"EmailAddress":"d@x.example","SuppressionReason":"ManualSuppression","Origin":"Customer"}]}"#,
        Format::Postmark,
        &[
            "1 Bounce a@x.example @1576591113",
            "2 Complaint b@x.example @1576591113",
            "3 Unsubscribe c@x.example",
            "4 Listed d@x.example",
        ],
    );
    check(
        br#"{"contacts":[{"email":"a@x.example","senderEmail":"news@y.example","reason":{"code":"hardBounce","message":"it bounced"},
            "blockedAt":"2017-05-01T12:30:00.000Z"},{"email":"b@x.example","reason":{"code":"contactFlaggedAsSpam"},"blockedAt":""},
            {"email":"c@x.example","reason":{"code":"unsubscribedViaMA"},"blockedAt":""},
            {"email":"d@x.example","reason":{"code":"adminBlocked"},"blockedAt":""}],"count":4}"#,
        Format::Brevo,
        &[
            "1 Bounce a@x.example @1493641800 'it bounced'",
            "2 Complaint b@x.example",
            "3 Unsubscribe c@x.example",
            "4 Listed d@x.example",
        ],
    );
    check(
        b"\xef\xbb\xbfCONTACT ID;EMAIL;NOM;BLOCKLISTED;ADDED_TIME\r\n1;a@x.example;H\xc3\xa9l\xc3\xa8ne;true;05-02-2020\r\n\
          2;b@x.example;\"x;y\";false;05-02-2020\r\n",
        Format::Brevo,
        &["2 Unsubscribe a@x.example", "3 NotStopped"],
    );
}

#[test]
fn logs_of_providers_take_nobody_off_who_was_written_to() {
    check(
        "st_text,ts,sub,frm,email,tag,mid,link\n\
         Hard bounce,21-01-2026 10:22:05,\"Lettre, janvier\",news@y.example,a@x.example,NA,<1@y.example>,NA\n\
         Délivrée,21-01-2026 10:22:05,Lettre,news@y.example,b@x.example,NA,<2@y.example>,NA\n\
         Première ouverture,21-01-2026 10:22:05,Lettre,news@y.example,b@x.example,NA,<2@y.example>,NA\n\
         Soft bounce,21-01-2026 10:22:05,Lettre,news@y.example,c@x.example,NA,<3@y.example>,NA\n\
         Bloquée,21-01-2026 10:22:05,Lettre,news@y.example,d@x.example,NA,<4@y.example>,NA\n\
         Spam,21-01-2026 10:22:05,Lettre,news@y.example,e@x.example,NA,<5@y.example>,NA\n\
         Richiesta invio,21-01-2026 10:22:05,Lettre,news@y.example,f@x.example,NA,<6@y.example>,NA\n"
            .as_bytes(),
        Format::Brevo,
        &[
            "2 Bounce a@x.example @1768990925",
            "3 Event",
            "4 Event",
            "5 Soft c@x.example @1768990925",
            "6 Blocked d@x.example @1768990925",
            "7 Complaint e@x.example @1768990925",
            "8 Event",
        ],
    );
    check(
        br#"{"TotalCount":3,"Bounces":[
            {"RecordType":"Bounce","ID":1,"Type":"HardBounce","TypeCode":1,"Name":"Hard bounce","Tag":"Invitation",
             "Description":"The server was unable to deliver your message (ex: unknown user, mailbox not found).",
             "Details":"action: failed\r\n","Email":"a@x.example","From":"news@y.example",
             "BouncedAt":"2019-12-17T08:58:33.6421112-05:00","DumpAvailable":true,"Inactive":true,"CanActivate":true},
            {"Type":"AutoResponder","TypeCode":64,"Email":"b@x.example","BouncedAt":"2019-12-17T08:58:33-05:00"},
            {"Type":"SpamNotification","TypeCode":512,"Email":"c@x.example","BouncedAt":"2019-12-17T08:58:33-05:00"}]}"#,
        Format::Postmark,
        &[
            "1 Bounce a@x.example @1576591113 'The server was unable to deliver your message (ex: unknown user, mailbox not found).'",
            "2 Event",
            "3 Blocked c@x.example @1576591113",
        ],
    );
    check(
        b"email,status\na@x.example,active\nb@x.example,bounced\n",
        Format::Csv,
        &["2 Event", "3 Bounce b@x.example"],
    );
}

#[test]
fn list_managers_are_read() {
    check(
        b"bounce 1580000000 1580927145 41 5.1.1\nbounce_score 75\ndate 1101730800\nemail a@x.example\ngecos Jeanne\nreception mail\n\n\
          date 1101730800\nemail b@x.example\nreception mail\n\n\
          bounce 1580000000 1580927145 3 4.2.2\nemail c@x.example\n\nbounce 1580000000 1580927145 3\nemail d@x.example\n",
        Format::Sympa,
        &[
            "1 Bounce a@x.example @1580927145 5.1.1",
            "8 NotStopped",
            "12 Soft c@x.example @1580927145 4.2.2",
            "15 Bounce d@x.example @1580927145 repeated",
        ],
    );
    check_as(
        Some(Format::Sympa),
        b"a@x.example\tJeanne\nb@x.example\n",
        Format::Sympa,
        &["1 Bounce a@x.example repeated", "2 Bounce b@x.example repeated"],
    );
    check(
        b"Feb 05 18:20:00 2020 (27) news: a@x.example current bounce score: 4.0\n\
          Feb 05 18:25:45 2020 (27) news: a@x.example disabling due to bounce score 5.0 >= 5.0\n",
        Format::Mailman,
        &["2 Bounce a@x.example @1580927145 repeated"],
    );
    check_as(
        Some(Format::Mailman),
        b"Jeanne <a@x.example>\nb@x.example\n",
        Format::Mailman,
        &["1 Bounce a@x.example repeated", "2 Bounce b@x.example repeated"],
    );
    check(
        br#"{"entries":[{"address":"http://localhost:8001/3.1/addresses/a@x.example","email":"a@x.example","bounce_score":5,
            "last_bounce_received":"2020-02-05T18:25:45"},{"email":"b@x.example","bounce_score":1}],"start":0}"#,
        Format::Mailman,
        &["1 Bounce a@x.example @1580927145 repeated", "2 NotStopped"],
    );
}

#[test]
fn plain_lists_are_read_in_every_encoding() {
    let text =
        "# those who left\r\n\r\na@x.example\r\nHélène <b@x.example>\r\nmailto:c@x.example\r\n@x.example\r\nnobody\r\n";
    let want = ["3 Unsaid a@x.example", "4 Unsaid b@x.example", "5 Unsaid c@x.example", "6 NoAddress", "7 NoAddress"];
    check(text.as_bytes(), Format::Plain, &want);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&[b"\xff\xfe", &wide[..]].concat(), Format::Plain, &want);
    check(&text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>(), Format::Plain, &want);
    check(text.replace("\r\n", "\r").as_bytes(), Format::Plain, &want);
    check(
        "jos\u{e9}@x.example\nj@m\u{fc}nchen.example".as_bytes(),
        Format::Plain,
        &["1 Unsaid josé@x.example", "2 Unsaid j@münchen.example"],
    );
    check(b"email\na@x.example\n", Format::Plain, &["2 Unsaid a@x.example"]);
    check(b"", Format::Plain, &[]);
}

#[test]
fn columns_of_spreadsheets_are_found_by_name_or_by_what_stands_in_them() {
    check(
        "sep=;\nNom;Adresse e-mail;Motif;Date\nX;a@x.example;Désinscrit;31/12/2019\nY;b@x.example;rejet définitif;\n"
            .as_bytes(),
        Format::Csv,
        &["3 Unsubscribe a@x.example @1577750400", "4 Bounce b@x.example"],
    );
    check(
        b"1|a@x.example|hard bounce|2020-02-05\n2|b@x.example|550 5.1.1 unknown|\n",
        Format::Csv,
        &["1 Bounce a@x.example @1580860800", "2 Answer b@x.example 550 5.1.1 '550 5.1.1 unknown'"],
    );
    check(b"email\treason\na@x.example\tspam block\n", Format::Csv, &["2 Blocked a@x.example"]);
}

#[test]
fn our_own_export_is_read_back() {
    let text = "tag,key_id,domain,reason,org,date,code,enhanced,strength,note\n\
        00112233445566778899aabbccddeeff,0123456789abcdef,x.example,bounce,,2020-02-05T18:25:45Z,550,5.1.1,strong,x\n\
        short,0123456789abcdef,x.example,bounce,,,,,,\n";
    check(text.as_bytes(), Format::Own, &["2 Bounce 0011…@x.example @1580927145 550 5.1.1", "3 Tag"]);
}

#[test]
fn hostile_lists_are_bounded_and_clear() {
    check(
        b"email,reason,created\na@x.example,bounce,tomorrow\na\0@x.example,bounce,\n,bounce,\nx@[192.0.2.1],bounce,\n\"b@x.example,bounce\n",
        Format::SendGrid,
        &["2 Date", "3 Nul", "4 NoAddress", "5 Address(Domain(Literal))", "6 OpenQuote"],
    );
    check(
        br#"[{"email":"a@x.example","created":1443651125},{"email":}]"#,
        Format::SendGrid,
        &["1 Unsaid a@x.example @1443651125", "2 Json"],
    );
    check(br#"{"email":"a@x.example""#, Format::Json, &["1 Cut"]);
    let mut long = b"a@x.example\n".to_vec();
    long.resize(10 * 1024 * 1024, b'x');
    long.extend_from_slice(b"\nb@x.example\n");
    let (_, lines) = read(None, &long, 64 * 1024);
    assert_eq!(lines, ["1 Unsaid a@x.example", "2 TooLong", "3 Unsaid b@x.example"]);
}
