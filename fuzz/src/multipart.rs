//! Forms of browsers: what is read of one is read the same when it is written again.

use sm2tp_proto::multipart::{Part, boundary, parts};

/// The first line is the boundary, the rest the form.
pub fn multipart(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|octet| *octet == b'\n') else { return };
    let kind = format!("multipart/form-data; boundary={}", String::from_utf8_lossy(&bytes[..at]));
    let (body, Some(between)) = (&bytes[at + 1..], boundary(&kind)) else { return };
    let found = parts(body, between, PARTS_MAX);
    assert!(found.len() <= PARTS_MAX);
    // Written again, a head may be too long for its reader.
    if found.iter().any(|part| HEAD_OCTETS < part.name.len() + part.file.as_ref().map_or(0, String::len)) {
        return;
    }
    let octets: usize = found.iter().map(|part| part.content.len()).sum();
    assert!(octets <= body.len());
    let (before, after) = (format!("\r\n--{between}\r\n"), format!("\r\n--{between}--"));
    for part in &found {
        let holds = |wanted: &str| part.content.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        assert!(!holds(&before) && !holds(&after), "a part holds a boundary");
    }
    assert_eq!(parts(&written(&found, between), between, PARTS_MAX), found);
}

fn written(found: &[Part<'_>], between: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in found {
        let file = part.file.as_ref().map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        out.extend(
            format!("--{between}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n\r\n", part.name).bytes(),
        );
        out.extend(part.content);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{between}--\r\n").bytes());
    out
}

const PARTS_MAX: usize = 50;
const HEAD_OCTETS: usize = 4000;
