//! Whether the segments that are kept are those that were signed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use sm2tp_federation::descriptor::{self, SignedDescriptor};
use sm2tp_federation::header::{HEADER_OCTETS, Header};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment;

use super::{header, segment_path};
use crate::sql::{self, SqlError};

/// Reads every segment that the ledger in `ledger` names; answers with how many there are, and a sentence for each that cannot be
/// used. `dir` is where segments are.
///
/// # Errors
/// [`SqlError`] where the ledger cannot be read.
pub fn verify_segments(ledger: &Path, dir: &Path) -> Result<(u64, Vec<String>), SqlError> {
    let mut connection = sql::open_sqlite(ledger)?;
    let headers = sql::all(&mut connection, "SELECT header FROM segment WHERE parked IS NULL ORDER BY n", &[], header)?;
    let (mut count, mut faults, mut origins) = (0, Vec::new(), HashMap::new());
    for header in headers {
        count += 1;
        let origin = match origins.entry(header.origin()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(of(&mut connection, header.origin())?),
        };
        let Some(origin) = origin else { continue };
        if let Err(fault) = read(dir, &header, origin) {
            faults.push(format!("{}: {fault}", segment_path(dir, &header).display()));
        }
    }
    Ok((count, faults))
}

fn of(connection: &mut Connection, node: NodeKey) -> Result<Option<SignedDescriptor>, SqlError> {
    let query = "SELECT descriptor FROM node WHERE node = $1";
    let text = sql::first(connection, query, &[node.0[..].into()], |row| row.text(0).map(str::to_owned))?;
    Ok(text.and_then(|text| descriptor::parse(&text).ok()))
}

fn read(dir: &Path, header: &Header, origin: &SignedDescriptor) -> Result<(), String> {
    let octets = fs::read(segment_path(dir, header)).map_err(|error| error.to_string())?;
    let Some((head, body)) = octets.split_at_checked(HEADER_OCTETS) else { return Err("it is cut off".into()) };
    if head != &header.as_bytes()[..] {
        return Err("it is not the segment that its row names".into());
    }
    segment::verify(header, origin.descriptor(), body).map(|_| ()).map_err(|error| error.to_string())
}
