//! `vedette check-config`: the configuration in force, as a file that reads back the same.

use crate::config::Config;
use crate::failure::Failure;
use std::io::Write as _;

/// Prints it. `config` was checked when it was read; the files that its topics name are here.
pub fn run(config: &Config) -> Result<(), Failure> {
    crate::decoders::Decoders::of(config)?;
    let text = toml::to_string(config).map_err(std::io::Error::other)?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
