//! From configuration and files to what a pipeline runs on.

use crate::config::{ALPHA, Config};
use crate::failure::Failure;
use crate::pipeline::Parts;
use detector::{Detector, Model};
use policy::PolicySet;
use schema::TenantKey;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

/// Parts for data sets: their key, the shipped promise.
pub fn for_data_sets(config: &Config, detector: Detector) -> Result<Arc<Parts>, Failure> {
    // A data set's calls are our own records, whatever the topics of the live traffic carry.
    let config = Config {
        detector: crate::config::Detector { alpha: ALPHA, ..config.detector.clone() },
        topics: Config::default().topics,
        ..config.clone()
    };
    Ok(Arc::new(assemble(&config, key_for_data_sets(&config)?, detector)?))
}

/// Parts for live traffic.
pub fn for_traffic(config: &Config, detector: Detector) -> Result<Arc<Parts>, Failure> {
    let key = key_for_traffic(config)?;
    Ok(Arc::new(assemble(config, key, detector)?))
}

/// The key that live traffic is sealed with: the configured one, else one that ends with this process.
pub fn key_for_traffic(config: &Config) -> Result<TenantKey, Failure> {
    if config.seal.key_file.as_os_str().is_empty() {
        tracing::warn!(
            "no key file is configured: fingerprints last as long as this process, and a model's queries compare with none of them"
        );
        return Ok(crate::key::fresh()?);
    }
    Ok(crate::key::from_file(&config.seal.key_file)?)
}

/// The key that data sets are sealed with: the configured one, else the published one.
pub fn key_for_data_sets(config: &Config) -> Result<TenantKey, Failure> {
    if config.seal.key_file.as_os_str().is_empty() {
        return Ok(crate::key::for_data_sets());
    }
    Ok(crate::key::from_file(&config.seal.key_file)?)
}

/// The model in `path`; every byte of it is checked.
pub fn model(path: &Path) -> Result<Model, Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    Model::from_bytes(&bytes).map_err(|source| Failure::Model { path: path.into(), source })
}

/// A detector with the model of the command line, else of the configuration, else one that is still learning.
pub fn detector(config: &Config, named: Option<&Path>) -> Result<Detector, Failure> {
    match named.unwrap_or(&config.detector.model) {
        none if none.as_os_str().is_empty() => Ok(Detector::learning()),
        path => Ok(Detector::new(model(path)?)),
    }
}

/// The same for a door that decides: where the owner's root document is configured, only a model the owner signed, and
/// none older than one that was taken before. Without a model nothing is denied, so none needs no signature.
pub fn trusted_detector(config: &Config, named: Option<&Path>) -> Result<Detector, Failure> {
    let (path, trust) = (named.unwrap_or(&config.detector.model), &config.detector.trust);
    if trust.as_os_str().is_empty() || path.as_os_str().is_empty() {
        return detector(config, named);
    }
    let bytes = crate::signed::model(path, trust, cert_manager::est::server::wall_clock())?;
    let model = Model::from_bytes(&bytes).map_err(|source| Failure::Model { path: path.into(), source })?;
    Ok(Detector::new(model))
}

fn assemble(config: &Config, key: TenantKey, detector: Detector) -> Result<Parts, Failure> {
    Ok(Parts {
        decoders: Arc::new(crate::decoders::Decoders::of(config)?),
        idle_ms: config.sessions.idle_ms,
        key,
        detector: Arc::new(detector),
        policies: Arc::new(policies(&config.policy.file)?),
        mode: config.policy.mode,
        alpha: config.detector.alpha,
        sessions_max: at_least_one(config.limits.sessions_max),
        principals_max: at_least_one(config.limits.principals_max),
    })
}

/// The policies in `path`; the built-in ones without a path.
pub fn policies(path: &Path) -> Result<PolicySet, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(PolicySet::default());
    }
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    PolicySet::parse(&text).map_err(|source| Failure::Policies { path: path.into(), source: Box::new(source) })
}

/// INVARIANT: `config::read` refuses zero.
fn at_least_one(max: u32) -> NonZeroU32 {
    NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN)
}
