//! `vedette engine`: calls from Kafka in, verdicts, standings, decisions and alerts out.

use crate::cli::Engine;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::Judge;
use crate::pipeline::Parts;
use crate::progress::grouped;
use ingest::engine::{EngineConfig, Summary};
use schema::Millis;
use std::io::Write as _;
use std::num::NonZeroU8;
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
    engine.members = members();
    let summary = judge_all(engine, parts, Millis(0), crate::shutdown::asked()).await?;
    writeln!(std::io::stdout(), "engine: {} calls answered", grouped(summary.records))?;
    Ok(())
}

/// Judges every call from `since` on, of the partitions this process gets, until `shutdown` ends.
pub async fn judge_all(
    engine: EngineConfig,
    parts: Arc<Parts>,
    since: Millis,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, Failure> {
    Ok(ingest::engine::run(engine, move |_partition| Box::new(Judge::new(Arc::clone(&parts), since)), shutdown).await?)
}

/// One member a core.
pub fn members() -> NonZeroU8 {
    u8::try_from(crate::judge::threads()).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
}
