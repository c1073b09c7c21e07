//! `vedette announce`: running engines take up another model.

use crate::cli::Announce;
use crate::config::Config;
use crate::failure::Failure;
use crate::models::announcement;
use cert_manager::est::server::wall_clock;
use schema::Millis;
use std::io::Write as _;

/// Announces the model, once it is seen to be one.
pub async fn run(args: &Announce, config: &Config) -> Result<(), Failure> {
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    let read = |source| Failure::Read { path: args.model.clone(), source };
    let path = args.model.canonicalize().map_err(read)?;
    let digest = crate::parts::model(&path)?.digest();
    if config.kafka.create_topics {
        ingest::topics::create(&cluster, &crate::topics::all()).await?;
    }
    ingest::produce::send_all(&cluster, [announcement(digest, &path, Millis(wall_clock().0))]).await?;
    Ok(writeln!(std::io::stdout(), "announced {digest}; engines read it from {}", path.display())?)
}
