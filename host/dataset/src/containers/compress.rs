//! Unpacks compressed datasets into a temporary file without a name, in bounded
//! memory, so that rows can be read again in any order.

use ruzstd::decoding::StreamingDecoder;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// The most that a compressed file may unpack to: larger than any fine-tuning dataset,
/// smaller than most disks.
pub const MAX_UNPACKED_BYTES: u64 = 64 << 30;

/// A compressed file may unpack to this many times its size. Chat data packs to a fifth
/// to a twentieth; a thousand times is what gzip reaches on a file of one letter.
pub const MAX_UNPACKED_RATIO: u64 = 250;

/// Below this size the ratio does not matter: small files pack well.
const RATIO_MATTERS_ABOVE: u64 = 64 << 20;

/// The longest window of a zstd frame. `zstd` uses 8 MiB unless run with `--long`
/// or `--ultra`; this much memory is needed to unpack.
const MAX_ZSTD_WINDOW: u64 = 32 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Recognizes compression by a file's first bytes.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unpacks a whole file into one without a name, in `directory` or the default folder
    /// for temporary files. At most `limit` bytes may come of it.
    pub(super) fn unpack(
        self,
        packed: impl Read,
        limit: u64,
        directory: Option<&Path>,
    ) -> Result<File, UnpackError> {
        let file = match directory {
            Some(directory) => tempfile::tempfile_in(directory),
            None => tempfile::tempfile(),
        };
        let mut file = file.map_err(UnpackError::Write)?;
        let mut bounded = Bounded { unpacked: 0, limit, file: &mut file };
        let input = BufReader::with_capacity(128 << 10, packed);
        match self {
            Self::Gzip => copy(&mut flate2::bufread::MultiGzDecoder::new(input), &mut bounded),
            Self::Zstd => unpack_zstd(input, &mut bounded),
        }?;
        Ok(file)
    }
}

/// The most bytes that a file of so many packed bytes may unpack to.
pub(super) fn unpacked_limit(packed: u64) -> u64 {
    packed.saturating_mul(MAX_UNPACKED_RATIO).clamp(RATIO_MATTERS_ABOVE, MAX_UNPACKED_BYTES)
}

/// Why a file was not unpacked.
pub(super) enum UnpackError {
    /// The packed file is damaged, or cannot be read.
    Read(io::Error),
    /// The temporary file cannot be written.
    Write(io::Error),
    /// More than the limit, this many bytes, would come of it.
    TooLarge { limit: u64 },
}

struct Bounded<'a> {
    unpacked: u64,
    limit: u64,
    file: &'a mut File,
}

fn copy(input: &mut impl Read, output: &mut Bounded<'_>) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Read(error)),
        };
        output.unpacked += count as u64;
        if output.unpacked > output.limit {
            return Err(UnpackError::TooLarge { limit: output.limit });
        }
        output.file.write_all(&buffer[..count]).map_err(UnpackError::Write)?;
    }
}

fn unpack_zstd(mut input: impl BufRead, output: &mut Bounded<'_>) -> Result<(), UnpackError> {
    use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
    while !input.fill_buf().map_err(UnpackError::Read)?.is_empty() {
        let mut frame = match StreamingDecoder::new_with_max_window_size(&mut input, MAX_ZSTD_WINDOW) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut input).take(u64::from(length)), &mut io::sink());
                if skipped.map_err(UnpackError::Read)? < u64::from(length) {
                    return Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                continue;
            }
            Err(error) => return Err(UnpackError::Read(io::Error::other(error.to_string()))),
        };
        copy(&mut frame, output)?;
        let decoder = &frame.decoder;
        if let (Some(stated), Some(found)) =
            (decoder.get_checksum_from_data(), decoder.get_calculated_checksum())
            && stated != found
        {
            return Err(UnpackError::Read(io::Error::other("checksum mismatch")));
        }
    }
    Ok(())
}
