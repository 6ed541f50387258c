//! Lists and their pages.

use super::error::ApiError;
use crate::behaviour::{Odd, OpenAiBehaviour};
use serde_json::{Value, json};

/// A list's query, as pairs.
pub(super) type Pairs = Vec<(String, String)>;

/// The part of a list that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

impl Page {
    pub(super) fn of(pairs: &Pairs, default: usize, most: usize) -> Result<Self, ApiError> {
        let limit = match value(pairs, "limit") {
            None => default,
            Some(text) => text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
                let text =
                    format!("Invalid 'limit': expected a whole number from 1 to {most}, got '{text}'.");
                ApiError::bad_request(text).param("limit")
            })?,
        };
        Ok(Self { limit, after: value(pairs, "after").map(str::to_owned) })
    }

    /// The reply for a list of objects with an `id`.
    pub(super) fn of_list(self, list: Vec<Value>, behaviour: &OpenAiBehaviour) -> Result<Value, ApiError> {
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let at = list.iter().position(|item| item["id"] == after.as_str());
                let missing = || ApiError::bad_request(format!("No such object: {after}")).param("after");
                at.ok_or_else(missing)? + 1
            }
        };
        let has_more = list.len() - start > self.limit;
        let data: Vec<Value> = list.into_iter().skip(start).take(self.limit).collect();
        let end = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
        let (first, last) = (end(data.first()), end(data.last()));
        let mut reply = json!({ "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more });
        if behaviour.is_odd(Odd::NoHasMore)
            && let Value::Object(map) = &mut reply
        {
            map.remove("has_more");
        }
        Ok(reply)
    }
}

pub(super) fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
