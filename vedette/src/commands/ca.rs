//! `vedette ca`: the authority of the devices. Each subcommand is one call of `cert_manager::ca`; here are the words
//! around it.

use crate::cli::ca::{BundleCommand, Ca, CaCommand, Init, OperatorCommand, Serve, Token};
use crate::config::Config;
use crate::device_risk::Alerts;
use crate::failure::{CaFailure, Failure};
use cert_manager::ca::{self, Above, Rollover};
use cert_manager::est::server::Limits;
use cert_manager::fleet::Row;
use cert_manager::risk::{FixedRisk, Risk, RiskSource};
use cert_manager::trust::Trust;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use tokio::net::TcpListener;

/// Carries the subcommand out.
pub fn run(args: &Ca, config: &Config) -> Result<(), Failure> {
    let (folder, mut out) = (args.dir.as_path(), std::io::stdout());
    match &args.command {
        CaCommand::Init(args) => init(folder, args),
        CaCommand::Serve(args) => crate::runtime::start()?.block_on(serve(folder, args, config)),
        CaCommand::Token(args) => token(folder, args, config),
        CaCommand::List { json } => list(folder, *json),
        CaCommand::Revoke { device, reason } => {
            ca::revoke(folder, device, reason)?;
            Ok(writeln!(out, "{device} is revoked; `vedette ca voucher {device}` would bring it back")?)
        }
        CaCommand::Approve { device, key } => {
            ca::approve(folder, device, *key)?;
            Ok(writeln!(out, "{device} may pass once; it asks again within a day")?)
        }
        CaCommand::Voucher { device, life } => {
            Ok(writeln!(out, "{}", ca::voucher(folder, device.clone(), *life)?.expose())?)
        }
        CaCommand::RotateRoot { authority } => {
            let what = if *authority { Rollover::RootKeysAndAuthority } else { Rollover::RootKeys };
            let trust = ca::rotate_root(folder, what)?;
            said_of_keys(folder, &trust)?;
            Ok(writeln!(out, "restart `vedette ca serve`; devices walk to the new document by themselves")?)
        }
        CaCommand::Operator { command } => operator(folder, command),
        CaCommand::Bundle { command } => bundle(folder, command),
    }
}

fn init(folder: &Path, args: &Init) -> Result<(), Failure> {
    let above = args.under.clone().zip(args.under_key.clone());
    let above = above.map(|(certificate, key)| Above { certificate, key });
    let (name, root_keys, root_threshold) = (args.name.clone(), args.root_keys, args.root_threshold);
    let trust = ca::init(folder, &ca::Init { name, root_keys, root_threshold, above })?;
    said_of_keys(folder, &trust)
}

/// What the owner must do with the keys of a new root document.
fn said_of_keys(folder: &Path, trust: &Trust) -> Result<(), Failure> {
    let version = trust.version();
    let document = folder.join(format!("root/{version}.json"));
    let keys = folder.join(format!("offline/root-{version}-*.key"));
    let mut out = std::io::stdout();
    writeln!(out, "root document {version}: {}", document.display())?;
    writeln!(out, "move {} to where no network reaches: they sign the next root document", keys.display())?;
    Ok(())
}

async fn serve(folder: &Path, args: &Serve, config: &Config) -> Result<(), Failure> {
    let risk: Risk = args.risk.into();
    let alerts = Alerts::default();
    let (source, said): (Box<dyn RiskSource>, _) = match &args.brokers {
        Some(brokers) => (Box::new(alerts.clone()), format!("asking the alerts at {brokers}")),
        None => (Box::new(FixedRisk(risk)), format!("asking no detector, every device {risk:?}")),
    };
    let opened = ca::open(folder, &config.ca.authority(), source)?;
    let address = args.listen.as_ref().unwrap_or(&config.ca.listen);
    let failed = |source| CaFailure::Listen { address: address.clone(), source };
    // Not held to the loopback: this door is TLS, and what it opens rests on the certificate shown.
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let names = match (args.names.as_slice(), config.ca.names.as_slice()) {
        ([], []) => vec![bound.ip().to_string()],
        ([], configured) => configured.to_vec(),
        (named, _) => named.to_vec(),
    };
    eprintln!("ca: answering at https://{bound} as {}, {said}; Ctrl-C ends it", names.join(", "));
    if let Some(brokers) = &args.brokers {
        let (cluster, group) = (config.kafka.cluster(Some(brokers))?, config.kafka.group.clone());
        tokio::spawn(alerts.scored.clone().follow(cluster.clone(), group, alerts.clone()));
        tokio::spawn(alerts.listen(cluster));
    }
    tokio::select! {
        ended = ca::serve(opened, listener, &names, Limits::default()) => Ok(ended?),
        () = crate::shutdown::asked() => Ok(()),
    }
}

fn token(folder: &Path, args: &Token, config: &Config) -> Result<(), Failure> {
    let known = config.ca.classes.keys().map(String::as_str).chain([DEFAULT_CLASS]).collect::<BTreeSet<_>>();
    if !known.contains(args.class.as_str()) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(CaFailure::NoClass { class: args.class.clone(), known }.into());
    }
    // Without `--device`, `--any` was given: the command line asks for one of them.
    let text = ca::token(folder, args.device.clone(), &args.class, args.life)?;
    Ok(writeln!(std::io::stdout(), "{}", text.expose())?)
}

fn list(folder: &Path, json: bool) -> Result<(), Failure> {
    let (rows, mut out) = (ca::list(folder)?, std::io::stdout().lock());
    if json {
        for row in &rows {
            writeln!(out, "{}", serde_json::to_string(row).map_err(std::io::Error::other)?)?;
        }
        return Ok(());
    }
    writeln!(
        out,
        "{:<24} {:<12} {:<8} {:>5} {:>7}  {:<20} key",
        "device", "class", "state", "certs", "returns", "until"
    )?;
    for row in &rows {
        let Row { device, class, certificates, returns, .. } = row;
        let until = row.not_after_ms.or(row.waiting_since_ms).map_or(String::new(), |at| at.to_string());
        let key: String = row.key.map_or(String::new(), |key| key.to_string()).chars().take(16).collect();
        let state = row.state.name();
        writeln!(out, "{device:<24} {class:<12} {state:<8} {certificates:>5} {returns:>7}  {until:<20} {key}")?;
    }
    Ok(writeln!(out, "{} devices", rows.len())?)
}

fn operator(folder: &Path, command: &OperatorCommand) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match command {
        OperatorCommand::Add { name, out: to, life } => {
            let made = ca::operator_add(folder, name, to, *life)?;
            let (certificate, key) = (made.certificate.display(), made.key.display());
            writeln!(out, "{name} may read the fleet until {}: {certificate}, {key}", made.until)?;
            Ok(writeln!(out, "curl --cert {certificate} --key {key} https://HOST:PORT/v1/fleet")?)
        }
        OperatorCommand::Remove { name } => {
            let count = ca::operator_remove(folder, name)?;
            Ok(writeln!(out, "{name}: {count} certificates taken away")?)
        }
    }
}

fn bundle(folder: &Path, command: &BundleCommand) -> Result<(), Failure> {
    let manifest = match command {
        BundleCommand::Publish { kind, file, life, api } => ca::bundle_publish(folder, *kind, file, *life, *api)?,
        BundleCommand::Rollback { kind, to, life } => ca::bundle_rollback(folder, *kind, *to, *life)?,
    };
    let (kind, version, size, until) = (manifest.kind, manifest.version, manifest.size, manifest.expires_ms);
    Ok(writeln!(std::io::stdout(), "{kind} bundle {version}: {size} bytes, until {until}, {:?}", manifest.digest)?)
}

/// There without being configured.
const DEFAULT_CLASS: &str = "default";
