//! `vedette engine`: calls from Kafka in, verdicts, standings, decisions and alerts out.

mod serve; // what monitoring asks

use crate::cli::Engine;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::Judge;
use crate::progress::grouped;
use crate::tally::Tally;
use ingest::Operator;
use ingest::checkpoint::{Bucket, CheckpointStore};
use ingest::engine::EngineConfig;
use serve::Shown;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;

/// Runs until asked to end, then says what was done.
pub async fn run(args: &Engine, config: &Config) -> Result<(), Failure> {
    let detector = crate::parts::detector(config, args.model.as_deref())?;
    let parts = crate::parts::for_traffic(config, detector)?;
    let brokers = args.brokers.as_ref().unwrap_or(&config.kafka.brokers);
    if config.kafka.create_topics {
        ingest::topics::create(brokers, &crate::topics::all()).await?;
    }
    let inputs: Vec<String> = config.topics.iter().map(|topic| topic.name.clone()).collect();
    eprintln!("engine: reading {} at {brokers} as group `{}`; Ctrl-C ends it", inputs.join(", "), config.kafka.group);
    let mut engine = EngineConfig::new(brokers);
    engine.inputs = inputs;
    engine.group.clone_from(&config.kafka.group);
    engine.instance.clone_from(&config.engine.instance);
    engine.members = members();
    engine.client = client_settings(&config.kafka.client_file)?;
    engine.checkpoints = checkpoints(config)?;
    engine.limits.checkpoint_ms = config.engine.checkpoint_ms;
    let tally = Arc::new(Tally::default());
    let shown = Shown { progress: engine.progress(), meters: Arc::clone(&engine.meters), tally: Arc::clone(&tally) };
    if !config.engine.listen.is_empty() {
        let listener = crate::commands::policy::listen(&config.engine.listen).await?;
        tokio::spawn(serve::serve(listener, shown));
    }
    let kept = engine.checkpoints.is_some();
    let decisions = config.engine.decisions;
    let judge = move |_| -> Box<dyn Operator> {
        let judge = Judge::new(Arc::clone(&parts)).decisions(decisions).counted(&tally);
        Box::new(if kept { judge.kept() } else { judge })
    };
    let summary = ingest::engine::run(engine, judge, crate::shutdown::asked()).await?;
    writeln!(std::io::stdout(), "engine: {} calls answered", grouped(summary.records))?;
    Ok(())
}

/// The lines of a file of client settings; `#` begins a comment. Values may be passwords: none is ever shown.
pub fn client_settings(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let setting = |(number, line): (u32, &str)| match line.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::ClientSetting { path: path.into(), line: number }),
    };
    lines.map(setting).collect()
}

/// The configured store of checkpoints.
fn checkpoints(config: &Config) -> Result<Option<Arc<dyn CheckpointStore>>, Failure> {
    if config.engine.checkpoints.is_empty() {
        return Ok(None);
    }
    if config.seal.key_file.as_os_str().is_empty() {
        return Err(Failure::CheckpointsWithoutKey);
    }
    let store = Bucket::open(&config.engine.checkpoints).map_err(|source| Failure::Checkpoints { source })?;
    Ok(Some(Arc::new(store)))
}

/// One member a core.
pub fn members() -> NonZeroU8 {
    u8::try_from(crate::judge::threads()).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_settings_are_lines_of_names_and_values_and_a_bad_line_is_named_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.properties");
        std::fs::write(&path, "# who we are\nsasl.username = vedette\nsasl.password=a=b\n\n").unwrap();
        let settings = client_settings(&path).unwrap();
        assert_eq!(settings.get("sasl.password").map(String::as_str), Some("a=b"));
        assert_eq!(settings.len(), 2);
        std::fs::write(&path, "a=b\nhunter2\n").unwrap();
        let failure = client_settings(&path).unwrap_err().to_string();
        assert!(failure.contains("line 2") && !failure.contains("hunter2"), "{failure}");
        assert!(client_settings(Path::new("")).unwrap().is_empty());
    }
}
