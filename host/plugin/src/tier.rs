//! How much of the world a plugin may reach.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much of the world a plugin's imports ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Only the contract: it computes from the job and the dataset.
    Pure,
    /// Also what its language's runtime drags in, bound to nothing: no files,
    /// environment, arguments or network, a fixed clock and seeded randomness.
    Std,
}

impl Tier {
    /// The name, as users read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Std => "std",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Pure, Self::Std].into_iter().find(|tier| tier.as_str() == name).ok_or(UnknownTier)
    }
}

/// A tier's name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tier is pure or std")]
pub struct UnknownTier;
