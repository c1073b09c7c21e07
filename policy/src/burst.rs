//! Plan bursts: agents call in bursts by nature, so a count alone either stops honest plans or lets floods through.
//! What a session spends is *surprise*: a call that usually follows the ones before costs little, one that never does
//! costs most, and both come back with time. Beside it each tool of a session has a rate, on the pace learned for it.
//!
//! Both are GCRA (ITU-T I.371, the virtual scheduling algorithm): one time is kept a bucket, and nothing ticks.

use crate::limits::{BURST_SESSIONS_MAX, PACES_MAX};
use crate::shards::Shards;
use schema::{Call, Millis, NameHash};
use serde::{Deserialize, Serialize};

/// Bounds of a burst. The defaults let twelve usual calls in 800 ms pass and stop twelve foreign ones.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Burst {
    /// Surprise a rested session may spend at once, in nats. Default: 42, between what twelve calls of stitched benign
    /// sessions and twelve calls in a foreign order reach (`docs/measurements/plan_bursts.md`).
    pub nats_max: f64,
    /// Surprise that comes back each second, in nats. Default: 2.
    pub nats_per_s: f64,
    /// Calls of one tool that a rested session may make at once. Default: 60.
    pub calls_max: u32,
    /// A session may keep up this many times the pace learned for a tool. Default: 8.
    pub pace_factor: f64,
}

impl Default for Burst {
    fn default() -> Self {
        Self { nats_max: 42.0, nats_per_s: 2.0, calls_max: 60, pace_factor: 8.0 }
    }
}

/// Why bounds of a burst are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every bound of a burst is a number above 0")]
pub struct BurstError;

impl Burst {
    /// Checks that each bound means something.
    pub fn check(self) -> Result<Self, BurstError> {
        let numbers = [self.nats_max, self.nats_per_s, self.pace_factor];
        let sound = numbers.iter().all(|n| n.is_finite() && *n > 0.0) && self.calls_max > 0;
        if sound { Ok(self) } else { Err(BurstError) }
    }
}

/// What every session and tool has spent.
pub struct Bursts {
    settings: Burst,
    sessions: Shards<Spent>,
    tools: Shards<Spent>,
    paces: Shards<Pace>,
}

/// One bucket: when it will be full again, and the calls it let through last.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// GCRA's theoretical arrival time, in ms.
    full_at: f64,
    /// Ids let through, as hashes: a call that is asked about again is not charged again.
    passed: [u32; 8],
    next: u8,
    /// Gaps this bucket added to its tool's pace.
    told: u8,
    last: u64,
}

/// Usual time between two calls of a tool in one session, over all sessions of an agent.
#[derive(Clone, Copy, Default)]
struct Pace {
    /// Mean of ln(ms).
    ln_ms: f64,
    gaps: u32,
}

impl Bursts {
    /// Nothing spent yet.
    pub fn new(settings: Burst) -> Self {
        let tools = BURST_SESSIONS_MAX.saturating_mul(2);
        Self {
            settings,
            sessions: Shards::new(BURST_SESSIONS_MAX),
            tools: Shards::new(tools),
            paces: Shards::new(PACES_MAX),
        }
    }

    /// How long `call` has to wait, in ms; at 0 it may go and is charged. `edge`: probability of its tool after the
    /// tools before; a call nothing is known of costs as much as a usual one.
    pub fn wait_ms(&self, call: &Call, edge: Option<f64>, now: Millis) -> u64 {
        let who = (&call.tenant, &call.principal, &call.device, &call.session);
        let id = NameHash::of("call", call.id.as_str()).0 as u32;
        let Burst { nats_max, nats_per_s, calls_max, pace_factor } = self.settings;
        let nats = edge.map_or(USUAL_NATS, |p| (-libm::log(p)).clamp(0.0, NATS_MAX));
        let ms_per_nat = 1e3 / nats_per_s.max(1e-3);
        let plan = Charge { id, now, cost_ms: nats * ms_per_nat, burst_ms: nats_max * ms_per_nat };
        let pace = self.paces.key(&(&call.tenant, family(call), &call.tool));
        let gap_ms = self.paces.with(pace, |pace| pace.gap_ms()) / pace_factor.max(1.0);
        let rate = Charge { id, now, cost_ms: gap_ms, burst_ms: gap_ms * f64::from(calls_max) };
        // Asked in turn: a call that one of them holds up is charged by neither.
        let (session, tool) = (self.sessions.key(&who), self.tools.key(&(who, &call.tool)));
        let wait = self.tools.with(tool, |spent| spent.wait_ms(&rate));
        if wait > 0 {
            return wait;
        }
        let wait = self.sessions.with(session, |spent| spent.charge(&plan));
        if wait > 0 {
            return wait;
        }
        let gap = self.tools.with(tool, |spent| {
            let gap = spent.gap(now);
            spent.charge(&rate);
            gap
        });
        if let Some(gap) = gap {
            self.paces.with(pace, |pace| pace.learn(gap));
        }
        0
    }
}

/// One call, as a bucket sees it.
struct Charge {
    id: u32,
    now: Millis,
    cost_ms: f64,
    burst_ms: f64,
}

impl Spent {
    /// I.371: a call conforms when it comes no earlier than `full_at` less what may be spent ahead.
    fn wait_ms(&self, charge: &Charge) -> u64 {
        if self.passed.contains(&charge.id) && charge.id != 0 {
            return 0;
        }
        libm::ceil((self.full_at + charge.cost_ms - charge.burst_ms - charge.now.0 as f64).max(0.0)) as u64
    }

    fn charge(&mut self, charge: &Charge) -> u64 {
        let wait = self.wait_ms(charge);
        if wait == 0 && !self.passed.contains(&charge.id) {
            self.full_at = self.full_at.max(charge.now.0 as f64) + charge.cost_ms;
            if let Some(slot) = self.passed.get_mut(usize::from(self.next) % 8) {
                *slot = charge.id;
            }
            self.next = self.next.wrapping_add(1);
        }
        wait
    }

    /// Time since the bucket's last call, the first few times only: no session teaches a tool's pace by itself.
    fn gap(&mut self, now: Millis) -> Option<u64> {
        let gap = (self.last > 0 && self.told < GAPS_OF_A_SESSION_MAX).then(|| now.0.saturating_sub(self.last));
        self.told = self.told.saturating_add(u8::from(gap.is_some()));
        self.last = now.0;
        gap
    }
}

impl Pace {
    fn gap_ms(&self) -> f64 {
        if self.gaps < GAPS_MIN { PACE_MS } else { libm::exp(self.ln_ms).clamp(PACE_MS_MIN, PACE_MS_MAX) }
    }

    fn learn(&mut self, gap_ms: u64) {
        self.gaps = self.gaps.saturating_add(1);
        let step = 1.0 / f64::from(self.gaps.min(GAPS_REMEMBERED));
        self.ln_ms += step * (libm::log((gap_ms as f64).clamp(PACE_MS_MIN, PACE_MS_MAX)) - self.ln_ms);
    }
}

/// `travel-planner@3.2` paces as `travel-planner` does.
fn family(call: &Call) -> &str {
    call.agent.as_str().split('@').next().unwrap_or_default()
}

/// Surprise of a call that nothing is known of.
const USUAL_NATS: f64 = 1.0;
/// Most that one call costs.
const NATS_MAX: f64 = 8.0;
/// Pace of a tool that is not known yet, in ms between calls; what can be learned lies between the other two.
const PACE_MS: f64 = 1_000.0;
const PACE_MS_MIN: f64 = 50.0;
const PACE_MS_MAX: f64 = 60_000.0;
/// Gaps before a pace is believed, and how far back its mean reaches.
const GAPS_MIN: u32 = 50;
const GAPS_REMEMBERED: u32 = 2_000;
const GAPS_OF_A_SESSION_MAX: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Received, native};
    use schema::{TenantKey, seal};

    fn call(id: usize, tool: &str) -> Call {
        let json = format!(r#"{{"session":"s","tool":"{tool}","agent":"a","at":1000,"id":"{id}"}}"#);
        let raw = native::decode(json.as_bytes(), &Received { at: Millis(1_000), id: "0".to_owned() }).unwrap();
        seal(&raw, &TenantKey::new([7; 32]))
    }

    /// Waits of `calls` calls in 800 ms, each as probable as `edge` says.
    fn plan(edge: f64, calls: usize) -> Vec<u64> {
        let bursts = Bursts::new(Burst::default());
        let at = |n: usize| Millis(1_795_343_040_000 + (n * 800 / calls) as u64);
        (0..calls).map(|n| bursts.wait_ms(&call(n, &format!("t{n}")), Some(edge), at(n))).collect()
    }

    #[test]
    fn a_usual_plan_of_twelve_calls_passes_and_twelve_foreign_ones_do_not() {
        assert!(plan(0.1, 12).iter().all(|wait| *wait == 0));
        let foreign = plan(0.001, 12);
        assert!(foreign.iter().take(6).all(|wait| *wait == 0) && foreign[6] > 0, "{foreign:?}");
    }

    #[test]
    fn a_call_that_waits_as_long_as_it_was_told_goes_through_and_is_charged_once() {
        let bursts = Bursts::new(Burst::default());
        let at = |ms: u64| Millis(1_795_343_040_000 + ms);
        let wait = (0..9).map(|n| bursts.wait_ms(&call(n, "t"), Some(0.001), at(0))).max().unwrap();
        assert!(wait > 0);
        assert_eq!(bursts.wait_ms(&call(8, "t"), Some(0.001), at(wait)), 0);
        // Asked again, it is the same call.
        assert_eq!(bursts.wait_ms(&call(8, "t"), Some(0.001), at(wait)), 0);
        assert!(bursts.wait_ms(&call(9, "t"), Some(0.001), at(wait)) > 0);
    }

    #[test]
    fn a_tool_that_is_always_called_fast_is_not_held_to_a_slow_pace() {
        let bursts = Bursts::new(Burst::default());
        let held = |bursts: &Bursts, session: &str, from: u64| {
            (0..200u64)
                .filter(|n| {
                    let mut call = call((from + n) as usize, "poll");
                    call.session = schema::Session::new(session).unwrap();
                    bursts.wait_ms(&call, Some(1.0), Millis(1_795_343_040_000 + from * 1_000 + n * 60)) > 0
                })
                .count()
        };
        assert!(held(&bursts, "first", 0) > 0, "the pace is not known yet");
        for session in 0..20 {
            held(&bursts, &format!("s{session}"), 1_000 + session);
        }
        assert_eq!(held(&bursts, "last", 50_000), 0);
    }
}
