//! What is true of each provider, in one table: whoever decides by provider asks here.

use tunesmith_core::ProviderId;
use tunesmith_dataset::Target;
use tunesmith_plugin_host::Ability;

/// What is true of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whose row this is.
    pub id: ProviderId,
    /// The name as its makers write it, for sentences.
    pub title: &'static str,
    /// The ability that a method needs to plan for it.
    pub ability: Ability,
    /// The rules that its datasets are checked against.
    pub target: Target,
    /// A base model that works there, for a job that names none.
    pub usual_base_model: &'static str,
    /// It trains weights.
    pub trains: bool,
    /// Work there stops when its client goes, so that some process must stay.
    pub client_must_stay: bool,
    /// The service has jobs of its own, which can be followed and adopted.
    pub remote_jobs: bool,
    /// It takes the dataset as an uploaded file, with preference pairs and a validation
    /// file where the job has them.
    pub uploads: bool,
    /// A job costs money, and a service needs the operator's key.
    pub costs_money: bool,
}

impl Facts {
    /// It trains in a process of ours: there is nothing to create at a service first.
    pub fn trains_here(&self) -> bool {
        self.trains && !self.remote_jobs
    }
}

/// By [`ProviderId`], in its order.
static FACTS: [Facts; 3] = [
    Facts {
        id: ProviderId::Ollama,
        title: "Ollama",
        ability: Ability::Ollama,
        target: Target::Ollama,
        usual_base_model: "llama3.2",
        trains: false,
        client_must_stay: true,
        remote_jobs: false,
        uploads: false,
        costs_money: false,
    },
    Facts {
        id: ProviderId::OpenAi,
        title: "OpenAI",
        ability: Ability::OpenAi,
        target: Target::OpenAi,
        usual_base_model: "gpt-4.1-mini",
        trains: true,
        client_must_stay: false,
        remote_jobs: true,
        uploads: true,
        costs_money: true,
    },
    Facts {
        id: ProviderId::Local,
        title: "the local trainer",
        ability: Ability::Training,
        target: Target::Local,
        usual_base_model: "llama3.2",
        trains: true,
        client_must_stay: true,
        remote_jobs: false,
        uploads: false,
        costs_money: false,
    },
];

/// What is true of a provider.
pub fn of(provider: ProviderId) -> &'static Facts {
    &FACTS[provider as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_own_row() {
        assert!(ProviderId::ALL.into_iter().all(|provider| of(provider).id == provider));
    }
}
