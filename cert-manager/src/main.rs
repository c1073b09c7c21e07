//! `vedette-agent`: keeps the certificate of one device alive.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value, ValueExt};

mod command; // what each subcommand does
mod intake; // the Unix socket that takes the device's calls
mod rim; // clocks, sleep, the service manager, the hook
mod run; // `run`: steps, calls and bundles

use command::{Command, Failure};
use run::{Peers, Run, Until};

fn main() -> ExitCode {
    let outcome = match parse(lexopt::Parser::from_env()) {
        Ok(command) => command.run(),
        Err(error) => Err(Failure::Usage(error)),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("vedette-agent: {failure}");
            failure.exit_code()
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut folder = PathBuf::from(DEFAULT_FOLDER);
    let (mut name, mut file, mut server, mut device, mut trust) = (None, None, None, None, None);
    let (mut token_file, mut hook, mut until, mut calls_to) = (None, None, Until::Ended, None);
    let (mut bundles, mut peers) = (Vec::new(), Peers::Unknown);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("dir") => folder = arguments.value()?.into(),
            Long("server") => server = Some(arguments.value()?.parse()?),
            Long("device") => device = Some(arguments.value()?.parse()?),
            Long("trust") => trust = Some(PathBuf::from(arguments.value()?)),
            Long("token-file") => token_file = Some(PathBuf::from(arguments.value()?)),
            Long("once") => until = Until::Asleep,
            Long("calls-to") => calls_to = Some(arguments.value()?.parse()?),
            Long("bundle") => bundles.push(arguments.value()?.parse()?),
            Long("peers") => peers = Peers::LookedUp,
            Long("hook") => hook = Some(PathBuf::from(arguments.value()?)),
            Value(value) if name.is_none() => name = Some(value.string()?),
            Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            other => return Err(other.unexpected()),
        }
    }
    let missing = |what: &'static str| lexopt::Error::from(format!("missing {what}; see --help"));
    match name.as_deref() {
        None | Some("help") => Ok(Command::Help),
        Some("enroll") => Ok(Command::Enroll {
            folder,
            server: server.ok_or_else(|| missing("--server"))?,
            device: device.ok_or_else(|| missing("--device"))?,
            trust: trust.ok_or_else(|| missing("--trust"))?,
            token_file,
        }),
        Some("run") => Ok(Command::Run(Run { folder, hook, until, calls_to, bundles, peers })),
        Some("status") => Ok(Command::Status { folder }),
        Some("doctor") => Ok(Command::Doctor { folder }),
        Some("import") => Ok(Command::Import { folder, file: file.ok_or_else(|| missing("FILE"))? }),
        Some(other) => Err(format!("no command `{other}`; see --help").into()),
    }
}

const DEFAULT_FOLDER: &str = "/var/lib/vedette-agent";

const HELP: &str = "\
vedette-agent: keeps the certificate of one device alive

    vedette-agent enroll --server https://HOST:PORT --device NAME --trust root.json [--token-file FILE]
        get the first certificate, or a new one with a voucher; the token is read from FILE, or from
        the standard input
    vedette-agent run [--hook PROGRAM] [--bundle KIND]... [--peers] [--calls-to https://HOST:PORT] [--once]
        renew when due, for ever; PROGRAM runs after each rotation. KIND is model, policy or trust: the
        newest one is kept in DIR/bundles/KIND/current/content. With --peers, the newest status list is kept
        in DIR/status.bin, to look other devices up in. With --calls-to, programs write call
        records, one JSON object a line, to the socket DIR/calls.sock: they are sealed at once, kept, and
        sent there. With --once: do what is due now, then end, with status 0 when all is well
    vedette-agent status
        one line of JSON: state, certificate, what went wrong last
    vedette-agent import FILE
        take newer root documents from a file, one a line
    vedette-agent doctor
        say what is wrong and what to do about it

    --dir DIR    the device's folder, default /var/lib/vedette-agent
    --version    print the version

Programs on the device read DIR/current/key.pem, cert.pem and chain.pem.";
