//! What is on this machine: configuration, key, store, cache and plugins.

use super::{Check, Status};
use crate::Workbench;
use crate::{Output, registry::PluginArgs};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use tunesmith_engine::config::Config;
use tunesmith_engine::secret::SecretError;
use tunesmith_store::{Job, State};

/// Orphans that are named one by one.
const MOST_NAMED: usize = 5;

/// Below this, a job's files and the compile cache soon fill the disk.
const LITTLE_SPACE: u64 = 1 << 30;

pub(super) fn configuration(config: &Config) -> Vec<Check> {
    let path = config.path.display();
    let mut checks = vec![if config.exists {
        Check::ok("configuration", path.to_string())
    } else {
        Check::ok("configuration", format!("the defaults; {path} is not there"))
    }];
    checks.extend(config.warnings.iter().map(|warning| Check::warn("configuration", warning)));
    checks
}

pub(super) fn key(workbench: &Workbench, fix: bool) -> Vec<Check> {
    const AREA: &str = "openai key";
    vec![match workbench.found_key() {
        Ok(Some(found)) => Check::ok(AREA, format!("set, from {}", found.place)),
        Ok(None) => Check::skip(AREA, "none set; jobs for OpenAI need one")
            .fix("set OPENAI_API_KEY, or openai.key_file"),
        // The file is this user's own, or the error would be another.
        Err(SecretError::Permissions { path, mode }) if fix => match set_mode(path, 0o600) {
            Ok(()) => Check::fixed(
                AREA,
                format!(
                    "{} had mode {mode:04o} and has 0600 now; if others could read it, make a new key",
                    path.display()
                ),
            ),
            Err(error) => Check::fail(AREA, format!("cannot change the mode of {}: {error}", path.display())),
        },
        Err(error) => Check::of(AREA, Status::Fail, error.into()),
    }]
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

pub(super) async fn store(workbench: &Workbench, fix: bool) -> Vec<Check> {
    const AREA: &str = "store";
    let directory = workbench.store_directory();
    let mut checks = Vec::new();
    if let Ok(meta) = std::fs::metadata(directory)
        && meta.is_dir()
        && meta.mode() & 0o022 != 0
        && meta.uid() == rustix::process::geteuid().as_raw()
    {
        let mode = meta.mode() & 0o777;
        let what = format!("others may write to {} (mode {mode:03o})", directory.display());
        if !fix {
            checks.push(Check::fail(AREA, what).fix(format!("chmod 700 {}", directory.display())));
            return checks;
        }
        match set_mode(directory, 0o700) {
            Ok(()) => checks.push(Check::fixed(AREA, format!("{what}; no longer"))),
            Err(error) => {
                checks.push(Check::fail(AREA, format!("{what}, and that cannot be changed: {error}")));
                return checks;
            }
        }
    }
    let store = match workbench.existing_store().await {
        Ok(Some(store)) => store,
        Ok(None) => {
            checks.push(Check::ok(
                AREA,
                format!("none yet; the first job makes it in {}", directory.display()),
            ));
            return checks;
        }
        Err(error) => {
            checks.push(Check::of(AREA, Status::Fail, error));
            return checks;
        }
    };
    match store.check().await {
        Ok(problems) if problems.is_empty() => {
            checks.push(Check::ok(AREA, format!("sound: {}", store.path().display())));
        }
        Ok(problems) => checks.extend(problems.into_iter().map(|problem| {
            let what = match problem.job {
                Some(job) => format!("job {job}: {}", problem.what),
                None => problem.what,
            };
            Check::fail(AREA, what).fix("keep a copy of the store's directory, and report this as a bug")
        })),
        Err(error) => checks.push(Check::of(AREA, Status::Fail, error.into())),
    }
    match store.orphans().await {
        Ok(jobs) => checks.extend(unattended(&jobs)),
        Err(error) => checks.push(Check::of(AREA, Status::Fail, error.into())),
    }
    checks.extend(space(AREA, directory));
    store.close().await;
    checks
}

fn unattended(jobs: &[Job]) -> Vec<Check> {
    const AREA: &str = "jobs";
    let waiting: Vec<&Job> = jobs.iter().filter(|job| job.state != State::Paused).collect();
    let mut checks: Vec<Check> = waiting
        .iter()
        .take(MOST_NAMED)
        .map(|job| {
            let what = match job.state {
                State::Planned => "planned and never begun",
                State::Unknown => "a create was perhaps sent, and what became of it is not known",
                State::Submitted | State::Running => "goes on at the service, and nobody follows it",
                _ => "was interrupted",
            };
            let name = tunesmith_core::text::visible(&job.name);
            Check::warn(AREA, format!("{} ({name}) is {}: {what}", job.id, job.state))
                .fix(format!("tunesmith jobs resume {}", job.id))
        })
        .collect();
    if waiting.len() > MOST_NAMED {
        checks.push(
            Check::warn(AREA, format!("and {} more", waiting.len() - MOST_NAMED)).fix("tunesmith jobs list"),
        );
    }
    if checks.is_empty() {
        checks.push(Check::ok(AREA, "none is left without a process that attends to it"));
    }
    checks
}

/// A word where the disk is nearly full.
fn space(area: &'static str, directory: &Path) -> Option<Check> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    (free < LITTLE_SPACE).then(|| {
        let free = crate::view::dataset::size(free);
        Check::warn(area, format!("only {free} are free where {} lies", directory.display())).fix("make room")
    })
}

pub(super) fn cache(workbench: &Workbench, fix: bool) -> Vec<Check> {
    const AREA: &str = "cache";
    let directory = workbench.cache();
    let shown = directory.display();
    let mut checks = vec![match std::fs::metadata(directory) {
        Ok(meta) if !meta.is_dir() => Check::fail(AREA, format!("{shown} is not a directory"))
            .fix("move it away, or set TUNESMITH_CACHE_DIR to another place"),
        Ok(_) => match tempfile::tempfile_in(directory) {
            Ok(_) => Check::ok(AREA, shown.to_string()),
            Err(error) => Check::warn(
                AREA,
                format!("{shown} cannot be written ({error}): everything is made anew each time"),
            )
            .fix("set TUNESMITH_CACHE_DIR to a private directory that can be written"),
        },
        Err(_) if fix => match tunesmith_core::fs::create_private(directory) {
            Ok(()) => Check::fixed(AREA, format!("made {shown}")),
            Err(error) => Check::warn(AREA, format!("{shown} cannot be made: {error}"))
                .fix("set TUNESMITH_CACHE_DIR to a private directory that can be written"),
        },
        Err(_) => Check::ok(AREA, format!("{shown}, made with the first job")),
    }];
    // The place of compiled code is private, or it is not used.
    let code = workbench.code_cache();
    if let Ok(meta) = std::fs::metadata(&code)
        && meta.mode() & 0o077 != 0
    {
        let what = format!(
            "others may use {} (mode {:03o}): code there is not trusted",
            code.display(),
            meta.mode() & 0o777
        );
        checks.push(if fix && set_mode(&code, 0o700).is_ok() {
            Check::fixed(AREA, format!("{what}; no longer"))
        } else {
            Check::warn(AREA, what).fix(format!("chmod 700 {}", code.display()))
        });
    }
    checks.extend(space(AREA, directory));
    checks
}

pub(super) fn plugins(args: &PluginArgs, workbench: &Workbench, output: &Output) -> Vec<Check> {
    const AREA: &str = "methods";
    let registry = args
        .options(workbench, output)
        .and_then(|options| tunesmith_plugin_host::Registry::load(options).map_err(Into::into));
    let registry = match registry {
        Ok(registry) => registry,
        Err(error) => return vec![Check::of(AREA, Status::Fail, error)],
    };
    let snapshot = registry.snapshot();
    let directory = args.directory(workbench);
    let place = match &directory {
        Some(directory) => directory.display().to_string(),
        None => format!("{} is not there", workbench.default_plugins().display()),
    };
    let mut checks = vec![Check::ok(AREA, format!("{} work; plugins: {place}", snapshot.methods().len()))];
    if let Some(directory) = directory
        && let Ok(meta) = std::fs::metadata(&directory)
        && meta.mode() & 0o002 != 0
    {
        let what =
            format!("anyone may put plugins into {} (mode {:03o})", directory.display(), meta.mode() & 0o777);
        checks.push(Check::warn(AREA, what).fix(format!("chmod o-w {}", directory.display())));
    }
    checks.extend(snapshot.rejections().iter().map(|rejection| {
        Check::warn(AREA, rejection.to_string()).fix("mend or remove the file; the others are not affected")
    }));
    checks
}
