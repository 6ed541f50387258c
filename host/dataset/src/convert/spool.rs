//! Stores standard input in a file named by its content, so that a plan can refer to it.

use crate::containers::compress::MAX_UNPACKED_BYTES;
use crate::containers::source::hex;
use crate::error::DatasetError;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads a stream to its end into a file in `directory`, which is created for this user
/// if missing. The same content gives the same file.
pub fn spool(mut input: impl Read, directory: &Path) -> Result<PathBuf, DatasetError> {
    let failed = |source| DatasetError::Spool { path: PathBuf::from("-"), source };
    private_directory(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0_u64;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(DatasetError::Read { path: PathBuf::from("-"), source }),
        };
        bytes += count as u64;
        if bytes > MAX_UNPACKED_BYTES {
            let what = format!("is larger than {MAX_UNPACKED_BYTES} bytes");
            return Err(DatasetError::TooLarge { path: PathBuf::from("-"), what });
        }
        digest.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    let path = directory.join(format!("{}.data", hex(&digest.finalize())));
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}

/// Creates a directory that only this user can enter.
pub(crate) fn private_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
