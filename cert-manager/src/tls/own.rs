//! The authority's own pair, made anew in time: a server that runs for years never shows an expired one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, certificates};
use crate::keys::Key;
use crate::time::{Millis, Validity};

/// A chain, its key, and how long it is good.
pub type Made = (Vec<Vec<u8>>, Key, Validity);

/// Looks at the clock at each handshake and makes the next pair once two thirds of the life are over.
pub struct OwnPair {
    make: Box<dyn Fn(Millis) -> Option<Made> + Send + Sync>,
    clock: fn() -> Millis,
    held: Mutex<(Millis, Arc<CertifiedKey>)>,
}

impl OwnPair {
    /// Makes the first pair. `make` may give `None` later on: then the one held goes on.
    ///
    /// # Errors
    /// [`TlsError`] when there is no first pair.
    pub fn new(
        make: impl Fn(Millis) -> Option<Made> + Send + Sync + 'static,
        clock: fn() -> Millis,
    ) -> Result<Arc<Self>, TlsError> {
        let first = make(clock()).ok_or_else(|| rustls::Error::General("no certificate for the server".to_owned()))?;
        let held = Mutex::new(certify(first)?);
        Ok(Arc::new(Self { make: Box::new(make), clock, held }))
    }

    /// The pair to show now.
    pub fn pair(&self) -> Arc<CertifiedKey> {
        // A pair is replaced as a whole, so one left by a thread that panicked is still whole.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        if now >= held.0
            && let Some(next) = (self.make)(now).and_then(|made| certify(made).ok())
        {
            *held = next;
        }
        held.1.clone()
    }
}

/// The pair, and when the next one is due.
fn certify((chain, key, validity): Made) -> Result<(Millis, Arc<CertifiedKey>), TlsError> {
    let pair = CertifiedKey::new(certificates(&chain), key.for_tls()?);
    Ok((validity.from + validity.life().fraction(2, 3), Arc::new(pair)))
}

impl ResolvesServerCert for OwnPair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

impl fmt::Debug for OwnPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnPair(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rcgen::CertificateParams;

    use super::*;
    use crate::keys::KeyStore;
    use crate::time::Span;

    static NOW: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn the_next_pair_is_made_at_two_thirds_of_the_life_and_the_old_one_goes_on_where_none_can_be() {
        let make = |now: Millis| {
            let key = KeyStore::default().generate().ok()?;
            let cert = CertificateParams::new(vec!["ca".to_owned()]).ok()?.self_signed(&key).ok()?;
            let validity = Validity { from: now, until: now + Span::days(300) };
            (now < Millis(0) + Span::days(350)).then(|| (vec![cert.der().to_vec()], key, validity))
        };
        let own = OwnPair::new(make, || Millis(NOW.load(Ordering::Relaxed))).unwrap();
        let mut shown = Vec::new();
        for day in [0, 199, 200, 399, 400, 900] {
            NOW.store(Span::days(day).0, Ordering::Relaxed);
            shown.push(own.pair().cert[0].to_vec());
        }
        assert_eq!(shown[0], shown[1]);
        assert_ne!(shown[1], shown[2]);
        assert!(shown[3..].iter().all(|cert| *cert == shown[2]), "none can be made after day 350");
    }
}
