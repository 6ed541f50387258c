//! Builders for a method's description and settings.

use crate::{Descriptor, IntegerRange, Kind, NumberRange, SettingDoc, Value};
use core::ops::RangeInclusive;

impl Descriptor {
    /// Starts a description.
    ///
    /// `id` is the name for jobs: at most 40 lowercase ASCII letters, digits and hyphens,
    /// starting with a letter. `version` is the method's own;
    /// `env!("CARGO_PKG_VERSION")` keeps it equal to the crate's. `summary` is one
    /// sentence for a list of methods.
    #[must_use]
    pub fn new(id: &str, version: &str, summary: &str) -> Self {
        Self {
            id: id.to_owned(),
            version: version.to_owned(),
            title: id.to_owned(),
            summary: summary.to_owned(),
            docs: String::new(),
            settings: Vec::new(),
        }
    }

    /// Sets the title: a few words. The default is the id.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Sets the documentation, in Markdown; `include_str!("../README.md")` is a good source.
    #[must_use]
    pub fn docs(mut self, docs: &str) -> Self {
        docs.clone_into(&mut self.docs);
        self
    }

    /// Declares a setting. Help lists settings in this order.
    #[must_use]
    pub fn setting(mut self, setting: impl Into<SettingDoc>) -> Self {
        self.settings.push(setting.into());
        self
    }
}

/// Declares a setting of a method, for [`Descriptor::setting`].
///
/// ```
/// use tunesmith_plugin::{Descriptor, Setting};
///
/// let descriptor = Descriptor::new("lora", "1.0.0", "Trains small updates beside the layers.")
///     .setting(Setting::integer("lora_rank").range(1..=1024).default(8).doc("Rank of the update."))
///     .setting(Setting::number("lora_alpha").above(0.0).up_to(4096.0).default(16.0).doc("Its strength."))
///     .setting(Setting::choice("scheduler", ["linear", "cosine"]).default("linear").doc("How the rate falls."));
/// assert_eq!(descriptor.settings.len(), 3);
/// ```
///
/// Names are lowercase ASCII letters, digits and underscores. Those of the common
/// settings (`n_epochs`, `learning_rate`, `learning_rate_multiplier`, `batch_size`,
/// `temperature`, `context_window`, `seed`) belong to the host: read them from the
/// job, do not declare them.
#[derive(Debug)]
pub enum Setting {}

impl Setting {
    /// A boolean setting.
    #[must_use]
    pub fn flag(name: &str) -> FlagSetting {
        FlagSetting(doc_of(name, Kind::Flag))
    }

    /// An integer setting, unlimited until [`IntegerSetting::range`] is set.
    #[must_use]
    pub fn integer(name: &str) -> IntegerSetting {
        IntegerSetting(doc_of(name, Kind::Integer(IntegerRange { least: i32::MIN, most: i32::MAX })))
    }

    /// A number setting, unlimited until its bounds are set.
    #[must_use]
    pub fn number(name: &str) -> NumberSetting {
        NumberSetting {
            doc: doc_of(name, Kind::Flag),
            range: NumberRange { least: f64::MIN, most: f64::MAX, least_excluded: false },
        }
    }

    /// A string setting of at most this many bytes.
    #[must_use]
    pub fn text(name: &str, most_bytes: u32) -> TextSetting {
        TextSetting(doc_of(name, Kind::Text(most_bytes)))
    }

    /// A setting that is one of these strings.
    #[must_use]
    pub fn choice<const N: usize>(name: &str, choices: [&str; N]) -> TextSetting {
        TextSetting(doc_of(name, Kind::Choice(choices.map(str::to_owned).to_vec())))
    }

    /// A setting that is a list of at most this many strings.
    #[must_use]
    pub fn texts(name: &str, most: u32) -> TextsSetting {
        TextsSetting(doc_of(name, Kind::Texts(most)))
    }
}

fn doc_of(name: &str, kind: Kind) -> SettingDoc {
    SettingDoc { name: name.to_owned(), doc: String::new(), kind, default: None }
}

/// A boolean setting, from [`Setting::flag`].
#[derive(Debug, Clone)]
pub struct FlagSetting(SettingDoc);

impl FlagSetting {
    /// Sets the default value.
    #[must_use]
    pub fn default(mut self, value: bool) -> Self {
        self.0.default = Some(Value::Flag(value));
        self
    }

    /// Sets the documentation: what it means and what its values do.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.0.doc);
        self
    }
}

impl From<FlagSetting> for SettingDoc {
    fn from(setting: FlagSetting) -> Self {
        setting.0
    }
}

/// An integer setting, from [`Setting::integer`].
#[derive(Debug, Clone)]
pub struct IntegerSetting(SettingDoc);

impl IntegerSetting {
    /// Sets the accepted values, inclusive. The host enforces them.
    #[must_use]
    pub fn range(mut self, range: RangeInclusive<i32>) -> Self {
        self.0.kind = Kind::Integer(IntegerRange { least: *range.start(), most: *range.end() });
        self
    }

    /// Sets the default value.
    #[must_use]
    pub fn default(mut self, value: i32) -> Self {
        self.0.default = Some(Value::Integer(value));
        self
    }

    /// Sets the documentation: what it means and what larger or smaller values do.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.0.doc);
        self
    }
}

impl From<IntegerSetting> for SettingDoc {
    fn from(setting: IntegerSetting) -> Self {
        setting.0
    }
}

/// A number setting, from [`Setting::number`].
#[derive(Debug, Clone)]
pub struct NumberSetting {
    doc: SettingDoc,
    range: NumberRange,
}

impl NumberSetting {
    /// Sets the minimum, inclusive.
    #[must_use]
    pub fn at_least(mut self, least: f64) -> Self {
        self.range.least = least;
        self.range.least_excluded = false;
        self
    }

    /// Sets the minimum, exclusive.
    #[must_use]
    pub fn above(mut self, least: f64) -> Self {
        self.range.least = least;
        self.range.least_excluded = true;
        self
    }

    /// Sets the maximum, inclusive.
    #[must_use]
    pub fn up_to(mut self, most: f64) -> Self {
        self.range.most = most;
        self
    }

    /// Sets the default value.
    #[must_use]
    pub fn default(mut self, value: f64) -> Self {
        self.doc.default = Some(Value::Number(value));
        self
    }

    /// Sets the documentation: what it means and what larger or smaller values do.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.doc.doc);
        self
    }
}

impl From<NumberSetting> for SettingDoc {
    fn from(setting: NumberSetting) -> Self {
        Self { kind: Kind::Number(setting.range), ..setting.doc }
    }
}

/// A string setting, from [`Setting::text`] or [`Setting::choice`].
#[derive(Debug, Clone)]
pub struct TextSetting(SettingDoc);

impl TextSetting {
    /// Sets the default value.
    #[must_use]
    pub fn default(mut self, value: &str) -> Self {
        self.0.default = Some(Value::Text(value.to_owned()));
        self
    }

    /// Sets the documentation: what it means and what its values do.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.0.doc);
        self
    }
}

impl From<TextSetting> for SettingDoc {
    fn from(setting: TextSetting) -> Self {
        setting.0
    }
}

/// A setting that is a list of strings, from [`Setting::texts`].
#[derive(Debug, Clone)]
pub struct TextsSetting(SettingDoc);

impl TextsSetting {
    /// Sets the default value.
    #[must_use]
    pub fn default<const N: usize>(mut self, value: [&str; N]) -> Self {
        self.0.default = Some(Value::from(value));
        self
    }

    /// Sets the documentation: what it means and what the strings are.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.0.doc);
        self
    }
}

impl From<TextsSetting> for SettingDoc {
    fn from(setting: TextsSetting) -> Self {
        setting.0
    }
}
