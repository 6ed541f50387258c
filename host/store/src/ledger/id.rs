//! Ids: short ones for people, long random ones for machines.

use std::fmt;

/// Digits and lower-case letters without i, l, o and u (Crockford's base 32): nothing to
/// mistake when read aloud, and no words by accident.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Six characters tell a billion jobs apart and can be retyped; a collision is noticed
/// and another id drawn.
const JOB_ID_LENGTH: usize = 6;

/// 80 random bits: no two run ids or tokens are ever equal.
const TOKEN_LENGTH: usize = 16;

/// A job's id, such as `k3f9ab`. Any unambiguous beginning of it names the job too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct JobId(String);

impl JobId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(random_text(JOB_ID_LENGTH)?))
    }

    /// An id as read back from the store.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A typed id or its beginning in the store's spelling: lower case, and the letters that
/// are not in the alphabet read as the digits they look like. `None` if it can be no id.
pub(crate) fn normalized(given: &str) -> Option<String> {
    if given.is_empty() || given.len() > JOB_ID_LENGTH {
        return None;
    }
    given
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            'i' | 'l' => Some('1'),
            'o' => Some('0'),
            c if c.is_ascii() && ALPHABET.contains(&(c as u8)) => Some(c),
            _ => None,
        })
        .collect()
}

/// A token that no other draw repeats.
pub(crate) fn token() -> Result<String, getrandom::Error> {
    random_text(TOKEN_LENGTH)
}

/// What marks a remote job as ours: begins with the job's id, for people who meet it at
/// the service.
pub(crate) fn run_id(job: &JobId) -> Result<String, getrandom::Error> {
    Ok(format!("{job}-{}", token()?))
}

fn random_text(length: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)?;
    // 256 is a multiple of 32, so every character is equally likely.
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}
