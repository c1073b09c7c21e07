//! `vedette-agent`: keeps the certificate of one device alive.

use std::process::ExitCode;

use lexopt::prelude::{Long, Short};

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vedette-agent: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: lexopt::Parser) -> Result<&'static str, lexopt::Error> {
    match arguments.next()? {
        Some(Long("version") | Short('V')) => Ok(concat!("vedette-agent ", env!("CARGO_PKG_VERSION"))),
        Some(Long("help") | Short('h')) | None => Ok(HELP),
        Some(other) => Err(other.unexpected()),
    }
}

const HELP: &str = "\
vedette-agent: keeps the certificate of one device alive

    vedette-agent --version   print the version
    vedette-agent --help      print this";
