//! Failpoints: named places around every effect on the world, where a test can kill the
//! process. A build without debug assertions has none of it: [`around`] is then the
//! effect and nothing else.
//!
//! ```text
//! TUNESMITH_FAILPOINT=openai.create:after tunesmith run …      dies once the service has answered
//! TUNESMITH_FAILPOINT=ollama.create:before@2 tunesmith run …   dies before the second create
//! ```

use std::future::Future;
use tunesmith_core::ProviderId;

/// The variable that arms a failpoint, in a build with debug assertions.
pub const VARIABLE: &str = "TUNESMITH_FAILPOINT";

/// Defines the points with their names, providers and what they do at the service.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal, $provider:ident, [$($route:literal),*];)*) => {
        /// An effect on the world.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Point { $($(#[$doc])* $point,)* }

        impl Point {
            /// All of them: what tests go through.
            pub const ALL: &'static [Self] = &[$(Self::$point,)*];

            /// Its name, such as `openai.create`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }

            /// Whose service it changes.
            pub const fn provider(self) -> ProviderId {
                match self { $(Self::$point => ProviderId::$provider,)* }
            }

            /// The routes by which it changes something there, as the emulator names
            /// them. A route that changes something and stands at no point is a mistake.
            pub const fn routes(self) -> &'static [&'static str] {
                match self { $(Self::$point => &[$($route),*],)* }
            }
        }
    };
}

points! {
    /// A base model is pulled.
    OllamaPull = "ollama.pull", Ollama, ["POST /api/pull"];
    /// A model is created.
    OllamaCreate = "ollama.create", Ollama, ["POST /api/create"];
    /// A new model is asked for its first token, which loads it.
    OllamaProbe = "ollama.probe", Ollama, [];
    /// A model is deleted.
    OllamaDelete = "ollama.delete", Ollama, ["DELETE /api/delete"];
    /// A training file is brought to the service, whole or in parts.
    OpenAiUpload = "openai.upload", OpenAi, [
        "POST /v1/files", "POST /v1/uploads", "POST /v1/uploads/{id}/parts", "POST /v1/uploads/{id}/complete"
    ];
    /// A part of an upload is noted, so that it is not sent again.
    OpenAiUploadPart = "openai.upload-part", OpenAi, [];
    /// An upload in parts is given up.
    OpenAiUploadCancel = "openai.upload-cancel", OpenAi, ["POST /v1/uploads/{id}/cancel"];
    /// A fine-tuning job is created.
    OpenAiCreate = "openai.create", OpenAi, ["POST /v1/fine_tuning/jobs"];
    /// A job is cancelled.
    OpenAiCancel = "openai.cancel", OpenAi, ["POST /v1/fine_tuning/jobs/{id}/cancel"];
    /// A job is paused.
    OpenAiPause = "openai.pause", OpenAi, ["POST /v1/fine_tuning/jobs/{id}/pause"];
    /// A job is resumed.
    OpenAiResume = "openai.resume", OpenAi, ["POST /v1/fine_tuning/jobs/{id}/resume"];
    /// A tuned model is asked for its first token, which is billed.
    OpenAiProbe = "openai.probe", OpenAi, [];
    /// An uploaded file is deleted.
    OpenAiDeleteFile = "openai.delete-file", OpenAi, ["DELETE /v1/files/{id}"];
}

/// On which side of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Its intent is recorded, and nothing was sent.
    Before,
    /// It was answered, and the answer is not recorded.
    After,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Carries out an effect at its point.
pub async fn around<T>(point: Point, effect: impl Future<Output = T>) -> T {
    armed::hit(point, Side::Before);
    let result = effect.await;
    armed::hit(point, Side::After);
    result
}

#[cfg(debug_assertions)]
mod armed {
    use super::{Point, Side, VARIABLE};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Armed {
        name: String,
        side: String,
        /// Which time it is passed, from 1.
        time: u32,
        passed: AtomicU32,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub fn hit(point: Point, side: Side) {
        let Some(armed) = ARMED.get_or_init(read) else { return };
        if armed.name == point.name()
            && armed.side == side.as_str()
            && armed.passed.fetch_add(1, Ordering::Relaxed) + 1 == armed.time
        {
            // As a power cut would: nothing is flushed, dropped or said.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn read() -> Option<Armed> {
        let text = std::env::var(VARIABLE).ok()?;
        let (what, time) = text.split_once('@').unwrap_or((&text, "1"));
        let (name, side) = what.split_once(':')?;
        Some(Armed {
            name: name.to_owned(),
            side: side.to_owned(),
            time: time.parse().ok()?,
            passed: AtomicU32::new(0),
        })
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    use super::{Point, Side};

    #[inline(always)]
    pub const fn hit(_: Point, _: Side) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_their_own_and_say_the_provider() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        for point in Point::ALL {
            assert!(point.name().starts_with(&format!("{}.", point.provider())), "{point:?}");
        }
    }

    #[tokio::test]
    async fn an_effect_passes_through() {
        assert_eq!(around(Point::OllamaCreate, async { 7 }).await, 7);
    }
}
