//! The interfaces of the contract that a component exports.

use super::state::State;
use crate::ability::Ability;
use crate::{abi, carrier};
use std::fmt;
use tunesmith_abi::exports::tunesmith::method as exports;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre};

/// The interfaces that a plugin exports, looked up once.
#[derive(Clone)]
pub(crate) struct Exports {
    /// The version of the contract that the plugin is built for.
    pub(crate) contract: String,
    pub(crate) method: exports::method::GuestIndices,
    pub(crate) ollama: Option<exports::ollama::GuestIndices>,
    pub(crate) openai: Option<exports::openai::GuestIndices>,
    pub(crate) training: Option<exports::training::GuestIndices>,
    pub(crate) transform: Option<exports::transform::GuestIndices>,
    /// Of a plugin that was put beside the carrier, the way to it. A plugin that exports
    /// such a function by itself gains nothing: what it answers is checked all the same, and
    /// cannot grow on its way.
    pub(crate) carry: Option<ComponentExportIndex>,
}

/// Why a component's exports are not a method's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAMethod {
    /// It does not export `method`.
    Missing,
    /// It exports it at a version that this host does not speak.
    OtherContract(String),
    /// An interface lacks a function.
    Shape(String),
}

impl Exports {
    /// Looks the interfaces up, by name; their types are checked by [`Self::load`].
    pub(crate) fn of(pre: &InstancePre<State>) -> Result<Self, NotAMethod> {
        let engine = pre.engine();
        let component = pre.component().component_type();
        let mut contract = None;
        let mut present = Vec::new();
        for (name, _) in component.exports(engine) {
            let Some((interface, version)) =
                name.strip_prefix(abi::PACKAGE).and_then(|rest| rest.split_once('@'))
            else {
                continue;
            };
            if !["method", "ollama", "openai", "training", "transform"].contains(&interface) {
                continue;
            }
            if !abi::speaks(version) {
                return Err(NotAMethod::OtherContract(version.into()));
            }
            if interface == "method" {
                contract = Some(version.to_owned());
            }
            present.push(interface.to_owned());
        }
        let contract = contract.ok_or(NotAMethod::Missing)?;
        let has = |interface: &str| present.iter().any(|name| name == interface);
        let shape = |error: wasmtime::Error| NotAMethod::Shape(error.to_string());
        Ok(Self {
            contract,
            method: exports::method::GuestIndices::new(pre).map_err(shape)?,
            ollama: optional(has("ollama"), || exports::ollama::GuestIndices::new(pre)).map_err(shape)?,
            openai: optional(has("openai"), || exports::openai::GuestIndices::new(pre)).map_err(shape)?,
            training: optional(has("training"), || exports::training::GuestIndices::new(pre))
                .map_err(shape)?,
            transform: optional(has("transform"), || exports::transform::GuestIndices::new(pre))
                .map_err(shape)?,
            carry: pre.component().get_export_index(None, carrier::CARRY),
        })
    }

    /// The abilities, in the contract's order.
    pub(crate) fn abilities(&self) -> Vec<Ability> {
        [
            (self.ollama.is_some(), Ability::Ollama),
            (self.openai.is_some(), Ability::OpenAi),
            (self.training.is_some(), Ability::Training),
            (self.transform.is_some(), Ability::Transform),
        ]
        .into_iter()
        .filter_map(|(has, ability)| has.then_some(ability))
        .collect()
    }

    /// Checks every interface's types against the contract.
    pub(crate) fn check_types(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        let wrong = |interface: &str| {
            let interface = interface.to_owned();
            move |error: wasmtime::Error| wasmtime::Error::new(WrongShape(format!("{interface}: {error:#}")))
        };
        self.method.load(&mut *store, instance).map_err(wrong("method"))?;
        if let Some(ollama) = &self.ollama {
            ollama.load(&mut *store, instance).map_err(wrong("ollama"))?;
        }
        if let Some(openai) = &self.openai {
            openai.load(&mut *store, instance).map_err(wrong("openai"))?;
        }
        if let Some(training) = &self.training {
            training.load(&mut *store, instance).map_err(wrong("training"))?;
        }
        if let Some(transform) = &self.transform {
            transform.load(&mut *store, instance).map_err(wrong("transform"))?;
        }
        Ok(())
    }
}

fn optional<T>(present: bool, make: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<Option<T>> {
    present.then(make).transpose()
}

/// An export whose types are not the contract's, in wasmtime's words.
#[derive(Debug)]
pub(crate) struct WrongShape(pub(crate) String);

impl fmt::Display for WrongShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongShape {}
