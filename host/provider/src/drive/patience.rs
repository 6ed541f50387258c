//! How long the executor waits, and how often it looks.

use std::time::Duration;

/// Waits of the executor. The defaults are for real services; the emulator answers at
/// once, so [`Patience::emulator`] is shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A create that was perhaps sent is looked for at least this long before it counts
    /// as not there: how long a service may take to list a new job is not documented, and
    /// a minute outlasts what has been seen.
    pub grace: Duration,
    /// Between two such looks.
    pub look: Duration,
    /// Between two looks at a remote job, at first.
    pub poll: Duration,
    /// And at most: a job takes minutes to hours, and each look is a request.
    pub longest_poll: Duration,
    /// A service that fails in passing ways is asked again for this long; then the job is
    /// left as it stands, to be resumed.
    pub contact: Duration,
    /// How long a new model may take to answer: OpenAI's can be missing for some minutes.
    pub probe: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(60),
            look: Duration::from_secs(3),
            poll: Duration::from_secs(2),
            longest_poll: Duration::from_secs(15),
            contact: Duration::from_secs(600),
            probe: Duration::from_secs(900),
        }
    }
}

impl Patience {
    /// For the emulator: it lists what it has at once, and its jobs take seconds.
    pub fn emulator() -> Self {
        Self {
            grace: Duration::from_millis(1_500),
            look: Duration::from_millis(300),
            poll: Duration::from_millis(200),
            longest_poll: Duration::from_secs(1),
            contact: Duration::from_secs(30),
            probe: Duration::from_secs(120),
        }
    }

    /// The wait after one of `before`.
    pub(crate) fn next_poll(&self, before: Duration) -> Duration {
        before.mul_f64(1.25).min(self.longest_poll).max(self.poll)
    }
}

/// A create whose replies keep getting lost is sent this often in one go; beyond that the
/// user decides.
pub(crate) const MOST_CREATES: u32 = 3;

/// Looks at least, before a create counts as not there, however long ago it was sent.
pub(crate) const LEAST_LOOKS: u32 = 3;

/// How often a job's owner looks for requests from other shells. One indexed query.
pub(crate) const ASKED_EVERY: Duration = Duration::from_millis(300);
