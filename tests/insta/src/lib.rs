//! `insta`, set up once for the whole workspace: a snapshot file shows the text that is
//! compared and not the escaped expression that made it.

#[doc(hidden)]
pub use insta as upstream;
pub use insta::Settings;

/// As in `insta`.
#[macro_export]
macro_rules! assert_snapshot {
    ($($arguments:tt)*) => { $crate::without_expression!(assert_snapshot!($($arguments)*)) };
}

/// As in `insta`.
#[macro_export]
macro_rules! assert_json_snapshot {
    ($($arguments:tt)*) => { $crate::without_expression!(assert_json_snapshot!($($arguments)*)) };
}

/// As in `insta`.
#[macro_export]
macro_rules! assert_debug_snapshot {
    ($($arguments:tt)*) => { $crate::without_expression!(assert_debug_snapshot!($($arguments)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! without_expression {
    ($name:ident!($($arguments:tt)*)) => {{
        let mut settings = $crate::Settings::clone_current();
        settings.set_omit_expression(true);
        let _bound = settings.bind_to_scope();
        $crate::upstream::$name!($($arguments)*);
    }};
}
