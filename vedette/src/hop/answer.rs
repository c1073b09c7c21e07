//! What an owner says of a call, as JSON: the verdict and what it rests on, and what is known of the session from now on,
//! so that whoever asked can answer for it when the owner is away.

use policy::limits::SKETCH_BYTES_MAX;
use policy::{Circumstances, Scored, Standings};
use schema::{Call, RECORD_VERSION, Standing, Verdict};
use serde::{Deserialize, Serialize};

/// An owner's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    v: u8,
    verdict: Verdict,
    /// Before the call.
    standing: Option<Standing>,
    row: Vec<f64>,
    edge: Option<f64>,
    beside: Circumstances,
    /// After it.
    now: Option<Standing>,
    /// Of a session that met instruction-like text.
    sketch: Option<Vec<u8>>,
}

impl Answer {
    /// About `scored`. `standings`: what the owner knows of its session now.
    pub fn of(scored: &Scored, beside: Circumstances, standings: &Standings) -> Self {
        let last = standings.last(&scored.call);
        Self {
            v: RECORD_VERSION,
            verdict: scored.verdict.clone(),
            standing: scored.standing.clone(),
            row: scored.row.clone(),
            edge: scored.edge,
            beside,
            now: last.as_ref().map(|last| last.standing.clone()),
            sketch: last.and_then(|last| last.sketch).map(Vec::from),
        }
    }

    /// From outside bytes; none where they are no answer about `call`.
    pub fn read(bytes: &[u8], call: &Call) -> Option<Self> {
        let answer: Self = serde_json::from_slice(bytes).ok()?;
        let about = |standing: &Option<Standing>| standing.as_ref().is_none_or(|one| one.session == call.session);
        let fits = answer.v <= RECORD_VERSION
            && answer.verdict.id == call.id
            && answer.verdict.session == call.session
            && about(&answer.standing)
            && about(&answer.now)
            && answer.row.len() <= ROW_MAX
            && answer.sketch.as_ref().is_none_or(|sketch| sketch.len() <= SKETCH_BYTES_MAX);
        fits.then_some(answer)
    }

    /// The score it stands for. What is known of the session is kept in `standings`.
    pub fn take(self, call: Call, standings: &Standings) -> Scored {
        if let Some(now) = &self.now {
            standings.update(&call, &self.verdict, now);
        }
        if let Some(sketch) = self.sketch {
            standings.keep(&call, sketch);
        }
        let Self { verdict, standing, row, edge, beside, .. } = self;
        Scored { row, edge, beside: Some(beside), ..Scored::new(call, verdict, standing) }
    }
}

/// Longest answer that is read: a verdict, two standings, a row, and a sketch with up to four characters a byte.
pub const BYTES_MAX: usize = 64 * 1024;
/// Features in a row; there are far fewer.
const ROW_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use detector::Detector;
    use schema::decode::{Received, native};
    use schema::{Budgets, Millis, TenantKey};

    fn call(id: &str, session: &str) -> Call {
        let json = format!(r#"{{"id":"{id}","session":"{session}","tool":"pay","at":1}}"#);
        let raw = native::decode(json.as_bytes(), &Received { at: Millis(1), id: String::new() }).unwrap();
        schema::seal(&raw, &TenantKey::new([7; 32]))
    }

    /// The owner's answer about the first call of `s`, of which it keeps a sketch of so many bytes.
    fn answer(sketch: usize) -> Vec<u8> {
        let (call, standings) = (call("c", "s"), Standings::new());
        let verdict = Detector::learning().nothing_known(&call);
        standings.update(&call, &verdict, &policy::stand(None, &call, &verdict));
        standings.keep(&call, vec![1; sketch]);
        let scored = Scored { row: vec![0.1, -0.0], edge: Some(0.3), ..Scored::new(call, verdict, None) };
        let answer = Answer::of(&scored, Circumstances { burst_wait_ms: 7, ..Circumstances::default() }, &standings);
        serde_json::to_vec(&answer).unwrap()
    }

    #[test]
    fn an_answer_is_the_score_and_what_is_known_from_now_on() {
        let (bytes, call, standings) = (answer(SKETCH_BYTES_MAX), call("c", "s"), Standings::new());
        assert!(bytes.len() < BYTES_MAX / 2, "{}", bytes.len());
        let scored = Answer::read(&bytes, &call).unwrap().take(call.clone(), &standings);
        assert_eq!((scored.edge, scored.beside.unwrap().burst_wait_ms), (Some(0.3), 7));
        assert_eq!(scored.row.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [0.1f64.to_bits(), (-0.0f64).to_bits()]);
        let last = standings.last(&call).unwrap();
        assert_eq!(last.standing.budgets, Budgets { calls: 1, ..Budgets::default() });
        assert_eq!(last.sketch.map(|sketch| sketch.len()), Some(SKETCH_BYTES_MAX));
    }

    #[test]
    fn what_is_no_answer_about_the_call_is_none() {
        let bytes = answer(1);
        assert!(Answer::read(&bytes, &call("c", "s")).is_some());
        assert_eq!(Answer::read(&bytes, &call("other", "s")), None);
        assert_eq!(Answer::read(&bytes, &call("c", "other")), None);
        assert_eq!(Answer::read(&bytes[1..], &call("c", "s")), None);
        let changed = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut answer);
            Answer::read(answer.to_string().as_bytes(), &call("c", "s"))
        };
        assert!(changed(&|_| {}).is_some());
        assert_eq!(changed(&|answer| answer["v"] = 9.into()), None);
        assert_eq!(changed(&|answer| answer["now"]["session"] = "other".into()), None);
        assert_eq!(changed(&|answer| answer["sketch"] = vec![1; SKETCH_BYTES_MAX + 1].into()), None);
        assert_eq!(changed(&|answer| answer["row"] = vec![0.5; ROW_MAX + 1].into()), None);
    }
}
