//! Constant databases (cdb): a file of keys and values that Postfix and Exim look up with two reads, and that is replaced as
//! a whole. As <https://cr.yp.to/cdb/cdb.txt> has it; all numbers are 32 bits, little end first.

use thiserror::Error;

/// More than the 4 GiB that a number in the file can point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a cdb file holds at most 4 GiB")]
pub struct TooLarge;

/// The file with these entries. Without octets of zero at the ends, as Exim has it and as Postfix finds out.
///
/// # Errors
/// [`TooLarge`].
pub fn write<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Vec<u8>, TooLarge> {
    let mut file = vec![0; HEAD_OCTETS];
    let mut tables: Vec<Vec<(u32, u32)>> = vec![Vec::new(); TABLES];
    for (key, value) in entries {
        let at = number(file.len())?;
        for length in [key.len(), value.len()] {
            file.extend(number(length)?.to_le_bytes());
        }
        file.extend(key);
        file.extend(value);
        let hash = hash(key);
        tables[hash as usize % TABLES].push((hash, at));
    }
    for (table, entries) in tables.iter().enumerate() {
        // Twice as many slots as entries: a look-up ends at the first empty one.
        let slots = spread(entries);
        let (at, count) = (number(file.len())?, number(slots.len())?);
        let head = table * HEAD_OF_TABLE_OCTETS;
        file[head..head + 4].copy_from_slice(&at.to_le_bytes());
        file[head + 4..head + HEAD_OF_TABLE_OCTETS].copy_from_slice(&count.to_le_bytes());
        file.extend(slots.iter().flat_map(|(hash, at)| [hash.to_le_bytes(), at.to_le_bytes()]).flatten());
    }
    number(file.len())?;
    Ok(file)
}

fn spread(entries: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut slots = vec![(0, 0); entries.len() * 2];
    for (hash, at) in entries {
        let mut slot = (hash >> 8) as usize % slots.len();
        while slots[slot].1 != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = (*hash, *at);
    }
    slots
}

fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, octet| hash.wrapping_mul(33) ^ u32::from(*octet))
}

fn number(length: usize) -> Result<u32, TooLarge> {
    u32::try_from(length).map_err(|_| TooLarge)
}

const TABLES: usize = 256;
/// Where a table begins, and how many slots it has.
const HEAD_OF_TABLE_OCTETS: usize = 8;
const HEAD_OCTETS: usize = TABLES * HEAD_OF_TABLE_OCTETS;

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash, and where its record begins; 0: none.
    const SLOT_OCTETS: usize = 8;

    /// The first value under this key in such a file; none where there is none, or where the file is damaged.
    fn find<'a>(file: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let hash = hash(key);
        let head = hash as usize % TABLES * HEAD_OF_TABLE_OCTETS;
        let (table, slots) = (word(file, head)?, word(file, head + 4)?);
        let first = (hash >> 8).checked_rem(slots)?;
        for step in 0..slots {
            let slot = table as usize + (first as usize + step as usize) % slots as usize * SLOT_OCTETS;
            let (found, at) = (word(file, slot)?, word(file, slot + 4)? as usize);
            if at == 0 {
                return None;
            }
            let (key_octets, value_octets) = (word(file, at)? as usize, word(file, at + 4)? as usize);
            let record = file.get(at + 8..)?;
            if found == hash && record.get(..key_octets)? == key {
                return record.get(key_octets..key_octets.checked_add(value_octets)?);
            }
        }
        None
    }

    fn word(file: &[u8], at: usize) -> Option<u32> {
        file.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
    }

    #[test]
    fn what_was_written_is_found_and_nothing_else() {
        let keys: Vec<String> = (0..3000).map(|n| format!("user{n}@x{}.example", n % 7)).collect();
        let entries = keys.iter().map(|key| (key.as_bytes(), &key.as_bytes()[..key.len() / 2]));
        let file = write(entries).unwrap();
        for key in &keys {
            assert_eq!(find(&file, key.as_bytes()), Some(&key.as_bytes()[..key.len() / 2]), "{key}");
            assert_eq!(find(&file, format!("{key}.").as_bytes()), None);
        }
        let empty = write([]).unwrap();
        assert_eq!((empty.len(), find(&empty, b"a")), (2048, None));
    }

    #[test]
    fn a_damaged_file_has_no_answer_and_no_panic() {
        let file = write([(&b"a@x.example"[..], &b"550"[..])]).unwrap();
        for end in 0..file.len() {
            assert_eq!(find(&file[..end], b"a@x.example").filter(|found| *found != b"550"), None);
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0xff;
            let _ = find(&damaged, b"a@x.example");
        }
    }
}
