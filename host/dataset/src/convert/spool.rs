//! Stores standard input in a file named by its content, so that a plan can refer to it.

use crate::containers::compress::MAX_UNPACKED_BYTES;
use crate::error::DatasetError;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tunesmith_core::digest::Digesting;
use tunesmith_core::fs::{Access, Draft, Durability, create_private};

/// Reads a stream to its end into a file in `directory`, which is created for this user
/// if missing. The same content gives the same file.
pub fn spool(mut input: impl Read, directory: &Path) -> Result<PathBuf, DatasetError> {
    let failed = |source| DatasetError::Spool { path: PathBuf::from("-"), source };
    create_private(directory).map_err(failed)?;
    let mut file = Digesting::new(Draft::new(directory, Access::Private).map_err(failed)?);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(DatasetError::Read { path: PathBuf::from("-"), source }),
        };
        if file.bytes() + count as u64 > MAX_UNPACKED_BYTES {
            let what = format!("is larger than {MAX_UNPACKED_BYTES} bytes");
            return Err(DatasetError::TooLarge { path: PathBuf::from("-"), what });
        }
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    let (draft, digest, _) = file.finish();
    let path = directory.join(format!("{digest}.data"));
    draft.replace(&path, Durability::Synced).map_err(failed)?;
    Ok(path)
}
