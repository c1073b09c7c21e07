//! The command line of `vedette ca`.

use cert_manager::Digest;
use cert_manager::bundle::{ApiRange, Kind};
use cert_manager::device::DeviceId;
use cert_manager::time::Span;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `vedette ca`.
#[derive(Debug, Args)]
pub struct Ca {
    /// Folder of the authority: keys, root documents, ledger, bundles.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    pub dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: CaCommand,
}

/// What to do with the authority.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Make an authority: keys, issuing certificate, first root document.
    Init(Init),
    /// Serve devices: EST (RFC 7030), time, trust, bundles, revocation lists.
    Serve(Serve),
    /// Make a one-time token for the first certificate of a device, and print it.
    Token(Token),
    /// List every device and its state.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a device: no renewal from its next request on, and on both revocation lists within seconds.
    Revoke {
        /// The device.
        device: DeviceId,
        /// Why, for the ledger.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Let a device pass once: a first enrolment that waits, a return too late or too often, one party of a fork.
    Approve {
        /// The device.
        device: DeviceId,
        /// Id of the key to believe, where two parties hold the device's line.
        #[arg(long, value_name = "ID")]
        key: Option<Digest>,
    },
    /// Make a one-time voucher, and print it: it brings back a device that is revoked, forked or lost its key.
    Voucher {
        /// The device.
        device: DeviceId,
        /// How long it can be used, as `12h` or `7d`.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
        life: Span,
    },
    /// Make the next root document, with new root keys; the old ones must lie in `offline/` for the moment.
    RotateRoot {
        /// Also a new authority, with cross-certificates both ways.
        #[arg(long)]
        authority: bool,
    },
    /// Client certificates for those who may read the fleet (`GET /v1/fleet`), and do nothing else.
    Operator {
        /// What to do.
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Signed files for devices: models, policies, trust files.
    Bundle {
        /// What to do.
        #[command(subcommand)]
        command: BundleCommand,
    },
}

/// `vedette ca init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Name of the authority.
    #[arg(long, value_name = "TEXT", default_value = "Vedette devices")]
    pub name: String,
    /// Keys that sign root documents.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub root_keys: usize,
    /// How many of them must sign.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub root_threshold: usize,
    /// PEM file of an existing root, to become an intermediate of it.
    #[arg(long, value_name = "FILE", requires = "under_key")]
    pub under: Option<PathBuf>,
    /// PEM file of that root's key; read once, not kept.
    #[arg(long, value_name = "FILE", requires = "under")]
    pub under_key: Option<PathBuf>,
}

/// `vedette ca serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on. Default: `ca.listen`, 127.0.0.1:8443.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// What devices call the server, a DNS name or an address; may be given several times. Default: `ca.names`, else
    /// the address it listens on.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Kafka with the detector's alerts: a device with a high one in the last week waits, one with another gets short
    /// certificates. Without it no detector is asked.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// What every device's risk is taken to be, where no detector is asked.
    #[arg(long, value_enum, default_value_t, conflicts_with = "brokers")]
    pub risk: FixedRisk,
}

/// `vedette ca token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The one device it is for.
    #[arg(long, value_name = "NAME", required_unless_present = "any")]
    pub device: Option<DeviceId>,
    /// For any one device that is not enrolled: its holder chooses the name.
    #[arg(long, conflicts_with = "device")]
    pub any: bool,
    /// Class the device gets, which sets lifetimes and windows.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub class: String,
    /// How long it can be used, as `12h` or `7d`.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
    pub life: Span,
}

/// `vedette ca operator`.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make a certificate and a key, `NAME.pem` and `NAME.key`; a running server knows them at once.
    Add {
        /// The person, or the dashboard.
        name: DeviceId,
        /// Folder for the two files.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        /// How long they are good, as `30d`.
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span)]
        life: Span,
    },
    /// Take every certificate of that name away, from the next request on.
    Remove {
        /// The person, or the dashboard.
        name: DeviceId,
    },
}

/// `vedette ca bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Publish a file as the next bundle of its kind; a running server serves it at once.
    Publish {
        /// `model`, `policy` or `trust`.
        kind: Kind,
        /// The file, 256 MiB at most.
        file: PathBuf,
        /// How long devices may take it, as `30d`.
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = span)]
        life: Span,
        /// Versions of the device API that can run it, as `1` or `1-3`.
        #[arg(long, value_name = "FROM-TO", default_value = "1", value_parser = api)]
        api: ApiRange,
    },
    /// Go back to an older content, published again under the next number.
    Rollback {
        /// `model`, `policy` or `trust`.
        kind: Kind,
        /// Number of the bundle to go back to.
        to: u64,
        /// How long devices may take it, as `30d`.
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = span)]
        life: Span,
    },
}

/// The same risk for every device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FixedRisk {
    /// Certificates of full life: nobody watches the devices' calls, or somebody else does.
    #[default]
    Green,
    /// Short certificates.
    Amber,
    /// Devices wait: nobody gets a new certificate.
    Red,
    /// Short certificates marked degraded, as when a detector does not answer.
    Away,
}

impl From<FixedRisk> for cert_manager::risk::Risk {
    fn from(risk: FixedRisk) -> Self {
        match risk {
            FixedRisk::Green => Self::Green,
            FixedRisk::Amber => Self::Amber,
            FixedRisk::Red => Self::Red,
            FixedRisk::Away => Self::Away,
        }
    }
}

/// Folder of the authority where none is named.
pub const DEFAULT_FOLDER: &str = "/var/lib/vedette-ca";

/// A length of time: a whole number and `m`, `h` or `d`.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || format!("`{text}` is no time: write a whole number and m, h or d, as 90m, 12h or 30d");
    let unit: fn(u64) -> Span = match text.chars().last() {
        Some('m') => Span::minutes,
        Some('h') => Span::hours,
        Some('d') => Span::days,
        _ => return Err(wrong()),
    };
    let number: u64 = text.get(..text.len() - 1).unwrap_or_default().parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(unit(number)) }
}

/// Versions of the device API: one, or the lowest and the highest.
fn api(text: &str) -> Result<ApiRange, String> {
    let (from, until) = text.split_once('-').unwrap_or((text, text));
    match (from.parse(), until.parse()) {
        (Ok(from), Ok(until)) if from <= until => Ok(ApiRange { from, until }),
        _ => Err(format!("`{text}` is no range of versions: write one, as 1, or two, as 1-3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ranges_are_read_or_refused_with_an_example() {
        assert_eq!(span("90m"), Ok(Span::minutes(90)));
        assert_eq!(span("12h"), Ok(Span::hours(12)));
        assert_eq!(span("30d"), Ok(Span::days(30)));
        for bad in ["", "d", "0d", "-1d", "1w", "5", "1.5h", "1é"] {
            assert!(span(bad).unwrap_err().contains("90m"), "{bad}");
        }
        assert_eq!(api("2"), Ok(ApiRange { from: 2, until: 2 }));
        assert_eq!(api("1-3"), Ok(ApiRange { from: 1, until: 3 }));
        for bad in ["", "3-1", "a", "1-", "1-2-3"] {
            assert!(api(bad).is_err(), "{bad}");
        }
    }
}
