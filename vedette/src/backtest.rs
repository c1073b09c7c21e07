//! Two models on the same calls: where they would decide otherwise.

use crate::pipeline::{Judged, Parts, Pipeline};
use schema::{Call, Ladder, Pattern, RawCall};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The path under the model in force, and under the other one, side by side.
pub struct Side {
    old: Pipeline,
    new: Pipeline,
}

/// What came out differently.
#[derive(Debug, Default, Serialize)]
pub struct Diff {
    /// Calls that were judged.
    pub calls: u64,
    /// Records of which nothing could be read.
    pub dead: u64,
    /// Calls whose risk differs by more than a hundredth.
    pub risks_changed: u64,
    /// Calls that would be decided otherwise, on any rung.
    pub decisions_changed: u64,
    /// Sessions with a flagged call, under each model.
    pub flagged_old: u64,
    /// Under the new one.
    pub flagged_new: u64,
    #[serde(skip)]
    sessions: BTreeMap<String, Seen>,
}

/// One session under both models.
#[derive(Debug, Default)]
struct Seen {
    old: Option<Stop>,
    new: Option<Stop>,
    flagged: [bool; 2],
    /// Highest so far.
    risk: [f64; 2],
}

/// The first call of a session that would be denied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stop {
    /// Its id.
    pub call: String,
    /// Its tool.
    pub tool: String,
    /// How risky it looks.
    pub risk: f64,
    /// What it looks like.
    pub pattern: Pattern,
}

/// A session that one model stops and the other does not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turned {
    /// Its name.
    pub session: String,
    /// Where it is stopped.
    #[serde(flatten)]
    pub stop: Stop,
    /// The highest risk that the model sees which does not stop it.
    pub elsewhere: f64,
}

impl Side {
    /// Remembers nothing yet. The two differ in their models only.
    pub fn new(old: &Arc<Parts>, new: &Arc<Parts>) -> Self {
        Self { old: Pipeline::new(Arc::clone(old)), new: Pipeline::new(Arc::clone(new)) }
    }

    /// Takes the next call in.
    pub fn judge(&mut self, raw: &RawCall, diff: &mut Diff) {
        let both = (self.old.judge(raw), self.new.judge(raw));
        self.compare(both, diff);
    }

    /// The same for a call that its device has sealed.
    pub fn judge_sealed(&mut self, call: &Call, diff: &mut Diff) {
        let both = (self.old.judge_from_device(call.clone()), self.new.judge_from_device(call.clone()));
        self.compare(both, diff);
    }

    fn compare(&mut self, both: (Option<Judged>, Option<Judged>), diff: &mut Diff) {
        // Which sighting of a call a record is says no model.
        let (Some(old), Some(new)) = both else { return };
        let would = [self.old.decide(&old).would, self.new.decide(&new).would];
        diff.calls += 1;
        diff.risks_changed += u64::from((old.verdict.risk.get() - new.verdict.risk.get()).abs() > 0.01);
        diff.decisions_changed += u64::from(would[0] != would[1]);
        let alpha = self.old.parts().alpha;
        let seen = diff.sessions.entry(old.verdict.session.to_string()).or_default();
        for (at, (judged, would)) in [&old, &new].into_iter().zip(would).enumerate() {
            let verdict = &judged.verdict;
            if let (Some(flagged), Some(risk)) = (seen.flagged.get_mut(at), seen.risk.get_mut(at)) {
                let news = verdict.flagged(alpha) && !*flagged;
                *flagged |= news;
                *risk = risk.max(verdict.risk.get());
                *(if at == 0 { &mut diff.flagged_old } else { &mut diff.flagged_new }) += u64::from(news);
            }
            let stop = if at == 0 { &mut seen.old } else { &mut seen.new };
            if would == Ladder::Deny && stop.is_none() {
                *stop = Some(Stop {
                    call: verdict.id.to_string(),
                    tool: judged.call.tool.to_string(),
                    risk: verdict.risk.get(),
                    pattern: verdict.pattern,
                });
            }
        }
    }
}

impl Diff {
    /// Sessions that were judged.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions that the new model stops and the old one lets through, riskiest first.
    pub fn allow_to_deny(&self) -> Vec<Turned> {
        self.turned(|seen| seen.new.as_ref().filter(|_| seen.old.is_none()).map(|stop| (stop, seen.risk[0])))
    }

    /// Sessions that the old model stops and the new one lets through, riskiest first.
    pub fn deny_to_allow(&self) -> Vec<Turned> {
        self.turned(|seen| seen.old.as_ref().filter(|_| seen.new.is_none()).map(|stop| (stop, seen.risk[1])))
    }

    fn turned<'a>(&'a self, which: impl Fn(&'a Seen) -> Option<(&'a Stop, f64)>) -> Vec<Turned> {
        let mut turned: Vec<Turned> = self
            .sessions
            .iter()
            .filter_map(|(session, seen)| {
                let (stop, elsewhere) = which(seen)?;
                Some(Turned { session: session.clone(), stop: stop.clone(), elsewhere })
            })
            .collect();
        turned.sort_by(|a, b| b.stop.risk.total_cmp(&a.stop.risk).then_with(|| a.session.cmp(&b.session)));
        turned
    }
}
