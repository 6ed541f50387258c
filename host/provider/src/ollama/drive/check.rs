//! Looking before anything is recorded: server, base model, context, and the name.

use crate::drive::{Checked, Error, Execution};
use crate::ollama::client::{Base, Client, ErrorKind};
use crate::ollama::plan::OllamaPlan;

/// Looks whether the job can be carried out.
pub(in crate::ollama) async fn check(
    client: &Client,
    plan: &OllamaPlan,
    execution: &Execution,
) -> Result<Checked, Error> {
    let server = client.connect().await?;
    client.check_create().await?;
    let request = &plan.request;
    let mut checked = Checked { emulated: server.emulated || client.is_emulated(), ..Checked::default() };
    match client.base(&request.from).await {
        Ok(base) => context(&base, plan, &mut checked)?,
        Err(error) if error.kind == ErrorKind::MissingBase && execution.pull => {
            checked.pulls = true;
            checked.notes.push(format!("the server does not have {} and will fetch it first", request.from));
        }
        Err(error) => return Err(error.into()),
    }
    if client.find(&request.model).await?.is_some() {
        if !execution.replace {
            return Err(Error::NameTaken { model: request.model.to_string() });
        }
        checked.replaces = true;
        checked
            .notes
            .push(format!("the server has a model {} already, which will be replaced", request.model));
    }
    Ok(checked)
}

/// Whether the plan fits the context that the base was trained for, to which the server
/// cuts every wish.
pub(super) fn context(base: &Base, plan: &OllamaPlan, checked: &mut Checked) -> Result<(), Error> {
    let Some(trained) = base.context_length else {
        checked.notes.push(format!("the server does not say for which context {} was trained", base.name));
        return Ok(());
    };
    let needed = plan.baked.budget.total();
    if needed > trained {
        return Err(Error::Context { base: base.name.to_string(), trained, needed });
    }
    let wanted = plan.baked.context_window.tokens;
    if u64::from(wanted) > trained {
        checked.notes.push(format!(
            "{} was trained for {trained} tokens; the server will cut the context of {wanted} tokens to that",
            base.name,
        ));
    }
    Ok(())
}
