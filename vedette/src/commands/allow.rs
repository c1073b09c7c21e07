//! `vedette allow`: who lets which calls through, why, and until when.

use crate::cli::policy::{AllowAdd, AllowCommand, AllowTask};
use crate::config::Config;
use crate::failure::Failure;
use policy::{Allow, Allowlist, Scope};
use schema::Millis;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Adds, lists or removes entries.
pub fn run(args: &AllowCommand, config: &Config) -> Result<(), Failure> {
    let path = match &args.file {
        Some(path) => path,
        None if config.policy.allow_file.as_os_str().is_empty() => {
            return Err(Failure::NoFile { what: "the allowlist", flag: "--file", key: "policy.allow_file" });
        }
        None => &config.policy.allow_file,
    };
    let entries = read(path)?.entries().to_vec();
    match &args.task {
        AllowTask::Add(add) => write(path, entries.into_iter().chain([entry(add)]).collect()),
        AllowTask::Remove { id } => {
            let left: Vec<Allow> = entries.iter().filter(|entry| entry.id != *id).cloned().collect();
            if left.len() == entries.len() {
                return Err(Failure::NoAllowance { path: path.into(), id: id.to_string() });
            }
            write(path, left)
        }
        AllowTask::List => Ok(std::io::stdout().write_all(told(&entries, now()).as_bytes())?),
    }
}

/// The allowlist in `path`; empty where the file is missing.
pub fn read(path: &Path) -> Result<Allowlist, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Allowlist::parse(&text).map_err(|source| Failure::Allow { path: path.into(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Allowlist::default()),
        Err(source) => Err(Failure::Read { path: path.into(), source }),
    }
}

fn entry(add: &AllowAdd) -> Allow {
    Allow {
        id: add.id.clone(),
        scope: Scope {
            tenant: add.tenant.clone(),
            agent: add.agent.clone(),
            principal: add.principal.clone(),
            session: add.session.clone(),
            tool: add.tool.clone(),
            policy: add.policy.clone(),
        },
        owner: add.owner.clone(),
        reason: add.reason.clone(),
        expires: Millis(now().0.saturating_add(add.expires.as_millis() as u64)),
    }
}

/// Whole or not at all: a reader sees the old list or the new one.
fn write(path: &Path, entries: Vec<Allow>) -> Result<(), Failure> {
    let list = Allowlist::check(entries).map_err(|source| Failure::Allow { path: path.into(), source })?;
    let failed = |source| Failure::Write { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let new = folder.join(format!(".{name}.{}", std::process::id()));
    std::fs::write(&new, list.write()).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

fn told(entries: &[Allow], now: Millis) -> String {
    let mut out = String::new();
    for Allow { id, scope, owner, reason, expires } in entries {
        let parts = [
            ("tenant", &scope.tenant),
            ("agent", &scope.agent),
            ("principal", &scope.principal),
            ("session", &scope.session),
            ("tool", &scope.tool),
            ("policy", &scope.policy),
        ];
        let covers: Vec<String> =
            parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?))).collect();
        let left = match expires.since(now) {
            0 => "expired".to_owned(),
            ms => format!("{} h left", ms.div_ceil(3_600_000)),
        };
        out += &format!("{id}  {}  {left}  {owner}: {reason}\n", covers.join(" "));
    }
    out
}

fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}
