//! The techniques that weights can be trained by, and the settings of each: closed
//! lists with types and ranges.

use crate::accepts::{Accepts, Listed};
use serde::{Deserialize, Serialize};
use std::fmt;
use tunesmith_core::nearest::nearest;

/// No layer of a model of today is wider, and a rank beyond a layer's width means
/// nothing. (PEFT itself accepts any.)
const MOST_RANK: i32 = 8_192;

/// Virtual tokens take the place of real ones in the context.
const MOST_PREFIX: i32 = 1_024;

/// Names of module kinds in a model; models have about ten.
const MOST_MODULES: u32 = 64;

/// A module's name, perhaps with its path.
const LONGEST_MODULE: u32 = 96;

/// The word that stands for every linear layer but the output.
pub const ALL_LINEAR: &str = "all-linear";

/// The settings of recipes. A technique takes those that apply to it.
pub static SETTINGS: &[Listed] = &[
    Listed {
        name: "rank",
        accepts: Accepts::Integer { least: 1, most: MOST_RANK },
        doc: "The inner width of the low-rank matrices.",
    },
    Listed {
        name: "alpha",
        accepts: Accepts::Number { least: 0.0, most: 65_536.0, least_excluded: true },
        doc: "The adapter's weight, divided by the rank (or, for rslora, by its square root).",
    },
    Listed {
        name: "dropout",
        accepts: Accepts::Number { least: 0.0, most: 0.99, least_excluded: false },
        doc: "The share of the adapter's input that each step leaves out.",
    },
    Listed {
        name: "target_modules",
        accepts: Accepts::TextsOr { word: ALL_LINEAR, most: MOST_MODULES, longest: LONGEST_MODULE },
        doc: "The layers that are adapted, by name, or all-linear.",
    },
    Listed {
        name: "quantization_bits",
        // bitsandbytes has 4 and 8; the check refuses what lies between.
        accepts: Accepts::Integer { least: 4, most: 8 },
        doc: "Bits of each frozen weight: 4 or 8.",
    },
    Listed {
        name: "quantization_type",
        accepts: Accepts::Choice(&["nf4", "fp4", "int8"]),
        doc: "The number format of frozen weights: nf4 or fp4 for 4 bits, int8 for 8.",
    },
    Listed {
        name: "double_quantization",
        accepts: Accepts::Flag,
        doc: "Whether the scales of 4-bit weights are quantised too.",
    },
    Listed {
        name: "prefix_length",
        accepts: Accepts::Integer { least: 1, most: MOST_PREFIX },
        doc: "How many virtual tokens are learned.",
    },
    Listed {
        name: "initialization",
        accepts: Accepts::Choice(&["default", "zero", "random", "gaussian", "text"]),
        doc: "What the new weights start from.",
    },
    Listed {
        name: "adapter_size",
        accepts: Accepts::Integer { least: 1, most: MOST_RANK },
        doc: "The width of the bottleneck.",
    },
    Listed {
        name: "learning_rate",
        accepts: Accepts::Number { least: 0.0, most: 1.0, least_excluded: true },
        doc: "The step size.",
    },
    Listed {
        name: "n_epochs",
        accepts: Accepts::Integer { least: 1, most: 50 },
        doc: "How often training goes through the dataset.",
    },
    Listed {
        name: "batch_size",
        accepts: Accepts::Integer { least: 1, most: 256 },
        doc: "How many examples each step sees.",
    },
    Listed {
        name: "warmup_ratio",
        accepts: Accepts::Number { least: 0.0, most: 1.0, least_excluded: false },
        doc: "The share of the steps over which the step size grows to its full value.",
    },
    Listed {
        name: "scheduler",
        accepts: Accepts::Choice(&["constant", "linear", "cosine"]),
        doc: "How the step size goes on after that.",
    },
    Listed {
        name: "max_gradient_norm",
        accepts: Accepts::Number { least: 0.0, most: 1_000.0, least_excluded: true },
        doc: "Longer gradients are cut to this length.",
    },
];

/// The settings of the training loop, which every technique has.
pub(super) const OF_THE_LOOP: [&str; 6] =
    ["learning_rate", "n_epochs", "batch_size", "warmup_ratio", "scheduler", "max_gradient_norm"];

/// A technique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Technique {
    /// Low-rank matrices beside frozen layers.
    Lora,
    /// The same over quantised frozen layers.
    Qlora,
    /// Low-rank matrices with a learned magnitude.
    Dora,
    /// Low-rank matrices scaled by the rank's square root.
    Rslora,
    /// Learned factors on keys, values and the feed-forward layer.
    Ia3,
    /// Learned keys and values in front of every layer's.
    Prefix,
    /// Learned embeddings in front of the text.
    Prompt,
    /// Two small layers inside each block (Houlsby).
    BottleneckAdapter,
    /// Every weight.
    Full,
}

impl Technique {
    /// All techniques.
    pub const ALL: [Self; 9] = [
        Self::Lora,
        Self::Qlora,
        Self::Dora,
        Self::Rslora,
        Self::Ia3,
        Self::Prefix,
        Self::Prompt,
        Self::BottleneckAdapter,
        Self::Full,
    ];

    /// The name that a recipe uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Qlora => "qlora",
            Self::Dora => "dora",
            Self::Rslora => "rslora",
            Self::Ia3 => "ia3",
            Self::Prefix => "prefix",
            Self::Prompt => "prompt",
            Self::BottleneckAdapter => "bottleneck-adapter",
            Self::Full => "full",
        }
    }

    /// The technique of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|technique| technique.as_str() == name)
    }

    /// The name that a misspelt one probably means.
    pub fn nearest(name: &str) -> Option<&'static str> {
        nearest(Self::ALL.into_iter().map(Self::as_str), name)
    }

    /// Its own settings, besides those of the training loop.
    pub fn own_settings(self) -> &'static [&'static str] {
        match self {
            Self::Lora | Self::Dora | Self::Rslora => {
                &["rank", "alpha", "dropout", "target_modules", "initialization"]
            }
            Self::Qlora => &[
                "rank",
                "alpha",
                "dropout",
                "target_modules",
                "quantization_bits",
                "quantization_type",
                "double_quantization",
                "initialization",
            ],
            Self::Ia3 => &["target_modules"],
            Self::Prefix | Self::Prompt => &["prefix_length", "initialization"],
            Self::BottleneckAdapter => &["adapter_size", "dropout"],
            Self::Full => &[],
        }
    }

    /// Those of its settings that must be there.
    pub fn required_settings(self) -> &'static [&'static str] {
        match self {
            Self::Lora | Self::Dora | Self::Rslora => &["rank"],
            Self::Qlora => &["rank", "quantization_bits"],
            Self::Prefix | Self::Prompt => &["prefix_length"],
            Self::BottleneckAdapter => &["adapter_size"],
            Self::Ia3 | Self::Full => &[],
        }
    }

    /// What its new weights can start from.
    pub fn initializations(self) -> &'static [&'static str] {
        match self {
            Self::Lora | Self::Qlora | Self::Dora | Self::Rslora => &["default", "gaussian"],
            Self::Prefix | Self::Prompt => &["zero", "random", "text"],
            Self::Ia3 | Self::BottleneckAdapter | Self::Full => &[],
        }
    }

    /// Whether the setting applies to it.
    pub fn takes(self, setting: &str) -> bool {
        OF_THE_LOOP.contains(&setting) || self.own_settings().contains(&setting)
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
