//! GGUF headers: read from what is uploaded, written for models that stand in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;

/// Entries of metadata that are read. Real models have some tens.
const MAX_ENTRIES: u64 = 4_096;
/// Bytes of a text that is kept; longer ones (chat templates, licences) are skipped.
const MAX_TEXT: u64 = 4_096;
/// Depth of arrays in arrays.
const MAX_DEPTH: u32 = 4;

/// What is known of a GGUF file: its short texts and its whole numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Header {
    texts: BTreeMap<String, String>,
    numbers: BTreeMap<String, u64>,
}

impl Header {
    pub(super) fn text(&self, key: &str) -> &str {
        self.texts.get(key).map_or("", String::as_str)
    }

    pub(super) fn architecture(&self) -> &str {
        match self.text("general.architecture") {
            "" => "unknown",
            architecture => architecture,
        }
    }

    pub(super) fn is_adapter(&self) -> bool {
        self.text("general.type") == "adapter"
    }

    /// A number whose key starts with the architecture.
    pub(super) fn own_number(&self, key: &str) -> Option<u64> {
        self.numbers.get(&format!("{}.{key}", self.architecture())).copied()
    }

    /// The quantization, by llama.cpp's numbers.
    pub(super) fn file_type(&self) -> &'static str {
        match self.numbers.get("general.file_type") {
            Some(0) => "F32",
            Some(1) => "F16",
            Some(2) => "Q4_0",
            Some(7) => "Q8_0",
            Some(14) => "Q4_K_S",
            Some(15) => "Q4_K_M",
            Some(32) => "BF16",
            _ => "unknown",
        }
    }
}

/// The number that llama.cpp gives a quantization; F16 where it has none here.
pub(super) fn file_type_number(name: &str) -> u32 {
    match name {
        "F32" => 0,
        "Q4_0" => 2,
        "Q8_0" => 7,
        "Q4_K_S" => 14,
        "Q4_K_M" => 15,
        "BF16" => 32,
        _ => 1,
    }
}

/// Whether a file starts like a GGUF.
pub(super) fn has_magic(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    Ok(magic == MAGIC)
}

/// Reads a header; none where the file is not a GGUF of a known version or breaks off.
pub(super) fn read(path: &Path) -> io::Result<Option<Header>> {
    match read_header(&mut BufReader::new(File::open(path)?)) {
        Ok(header) => Ok(header),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_header(from: &mut BufReader<File>) -> io::Result<Option<Header>> {
    let magic: [u8; 4] = bytes(from)?;
    let version = u32::from_le_bytes(bytes(from)?);
    let _tensors = u64::from_le_bytes(bytes(from)?);
    let entries = u64::from_le_bytes(bytes(from)?);
    if &magic != MAGIC || !(2..=VERSION).contains(&version) || entries > MAX_ENTRIES {
        return Ok(None);
    }
    let mut header = Header::default();
    for _ in 0..entries {
        let Some(key) = text(from)? else { return Ok(None) };
        let kind = u32::from_le_bytes(bytes(from)?);
        match kind {
            4 => {
                header.numbers.insert(key, u64::from(u32::from_le_bytes(bytes(from)?)));
            }
            10 => {
                header.numbers.insert(key, u64::from_le_bytes(bytes(from)?));
            }
            8 => {
                if let Some(value) = text(from)? {
                    header.texts.insert(key, value);
                }
            }
            other => {
                if !skip(from, other, 0)? {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(header))
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(from: &mut BufReader<File>) -> io::Result<Option<String>> {
    let length = u64::from_le_bytes(bytes(from)?);
    if length > MAX_TEXT {
        skip_bytes(from, length)?;
        return Ok(None);
    }
    let mut text = Vec::new();
    from.take(length).read_to_end(&mut text)?;
    if (text.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8(text).ok())
}

fn skip_bytes(from: &mut BufReader<File>, length: u64) -> io::Result<()> {
    let here = from.stream_position()?;
    let end = from.get_ref().metadata()?.len();
    if length > end.saturating_sub(here) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    from.seek_relative(length.cast_signed())
}

/// Skips a value; false where its kind is not known.
fn skip(from: &mut BufReader<File>, kind: u32, depth: u32) -> io::Result<bool> {
    if let Some(size) = fixed_size(kind) {
        skip_bytes(from, size)?;
        return Ok(true);
    }
    match kind {
        8 => {
            let length = u64::from_le_bytes(bytes(from)?);
            skip_bytes(from, length)?;
        }
        9 if depth < MAX_DEPTH => {
            let kind = u32::from_le_bytes(bytes(from)?);
            let count = u64::from_le_bytes(bytes(from)?);
            if let Some(size) = fixed_size(kind) {
                skip_bytes(from, count.saturating_mul(size))?;
            } else {
                // Each text or array takes 8 bytes or more of the file, so the end of the
                // file bounds this, whatever the count says.
                for _ in 0..count {
                    if !skip(from, kind, depth + 1)? {
                        return Ok(false);
                    }
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn fixed_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A value of metadata to write.
pub(super) enum Entry<'a> {
    Text(&'a str),
    Number(u32),
}

/// A GGUF file without tensors.
pub(super) fn write(entries: &[(&str, Entry<'_>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let put_text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    };
    file.extend(MAGIC);
    file.extend(VERSION.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend((entries.len() as u64).to_le_bytes());
    for (key, entry) in entries {
        put_text(&mut file, key);
        match entry {
            Entry::Text(text) => {
                file.extend(8_u32.to_le_bytes());
                put_text(&mut file, text);
            }
            Entry::Number(number) => {
                file.extend(4_u32.to_le_bytes());
                file.extend(number.to_le_bytes());
            }
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> io::Result<Option<Header>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path())
    }

    #[test]
    fn what_is_written_is_read() {
        let file = write(&[
            ("general.architecture", Entry::Text("llama")),
            ("llama.context_length", Entry::Number(4096)),
            ("general.file_type", Entry::Number(15)),
        ]);
        let header = read_bytes(&file).unwrap().unwrap();
        assert_eq!(header.architecture(), "llama");
        assert_eq!(header.own_number("context_length"), Some(4096));
        assert_eq!(header.file_type(), "Q4_K_M");
        assert!(!header.is_adapter());
    }

    #[test]
    fn a_broken_or_lying_header_is_none() {
        let file = write(&[("general.architecture", Entry::Text("llama"))]);
        for length in 0..file.len() {
            assert_eq!(read_bytes(&file[..length]).unwrap(), None, "{length}");
        }
        let mut lying = file.clone();
        lying[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read_bytes(&lying).unwrap(), None);
        let mut long = file;
        long[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read_bytes(&long).unwrap(), None);
    }
}
