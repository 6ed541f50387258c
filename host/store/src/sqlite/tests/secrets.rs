//! Secrets, as bytes on the disk.

use super::Fixture;
use crate::conformance::{Subject, records::record_echoed_secret};

#[tokio::test]
async fn echoed_secret_is_in_no_file() {
    let fixture = Fixture::new();
    let directory = fixture.directory.clone();
    let subject = Subject::new(fixture);
    let (_store, _, parts) = record_echoed_secret(&subject).await;
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        for part in parts.map(str::as_bytes) {
            assert!(!bytes.windows(part.len()).any(|window| window == part), "{:?}", entry.path());
        }
    }
}
