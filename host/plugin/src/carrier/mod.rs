//! Carries a batch through a plugin's `transform` in two calls in place of thousands.
//!
//! The canonical ABI has every text of a list allocated by a call into the plugin, which
//! from the host costs more than a short row's whole transform. Hence the plugin is put
//! beside a small component of ours, the carrier, within one that holds both: the host
//! gives the carrier two pieces of memory and gets one back, and what goes on between the
//! carrier and the plugin is compiled code. The plugin sees the same calls as before.

mod layout;
mod wrap;

pub(crate) use layout::{Parcel, unpack};
pub(crate) use wrap::{CARRIER, CARRY, without_clean_up, wrap};

#[cfg(test)]
mod tests;
