//! Cuts a stream of bytes into blocks of whole records, so that blocks can be checked
//! on several threads.

use std::io::{self, Read};

/// The longest row that is read, in bytes. Longer ones are reported and skipped, so
/// that memory stays bounded whatever the file holds. The largest rows of common
/// providers (65,536 tokens) are below 1 MiB of text; the rest is room for images
/// within a row.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// Bytes of a block: large enough that handing it over costs nothing, small enough
/// for a processor's cache and for many in flight.
const BLOCK_BYTES: usize = 512 << 10;

/// Whole records.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Its place among the blocks, from 0.
    pub number: u64,
    /// Where its first byte is in the (uncompressed) file.
    pub offset: u64,
    /// Its bytes; lines with their ends, the last one of a file perhaps without.
    pub bytes: Vec<u8>,
    /// Set where the block stands for one row that is too long, with its length. Only
    /// its line end was kept.
    pub too_long: Option<u64>,
}

/// Cuts lines.
pub(super) struct Lines<R> {
    input: R,
    carry: Vec<u8>,
    number: u64,
    offset: u64,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input, carry: Vec::new(), number: 0, offset: 0, ended: false }
    }

    /// The stream again, after the last block.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The stream.
    pub fn get_ref(&self) -> &R {
        &self.input
    }

    /// The next block, in the memory of `bytes`; none at the end.
    pub fn next_block(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Block>> {
        bytes.clear();
        bytes.append(&mut self.carry);
        let mut searched = 0;
        let mut wanted = BLOCK_BYTES;
        loop {
            while !self.ended && bytes.len() < wanted {
                self.ended = fill(&mut self.input, &mut bytes, wanted)?;
            }
            if self.ended && bytes.is_empty() {
                return Ok(None);
            }
            let end = match memchr::memrchr(b'\n', &bytes[searched..]) {
                Some(at) => searched + at + 1,
                None if bytes.len() > MAX_ROW_BYTES => return self.skip_row(bytes).map(Some),
                None if self.ended => bytes.len(),
                None => {
                    searched = bytes.len();
                    wanted = (bytes.len() * 2).min(MAX_ROW_BYTES + 1);
                    continue;
                }
            };
            self.carry.extend_from_slice(&bytes[end..]);
            bytes.truncate(end);
            return Ok(Some(self.block(bytes, None)));
        }
    }

    /// Reads over the rest of a row that is too long.
    fn skip_row(&mut self, mut bytes: Vec<u8>) -> io::Result<Block> {
        let mut length = bytes.len() as u64;
        bytes = Vec::new();
        loop {
            bytes.clear();
            self.ended = fill(&mut self.input, &mut bytes, BLOCK_BYTES)?;
            if let Some(at) = memchr::memchr(b'\n', &bytes) {
                length += at as u64;
                self.carry.extend_from_slice(&bytes[at + 1..]);
                let block = self.block(b"\n".to_vec(), Some(length));
                self.offset += length;
                return Ok(block);
            }
            length += bytes.len() as u64;
            if self.ended {
                let block = self.block(Vec::new(), Some(length));
                self.offset += length;
                return Ok(block);
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>, too_long: Option<u64>) -> Block {
        let block = Block { number: self.number, offset: self.offset, bytes, too_long };
        self.number += 1;
        self.offset += block.bytes.len() as u64;
        block
    }
}

/// Reads until `bytes` has `wanted` bytes; says whether the stream ended.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
    let mut filled = bytes.len();
    bytes.resize(wanted, 0);
    while filled < wanted {
        match input.read(&mut bytes[filled..]) {
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(true);
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                bytes.truncate(filled);
                return Err(error);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_join_to_the_stream(
            lines in prop::collection::vec((0_usize..300_000, any::<u8>()), 0..12),
            newline_at_end in any::<bool>(),
        ) {
            let mut text: Vec<u8> = Vec::new();
            for (length, byte) in lines {
                text.extend(std::iter::repeat_n(byte, length));
                text.push(b'\n');
            }
            if !newline_at_end {
                text.pop();
            }
            let mut lines = Lines::new(&text[..]);
            let mut joined = Vec::new();
            while let Some(block) = lines.next_block(Vec::new()).unwrap() {
                prop_assert_eq!(block.offset, joined.len() as u64);
                prop_assert!(block.bytes.ends_with(b"\n") || joined.len() + block.bytes.len() == text.len());
                joined.extend_from_slice(&block.bytes);
            }
            prop_assert_eq!(joined, text);
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_skipped_and_its_neighbours_kept() {
        let long = vec![b'x'; MAX_ROW_BYTES + 10];
        let mut text = b"first\n".to_vec();
        text.extend_from_slice(&long);
        text.extend_from_slice(b"\nlast\n");
        let mut lines = Lines::new(&text[..]);
        let first = lines.next_block(Vec::new()).unwrap().unwrap();
        assert_eq!((first.offset, &first.bytes[..]), (0, &b"first\n"[..]));
        let skipped = lines.next_block(Vec::new()).unwrap().unwrap();
        assert_eq!((skipped.offset, skipped.too_long), (6, Some(long.len() as u64)));
        let last = lines.next_block(Vec::new()).unwrap().unwrap();
        assert_eq!((last.offset, &last.bytes[..]), (7 + long.len() as u64, &b"last\n"[..]));
        assert!(lines.next_block(Vec::new()).unwrap().is_none());
    }
}
