//! Exports a method's abilities as a component.

/// Exports a method with its abilities.
///
/// The abilities follow the colon, in any order: `ollama`, `openai`, `training`,
/// `transform`. Exactly these are exported, in addition to the description of every
/// plugin. The method must implement the trait of each.
///
/// ```
/// # use tunesmith_plugin::*;
/// struct Echo;
///
/// impl Method for Echo {
///     fn describe() -> Descriptor {
///         Descriptor::new("echo", env!("CARGO_PKG_VERSION"), "Adds nothing.")
///     }
/// }
///
/// impl Ollama for Echo {
///     fn configure_ollama(_: &Job, _: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
///         Ok(OllamaConfig::new().note("Nothing is added to the base model."))
///     }
/// }
///
/// export_plugin!(Echo: ollama);
/// ```
///
/// An ability that the method does not implement does not compile:
///
/// ```compile_fail,E0277
/// # use tunesmith_plugin::*;
/// # struct Echo;
/// # impl Method for Echo {
/// #     fn describe() -> Descriptor {
/// #         Descriptor::new("echo", "1.0.0", "Adds nothing.")
/// #     }
/// # }
/// export_plugin!(Echo: openai);
/// ```
///
/// Use it once in a crate. On targets other than `wasm32` it exports nothing and only
/// checks the traits, so that unit tests can link several methods.
#[macro_export]
macro_rules! export_plugin {
    ($method:ty: $($ability:ident),+ $(,)?) => {
        const _: () = {
            const fn is_method<T: $crate::Method>() {}
            is_method::<$method>();
            $($crate::__check_ability!($ability, $method);)+
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Plugin = $crate::glue::Plugin<$method>;
            $crate::bindings::plugin_base::export!(Plugin with_types_in $crate::bindings::plugin_base);
            $($crate::__export_ability!($ability, Plugin);)+
        };
    };
}

/// Checks that a method has the trait of an ability.
#[doc(hidden)]
#[macro_export]
macro_rules! __check_ability {
    (ollama, $method:ty) => {
        const fn has_ollama<T: $crate::Ollama>() {}
        has_ollama::<$method>();
    };
    (openai, $method:ty) => {
        const fn has_openai<T: $crate::OpenAi>() {}
        has_openai::<$method>();
    };
    (training, $method:ty) => {
        const fn has_training<T: $crate::Training>() {}
        has_training::<$method>();
    };
    (transform, $method:ty) => {
        const fn has_transform<T: $crate::Transform>() {}
        has_transform::<$method>();
    };
    ($other:ident, $method:ty) => {
        compile_error!(concat!(
            "unknown ability `",
            stringify!($other),
            "`; abilities are ollama, openai, training and transform"
        ));
    };
}

/// Exports the interface of an ability.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_ability {
    (ollama, $plugin:ident) => {
        $crate::bindings::with_ollama::export!($plugin with_types_in $crate::bindings::with_ollama);
    };
    (openai, $plugin:ident) => {
        $crate::bindings::with_openai::export!($plugin with_types_in $crate::bindings::with_openai);
    };
    (training, $plugin:ident) => {
        $crate::bindings::with_training::export!($plugin with_types_in $crate::bindings::with_training);
    };
    (transform, $plugin:ident) => {
        $crate::bindings::with_transform::export!($plugin with_types_in $crate::bindings::with_transform);
    };
    ($other:ident, $plugin:ident) => {};
}
