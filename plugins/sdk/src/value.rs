//! Conversions between the values of settings and plain Rust types.

use crate::Value;

mod sealed {
    pub trait Sealed {}
    impl Sealed for bool {}
    impl Sealed for i32 {}
    impl Sealed for f64 {}
    impl Sealed for String {}
    impl Sealed for Vec<String> {}
}

/// A Rust type that a setting can be read as: `bool`, `i32`, `f64`, `String` or
/// `Vec<String>`. A whole number can also be read as `f64`.
pub trait FromValue: Sized + sealed::Sealed {
    /// What the type is called in messages to the user.
    const EXPECTED: &'static str;

    /// The value as this type, if it is of this type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    const EXPECTED: &'static str = "a boolean";

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Flag(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for i32 {
    const EXPECTED: &'static str = "an integer";

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(Self::from(*value)),
            Value::Number(value) => Some(*value),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a string";

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(value) = value { Some(value.clone()) } else { None }
    }
}

impl FromValue for Vec<String> {
    const EXPECTED: &'static str = "a list of strings";

    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Texts(value) = value { Some(value.clone()) } else { None }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}

impl<const N: usize> From<[&str; N]> for Value {
    fn from(value: [&str; N]) -> Self {
        Self::Texts(value.map(str::to_owned).to_vec())
    }
}
