//! Frames: four octets of length, one of the command, its data.

use super::MilterError;

/// Puts octets together to frames; holds at most [`FRAME_OCTETS_MAX`] and what one call of `feed` brought.
#[derive(Debug, Default)]
pub struct FrameReader {
    held: Vec<u8>,
    /// How much of `held` was given away.
    taken: usize,
}

impl FrameReader {
    pub fn feed(&mut self, octets: &[u8]) {
        self.held.drain(..self.taken);
        self.taken = 0;
        self.held.extend_from_slice(octets);
    }

    /// The next whole frame, without its length, if it is there.
    ///
    /// # Errors
    /// [`MilterError`]; the reader is of no more use.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, MilterError> {
        let Some((length, rest)) = self.held[self.taken..].split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        if length == 0 {
            return Err(MilterError::Empty);
        }
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if FRAME_OCTETS_MAX < octets {
            return Err(MilterError::TooLong(length));
        }
        if rest.len() < octets {
            return Ok(None);
        }
        let from = self.taken + 4;
        self.taken = from + octets;
        Ok(Some(&self.held[from..self.taken]))
    }
}

/// Appends a frame of ours.
pub(super) fn write(out: &mut Vec<u8>, command: u8, parts: &[&[u8]]) {
    let octets = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&u32::try_from(octets).unwrap_or(u32::MAX).to_be_bytes());
    out.push(command);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Sendmail sends bodies in pieces of 65 535 octets; a header field of Postfix has 102 400 at most (`header_size_limit`).
/// Bounds what a peer that never ends a frame makes us hold.
pub const FRAME_OCTETS_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_however_their_octets_are_cut() {
        let mut octets = Vec::new();
        write(&mut octets, b'H', &[b"client.test\0"]);
        write(&mut octets, b'Q', &[]);
        for chunk in [1, 3, 100] {
            let (mut reader, mut seen) = (FrameReader::default(), Vec::new());
            for piece in octets.chunks(chunk) {
                reader.feed(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            assert_eq!(seen, [&b"Hclient.test\0"[..], b"Q"], "cut at {chunk}");
        }
    }

    #[test]
    fn a_frame_without_a_command_or_too_long_is_an_error_before_its_octets() {
        for (octets, want) in
            [(&[0, 0, 0, 0][..], MilterError::Empty), (&[0, 4, 0, 1, b'B'], MilterError::TooLong(262_145))]
        {
            let mut reader = FrameReader::default();
            reader.feed(octets);
            assert_eq!(reader.next_frame(), Err(want));
        }
    }
}
