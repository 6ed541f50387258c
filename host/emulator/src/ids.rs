//! Identifiers that no other run of the emulator has given out.

use std::hash::{BuildHasher, RandomState};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters of an identifier after its prefix: 143 bits, as many as the service uses.
const LENGTH: usize = 24;

/// `prefix` and 24 random letters and digits, as in `ftjob-abc…`.
pub(super) fn fresh(prefix: &str) -> String {
    let mut id = prefix.to_owned();
    let mut pool = 0_u128;
    for at in 0..LENGTH {
        if at % 12 == 0 {
            // Every `RandomState` has keys of its own, seeded by the operating system.
            pool = u128::from(RandomState::new().hash_one(at)) << 64
                | u128::from(RandomState::new().hash_one(&id));
        }
        id.push(char::from(ALPHABET[(pool % 62) as usize]));
        pool /= 62;
    }
    id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn ids_do_not_repeat() {
        let ids: BTreeSet<String> = (0..10_000).map(|_| super::fresh("file-")).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == "file-".len() + super::LENGTH));
    }
}
