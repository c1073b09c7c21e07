//! What others are told of sessions: standings, with a sketch of those that a result told what to do.

use super::{Judged, Pipeline};
use policy::limits::SKETCH_BYTES_MAX;
use schema::{Call, Device, Principal, Standing, StandingRecord, StateId, Tenant};
use std::collections::BTreeMap;

/// Sessions that a result told what to do, and that have seen a result since this was last asked, as they then stood; none
/// where nobody asks.
#[derive(Default)]
pub(super) struct Exposed(Option<BTreeMap<StateId, StandingRecord>>);

impl Exposed {
    /// Whether anybody asks.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// The session of `call`, whom a result told what to do, has seen one.
    pub(super) fn note(&mut self, session: StateId, call: &Call, standing: &Standing, learning: bool) {
        if let Some(exposed) = &mut self.0 {
            let whose = (call.tenant.clone(), call.principal.clone(), call.device.clone());
            exposed.insert(session, record(standing.clone(), whose, learning));
        }
    }
}

impl Pipeline {
    /// Notes from now on, or no more, which sessions were told what to do, for [`Pipeline::exposures`].
    pub fn note_exposures(&mut self, wanted: bool) {
        self.noted.exposed = Exposed(wanted.then(BTreeMap::new));
    }

    /// The sessions that a result told what to do, as far as they saw one since this was asked last, each with a sketch of what
    /// it now knows.
    pub fn exposures(&mut self) -> Vec<(StateId, StandingRecord)> {
        let exposed = self.noted.exposed.0.as_mut().map(std::mem::take).unwrap_or_default();
        let with_sketch = |(session, record): (StateId, StandingRecord)| {
            let open = self.sessions.of(session);
            let standing = open.standing.clone().unwrap_or(record.standing);
            let sketch = Some(open.sightings.newest().sketch(SKETCH_BYTES_MAX).into());
            (session, StandingRecord { standing, sketch, ..record })
        };
        exposed.into_iter().map(with_sketch).collect()
    }
}

impl Judged {
    /// What is known of the session now, as others are told it; `learning`: whether its detector is. Its verdict may come
    /// from a stage that promises by other figures.
    pub fn told(self, learning: bool) -> StandingRecord {
        let Call { tenant, principal, device, .. } = self.call;
        record(self.standing, (tenant, principal, device), learning)
    }
}

/// What is known of a session now, as others are told it, with whose it is.
fn record(
    standing: Standing,
    (tenant, principal, device): (Tenant, Option<Principal>, Option<Device>),
    learning: bool,
) -> StandingRecord {
    StandingRecord { standing, tenant, principal, device, learning, sketch: None }
}
