//! The suite that a backend of the store must pass, whatever database it uses.
//!
//! [`conformance!`](crate::conformance!) makes a test of each of its parts. What a backend does that
//! others need not (files, their permissions, locks that show presence) is tested beside
//! the backend.

pub mod claims;
pub mod jobs;
pub mod machine;
pub mod outputs;
pub mod records;

use crate::{Batch, Level};
use crate::{
    Change, Claim, Error, Event, Intent, Job, ManualClock, NewDataset, NewEvent, NewJob, NewModel, NewPlan,
    NewUpload, Operation, Options, Outcome, Redactor, State, Store,
};
use async_trait::async_trait;
use serde_json::json;
use std::sync::Arc;
use tunesmith_core::ProviderId;

/// Makes a `#[tokio::test]` of every part of the suite. The expression makes a new
/// [`Place`](crate::conformance::Place), in which nothing was stored yet.
#[macro_export]
macro_rules! conformance {
    ($place:expr) => {
        $crate::conformance! { $place;
            claims {
                caller_that_gives_up_leaves_no_half_change
                dropped_claim_returns_with_the_next_beat
                heartbeat_runs_until_it_is_dropped
                job_has_one_owner_until_it_hangs
                of_many_claims_at_once_one_succeeds
                request_and_answer_cross_processes
            }
            jobs {
                job_lists_are_filtered_and_paged
                only_idle_jobs_are_removed_models_stay
                plans_come_back_byte_for_byte
                taken_id_is_drawn_again
                unambiguous_id_prefix_finds_the_job
            }
            machine {
                illegal_and_unfounded_moves_change_nothing
                intents_are_opened_and_settled_once
                late_model_is_verified_without_training_again
                local_training_needs_no_create
                retry_is_a_new_attempt_with_its_run_id
                second_create_is_refused
                situation_after_a_crash
                state_events_carry_the_reason
                whole_run_needs_seven_synced_transactions
            }
            outputs {
                checkpoints_and_artifacts_are_listed
                later_model_supersedes_only_its_own_kind
                plugin_history_is_ordered_and_bounded
                uploaded_file_is_found_by_content
            }
            records {
                echoed_secret_is_masked_everywhere
                events_come_once_in_order_and_in_pages
                figures_are_merged_by_step
                oversized_message_is_cut_at_a_character
            }
        }
    };
    ($place:expr; $($module:ident { $($part:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                let subject = $crate::conformance::Subject::new($place);
                $crate::conformance::$module::$part(&subject).await;
            }
        )*)*
    };
}

/// Where stores of the backend under test are.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the store here, as another process would: what is stored is shared, the
    /// identity of the owner is not.
    async fn open(&self, options: Options) -> Result<Store, Error>;
}

/// 2026-11-23, about 05:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_410_000_000;

/// A place to store in, and the time there.
pub struct Subject {
    place: Box<dyn Place>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Subject {
    pub fn new(place: impl Place + 'static) -> Self {
        Self { place: Box::new(place), clock: Arc::new(ManualClock::at(NOW_MS)) }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(Redactor::default()).await
    }

    pub(crate) async fn open_with(&self, redactor: Redactor) -> Store {
        self.place.open(Options { clock: self.clock.clone(), redactor }).await.unwrap()
    }
}

pub(crate) fn new_job(name: &str) -> NewJob {
    NewJob {
        name: name.into(),
        provider: ProviderId::OpenAi,
        service: "http://127.0.0.1:9/v1".into(),
        method: "lora".into(),
        base_model: "gpt-4.1-mini-2025-04-14".into(),
        emulated: true,
        remote: true,
        spec: json!({"name": name}),
        dataset: NewDataset { digest: "d1".into(), path: "support.jsonl".into(), rows: 85, bytes: 9000 },
        plan: NewPlan { digest: "p1".into(), document: "{\"a\": 1}".into(), measured: json!({"ms": 3}) },
    }
}

pub(crate) fn done(remote_id: &str) -> Outcome {
    Outcome::Done { remote_id: Some(remote_id.into()) }
}

pub(crate) fn model(name: &str) -> NewModel {
    NewModel { name: name.into(), made: "fine-tuned".into(), digest: None }
}

pub(crate) fn upload(remote_id: &str) -> NewUpload {
    NewUpload {
        remote_id: remote_id.into(),
        file_name: "train.jsonl".into(),
        purpose: "fine-tune".into(),
        sha256: "abc".into(),
        bytes: 9000,
        expires_ms: None,
    }
}

pub(crate) fn event(id: Option<&str>, message: &str) -> NewEvent {
    NewEvent {
        at_ms: NOW_MS,
        event: Event::Message { level: Level::Info, text: message.into(), data: None },
        remote_id: id.map(Into::into),
    }
}

pub(crate) fn events(events: impl IntoIterator<Item = NewEvent>) -> Batch {
    Batch { events: events.into_iter().collect(), ..Batch::default() }
}

/// The path that a job takes at OpenAI, as an executor would write it: the changes in
/// order, each given the intent that the one before recorded.
pub(crate) fn openai_path(step: usize, before: Option<&Intent>) -> Option<Change> {
    let before = || before.unwrap().id;
    Some(match step {
        0 => Change::to(State::Uploading).intend(Operation::Upload, "h-upload"),
        1 => Change::to(State::Creating)
            .settle(before(), done("file-1"))
            .uploaded(upload("file-1"))
            .intend(Operation::Create, "h-create"),
        2 => Change::to(State::Submitted).settle(before(), done("ftjob-1")),
        3 => Change::to(State::Running),
        4 => Change::to(State::Verifying).model(model("ft:model")),
        5 => Change::to(State::Succeeded).verified("ft:model").release(),
        _ => return None,
    })
}

/// Takes a job along the path, at most this many steps.
pub(crate) async fn advance(store: &Store, claim: &Claim, steps: usize) -> Job {
    let mut intent = None;
    let mut job = store.job(claim.job().as_str()).await.unwrap();
    for step in 0..steps {
        let Some(change) = openai_path(step, intent.as_ref()) else { break };
        let applied = store.apply(claim, change).await.unwrap();
        (job, intent) = (applied.job, applied.intent);
    }
    job
}

/// Polls once and lets the database's thread run; whether the future is done.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    let done = std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    done
}
