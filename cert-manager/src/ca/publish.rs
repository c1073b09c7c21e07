//! `vedette ca bundle publish` and `bundle rollback`.

use std::path::Path;

use super::{CaError, Files, content};
use crate::agent::storage::Mode;
use crate::bundle::{ApiRange, CONTENT_BYTES_MAX, Kind, Manifest, parse_manifest};
use crate::desk::Shelf;
use crate::digest::Digest;
use crate::envelope::parse_envelope;
use crate::est::server::wall_clock;
use crate::time::Span;

/// Folder of the published bundles in the authority's.
pub const SHELF: &str = "bundles";

/// Publishes a file as the next bundle of its kind. A running server serves it at once.
///
/// # Errors
/// [`CaError`]; nothing is published.
pub fn bundle_publish(folder: &Path, kind: Kind, file: &Path, life: Span, api: ApiRange) -> Result<Manifest, CaError> {
    let unreadable = |source| CaError::File { path: file.display().to_string(), source };
    if std::fs::metadata(file).map_err(unreadable)?.len() > CONTENT_BYTES_MAX || api.from > api.until {
        return Err(content(file, "a bundle: 256 MiB at most, for a rising range of API versions"));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    publish(folder, kind, &bytes, life, api)
}

/// Takes a fleet back to the content of bundle `to`, by publishing it again under the next number:
/// devices refuse every number that does not rise.
///
/// # Errors
/// [`CaError`]; nothing is published.
pub fn bundle_rollback(folder: &Path, kind: Kind, to: u64, life: Span) -> Result<Manifest, CaError> {
    let shelf = Shelf::new(&folder.join(SHELF));
    let name = format!("{SHELF}/{kind}/{to}");
    let files = Files::open(folder)?;
    let manifest = files.file(&name, shelf.manifest(kind, to))?;
    let manifest = manifest.and_then(|bytes| parse_manifest(parse_envelope(&bytes).ok()?.unverified()).ok());
    let old = manifest.ok_or_else(|| content(&folder.join(&name), "a published bundle"))?;
    let path = folder.join(format!("{name}.bin"));
    let bytes = files.file(&format!("{name}.bin"), std::fs::read(&path))?;
    // What lies on the shelf is published again only if it is what was published then.
    if !old.names(&bytes) {
        return Err(content(&path, "the content its manifest names"));
    }
    publish(folder, kind, &bytes, life, old.api)
}

fn publish(folder: &Path, kind: Kind, bytes: &[u8], life: Span, api: ApiRange) -> Result<Manifest, CaError> {
    let mut files = Files::open(folder)?;
    let key = files.signing_key("bundle.key")?;
    let newest = files.file(SHELF, Shelf::new(&folder.join(SHELF)).newest(kind))?;
    let manifest = Manifest {
        v: 1,
        kind,
        version: newest + 1,
        expires_ms: wall_clock() + life,
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
        api,
    };
    let name = format!("{SHELF}/{kind}/{}", manifest.version);
    files.write(&format!("{name}.bin"), bytes, Mode::Public)?;
    // Last: a bundle counts from the moment its manifest is there.
    files.write(&format!("{name}.json"), &manifest.sign(&[&key]), Mode::Public)?;
    Ok(manifest)
}
