//! What commands say of data sets and times: which, and what of it may be seen.

use clap::{Args, ValueEnum};
use schema::Millis;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which data set, and what of it may be seen.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// Folder of the data set. Without it the set is `world`, made by the built-in generator.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Seed of the built-in world.
    #[arg(long, value_name = "N", default_value_t = WORLD_SEED, conflicts_with = "data")]
    pub world_seed: u64,
    /// Sessions in the built-in world.
    #[arg(long, value_name = "N", default_value_t = WORLD_SESSIONS, conflicts_with = "data")]
    pub world_sessions: u32,
}

/// What a gateway may have failed to capture.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Hidden {
    /// Leave out what the users asked for.
    #[arg(long)]
    pub no_mission: bool,
    /// Leave out what the tools answered.
    #[arg(long)]
    pub no_results: bool,
}

/// Sessions of a data set, and how they were seen.
#[derive(Debug, Clone, Args)]
pub struct Sessions {
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// Which sessions to take.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Only the sessions of this fold.
    #[arg(long, value_name = "K")]
    pub fold: Option<u8>,
    /// Read NAME.results_VIEW.jsonl.gz in place of NAME.results.jsonl.gz.
    #[arg(long, value_name = "VIEW", conflicts_with = "no_results")]
    pub results: Option<String>,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// For fitting: honest sessions only.
    Train,
    /// For measuring.
    Test,
    /// Both.
    #[default]
    All,
}

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Since the epoch.
    At(Millis),
    /// So many ms ago.
    Ago(u64),
}

impl When {
    /// The time it is, now being `now`.
    pub fn at(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Ago(ms) => Millis(now.0.saturating_sub(ms)),
        }
    }

    /// From its text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ms) = text.parse() {
            return Ok(Self::At(Millis(ms)));
        }
        if let Some(at) = schema::decode::time::parse(text) {
            return Ok(Self::At(at));
        }
        let unit = text.char_indices().next_back().and_then(|(at, unit)| {
            let ms = match unit {
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return None,
            };
            text.get(..at)?.parse::<u64>().ok()?.checked_mul(ms)
        });
        unit.map(Self::Ago)
            .ok_or_else(|| format!("`{text}` is no time: write 2026-11-22T11:04:00Z, 1795343040062 or 14d"))
    }
}

/// Name of the set that the built-in generator makes.
pub const WORLD: &str = "world";
/// Seed of the world that `up` shows.
pub const WORLD_SEED: u64 = 7;
/// Sessions of that world: enough to learn from, few enough for seconds.
pub const WORLD_SESSIONS: u32 = 2_000;
