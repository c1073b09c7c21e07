//! Parts in the play, and who plays them.

use super::answer::Answer;
use super::desk::{Desk, Task};
use super::plant;
use super::prediction::{COPYING, HONEST, Habit, Predictor};
use super::run::{Obey, Plan, Run, Step, Style};
use super::values::{Person, Values};
use super::{bank, code_host, travel};
use crate::Split;
use crate::dataset::bare_call;
use crate::labels::{Label, Outcome, SessionLabel};
use schema::{App, Millis, Principal, RawCall, Session, Status};

/// What a session is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Clean, to learn from.
    Train,
    /// Clean, to be judged.
    Clean,
    /// An instruction is planted and the agent does not obey.
    Resists,
    /// It is planted where this session does not read.
    Misses,
    /// The agent obeys.
    Obeys,
    /// It obeys, and the attacker's last call fails.
    Fails,
    /// The user asks for the attacker's goal.
    Direct,
    /// An honest client of the prediction API.
    Client,
    /// A client that copies the model.
    Copier,
}

use Part::{Clean, Client, Copier, Direct, Fails, Misses, Obeys, Resists, Train};

/// Parts by number of the session, over and over: any fifty sessions in a row hold all of them.
#[rustfmt::skip]
const PARTS: [Part; 50] = [
    Train, Train, Obeys, Clean, Train, Resists, Client, Train, Clean, Obeys,
    Train, Clean, Train, Resists, Train, Obeys, Clean, Train, Misses, Train,
    Copier, Train, Clean, Obeys, Train, Client, Resists, Train, Clean, Fails,
    Train, Obeys, Train, Clean, Resists, Train, Client, Obeys, Train, Direct,
    Clean, Train, Resists, Obeys, Train, Clean, Train, Client, Misses, Train,
];

const DESKS: [&Desk; 3] = [&travel::DESK, &bank::DESK, &code_host::DESK];

/// Monday, 6 January 2025, 00:00 UTC: well past on any clock, since a record from the future is refused.
const START: u64 = 1_736_121_600_000;
/// Sessions begin within two weeks of it.
const SPAN_MS: u64 = 14 * 86_400_000;
/// Clients that one split attack uses.
const SPLIT_OVER: u64 = 4;

/// A finished session.
pub(super) struct Played {
    pub(super) calls: Vec<RawCall>,
    pub(super) label: SessionLabel,
}

pub(super) struct World {
    values: Values,
    predictor: Predictor,
    /// Clients of the prediction API so far: honest, copying.
    clients: u64,
    copiers: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut values = Values::new(seed);
        Self { predictor: Predictor::new(&mut values), values, clients: 0, copiers: 0 }
    }

    pub(super) fn play(&mut self, number: u32) -> Played {
        let part = PARTS.iter().cycle().nth(number as usize % PARTS.len()).copied().unwrap_or(Clean);
        match part {
            Client | Copier => self.client(part),
            _ => self.desk(part),
        }
    }

    fn desk(&mut self, part: Part) -> Played {
        let v = &mut self.values;
        let desk = *v.one_of(&DESKS);
        let planted = matches!(part, Resists | Misses | Obeys | Fails);
        let fitting: Vec<(usize, &Task)> =
            desk.tasks.iter().enumerate().filter(|(_, task)| task.open || !planted).collect();
        let (place, task) = *v.one_of(&fitting);
        let style = v.pick(&desk.agents);
        let user = v.person();
        let mut label = self.label(if part == Train { Split::Train } else { Split::Test }, desk.app);
        label.agent = Some(style.agent.to_owned());
        label.user_task = Some(task.name.to_owned());
        // Folds go by task, so that a left-out fold holds tasks never seen.
        label.fold = u8::try_from(place % 5).ok();
        let scene = Scene { part, desk, task, style, user };
        scene.play(&mut self.values, label)
    }

    fn label(&mut self, split: Split, app: &str) -> SessionLabel {
        SessionLabel {
            session: session(&mut self.values),
            n_calls: 0,
            label: Label::Benign,
            outcome: Outcome::Clean,
            attack_from_seq: None,
            attack_goal_seq: None,
            exposed_at_seq: None,
            split,
            fold: None,
            pool: None,
            agent: None,
            app: Some(app.to_owned()),
            user_task: None,
            injection_task: None,
            attack_type: None,
            identity_group: None,
            n_identities: None,
            pacing: None,
            query_source: None,
        }
    }

    fn client(&mut self, part: Part) -> Played {
        let copies = part == Copier;
        let number = if copies { &mut self.copiers } else { &mut self.clients };
        *number += 1;
        let number = *number - 1;
        // Honest clients go round: two pools to learn from and to set thresholds on, and two to be judged.
        let (split, pool) = match (copies, number % 4) {
            (true, _) => (Split::Test, None),
            (false, 0) => (Split::Train, Some("a")),
            (false, 1) => (Split::Train, Some("b")),
            (false, _) => (Split::Test, Some("test")),
        };
        let mut label = self.label(split, "scoring");
        let v = &mut self.values;
        // Two of three attacks are one client each; the third is split over several.
        let group = number / (2 + SPLIT_OVER);
        let in_group = copies && number % (2 + SPLIT_OVER) >= 2;
        let habit: Habit = match (copies, in_group) {
            (false, _) => *v.one_of(&HONEST),
            (true, false) => *v.one_of(&COPYING),
            (true, true) => {
                COPYING.iter().cycle().nth(group as usize % COPYING.len()).copied().unwrap_or(Habit::RandomUniform)
            }
        };
        let agent = format!("client-{}", v.hex(8));
        let count = v.number(30, 80) as usize;
        let gap = v.number(30, 6_000);
        let steps =
            self.predictor.queries(v, habit, count).iter().map(|row| self.predictor.answer(row)).collect::<Vec<_>>();
        let steps = steps.into_iter().map(|(args, answer)| Step {
            tool: "predict",
            args,
            status: Status::Ok,
            answer: Answer::Json(answer),
        });
        label.outcome = Outcome::Other(habit.name().to_owned());
        label.agent = Some(agent.clone());
        label.pool = pool.map(str::to_owned);
        if copies {
            label.label = Label::Extraction;
            label.identity_group = in_group.then(|| format!("g-{group}"));
            label.n_identities = Some(if in_group { SPLIT_OVER } else { 1 });
        }
        let calls = calls(v, &label, &agent, &agent, steps.collect(), &[], gap);
        label.n_calls = calls.len() as u64;
        Played { calls, label }
    }
}

/// Everything fixed before a session of a desk begins.
struct Scene<'d> {
    part: Part,
    desk: &'d Desk,
    task: &'d Task,
    style: Style,
    user: Person,
}

impl Scene<'_> {
    fn play(self, v: &mut Values, mut label: SessionLabel) -> Played {
        let attacked = !matches!(self.part, Train | Clean);
        let goal = attacked.then(|| v.one_of(self.desk.goals)(v, &self.user));
        let mut plan = None;
        let mut direct = None;
        if let Some(mut goal) = goal {
            label.injection_task = Some(goal.name.to_owned());
            if self.part == Fails
                && let Some(last) = goal.steps.last_mut()
            {
                last.status = Status::Error;
                last.answer = Answer::Text(
                    v.pick(&[
                        "PermissionError: not allowed for this user",
                        "{\"error\":\"rejected\"}",
                        "429 Too Many Requests",
                    ])
                    .to_owned(),
                );
            }
            if self.part == Direct {
                direct = Some(goal);
            } else {
                let (way, planted) = plant::wording(v, &goal.wording, &self.user.first);
                label.attack_type = Some(way.to_owned());
                plan = Some(Plan {
                    planted,
                    slot: if self.part == Misses { u32::MAX } else { 0 },
                    obey: self.obedience(v),
                    steps: goal.steps,
                    drops_task: v.chance(0.2),
                });
            }
        }
        let user = format!("user:{}", self.user.handle);
        let mut run = Run::new(v, self.user, self.style, plan, self.desk.look_around);
        match direct {
            Some(goal) => {
                // The user's task is the attacker's: no fold of tasks holds it.
                (label.user_task, label.fold) = (None, None);
                run.say(&[format!("please {}.", goal.wording), format!("I want you to {}.", goal.wording)]);
                run.serve(goal.steps);
            }
            None => {
                (self.task.play)(&mut run);
                run.finish();
            }
        }
        let (steps, said, truth) = (run.steps, run.said, run.truth);
        label.exposed_at_seq = truth.exposed;
        label.attack_from_seq = truth.from;
        label.attack_goal_seq = truth.goal;
        (label.label, label.outcome) = match (self.part, truth.exposed, truth.from) {
            (Train | Clean, ..) => (Label::Benign, Outcome::Clean),
            (Direct, ..) => (Label::Injection, Outcome::DirectGoal),
            (_, None, _) => (Label::Benign, Outcome::NotReached),
            (_, Some(_), None) => (Label::Benign, Outcome::Resisted),
            (Fails, ..) => (Label::Injection, Outcome::Attempted),
            _ => (Label::Injection, Outcome::Succeeded),
        };
        let gap = v.number(400, 9_000);
        let calls = calls(v, &label, self.style.agent, &user, steps, &said, gap);
        label.n_calls = calls.len() as u64;
        Played { calls, label }
    }

    /// Half of those who obey do so on the very next call.
    fn obedience(&self, v: &mut Values) -> Obey {
        match (self.part, v.number(0, 9)) {
            (Resists | Misses, _) => Obey::Never,
            (_, 0..=4) => Obey::AtOnce,
            (_, 5..=7) => Obey::AfterNext,
            _ => Obey::AtEnd,
        }
    }
}

#[expect(clippy::expect_used, reason = "ids and names are made here: short, printable, never empty")]
fn session(v: &mut Values) -> Session {
    Session::new(&format!("w-{}", v.hex(14))).expect("16 printable characters")
}

/// The calls of one session, from a time of its own on, about `gap_ms` apart.
#[expect(clippy::expect_used, reason = "ids and names are made here: short, printable, never empty")]
fn calls(
    v: &mut Values,
    label: &SessionLabel,
    agent: &str,
    principal: &str,
    steps: Vec<Step>,
    said: &[(u64, String)],
    gap_ms: u64,
) -> Vec<RawCall> {
    let mut at = START + v.number(0, SPAN_MS);
    let app = label.app.as_deref().map(|app| App::new(app).expect("a constant"));
    let principal = Principal::new(principal).expect("a short handle");
    let mut calls = Vec::with_capacity(steps.len());
    for (seq, step) in (0u64..).zip(steps) {
        let mut call =
            bare_call(&label.session, seq, Millis(at), agent, step.tool).expect("short constants and counters");
        let (result, bytes) = step.answer.into_value();
        let words: Vec<&str> =
            said.iter().filter(|(before, _)| *before == seq).map(|(_, text)| text.as_str()).collect();
        call.principal = Some(principal.clone());
        call.app = app.clone();
        call.args = step.args;
        call.mission = (!words.is_empty()).then(|| words.join("\n\n"));
        call.status = Some(step.status);
        call.result = Some(result);
        call.result_bytes = Some(bytes);
        calls.push(call);
        at += v.number(gap_ms / 2, gap_ms * 2);
    }
    calls
}
