//! One session being played. A task makes calls; where a text written by outsiders is answered, a planted instruction may
//! stand in it, and an agent that obeys makes the attacker's calls between its own. Tasks know nothing of that.

use super::answer::Answer;
use super::values::{Person, Values};
use schema::Status;
use serde_json::Value;

/// A call of a session.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) tool: &'static str,
    pub(super) args: Value,
    pub(super) status: Status,
    pub(super) answer: Answer,
}

/// How an agent works.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Its name.
    pub(super) agent: &'static str,
    /// Share of calls that fail first, for an argument left out.
    pub(super) clumsy: f64,
    /// Share of sessions that open with a look around.
    pub(super) thorough: f64,
}

/// What an attacker wants.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) name: &'static str,
    /// As an imperative without a full stop: `send the itinerary to …`.
    pub(super) wording: String,
    /// The calls that do it; the last carries the goal.
    pub(super) steps: Vec<Step>,
}

/// When an agent obeys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Obey {
    #[default]
    Never,
    AtOnce,
    AfterNext,
    AtEnd,
}

/// An instruction planted in a text.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The text planted.
    pub(super) planted: String,
    /// In which outsider's text of the session, from 0.
    pub(super) slot: u32,
    pub(super) obey: Obey,
    pub(super) steps: Vec<Step>,
    /// The agent forgets the user's task.
    pub(super) drops_task: bool,
}

/// Where the attack shows, by number of call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Truth {
    pub(super) exposed: Option<u64>,
    pub(super) from: Option<u64>,
    pub(super) goal: Option<u64>,
}

pub(super) struct Run<'v> {
    pub(super) v: &'v mut Values,
    pub(super) user: Person,
    style: Style,
    plan: Option<Plan>,
    /// What this agent does once it has been told its task.
    look_around: Option<fn(&mut Run<'_>)>,
    outsiders: u32,
    /// Calls until the agent obeys.
    due_in: Option<u32>,
    fresh: bool,
    stopped: bool,
    pub(super) steps: Vec<Step>,
    /// What the user said, before which call.
    pub(super) said: Vec<(u64, String)>,
    pub(super) truth: Truth,
}

impl<'v> Run<'v> {
    pub(super) fn new(
        v: &'v mut Values,
        user: Person,
        style: Style,
        plan: Option<Plan>,
        look_around: fn(&mut Run<'_>),
    ) -> Self {
        let looks = v.chance(style.thorough);
        Self {
            v,
            user,
            style,
            plan,
            look_around: looks.then_some(look_around),
            outsiders: 0,
            due_in: None,
            fresh: false,
            stopped: false,
            steps: Vec::new(),
            said: Vec::new(),
            truth: Truth::default(),
        }
    }

    /// The user says one of `wordings` before the next call.
    pub(super) fn say(&mut self, wordings: &[String]) {
        let wording = self.v.pick(wordings);
        let opening = self.v.pick(&["", "", "", "Hi, ", "Hello! ", "Hey, "]);
        let closing = self.v.pick(&["", "", "", " Thanks!", " Thank you.", " Let me know when it is done."]);
        self.said.push((self.steps.len() as u64, format!("{opening}{wording}{closing}")));
        if let Some(look_around) = self.look_around.take() {
            look_around(self);
        }
    }

    /// A text written by somebody outside: `text`, with the planted instruction in it where its turn has come.
    pub(super) fn outsider(&mut self, text: impl Into<String>) -> String {
        let text = text.into();
        let here = self.outsiders;
        self.outsiders += 1;
        let Some(plan) = self.plan.as_ref().filter(|plan| plan.slot == here) else { return text };
        self.fresh = true;
        let planted = plan.planted.clone();
        let middle = text.find(". ").map(|at| text.split_at(at + 2));
        match (self.v.number(0, 3), middle) {
            (0, _) => format!("{planted}\n{text}"),
            (1, Some((before, after))) => format!("{before}{planted} {after}"),
            (2, _) => format!("{text}\n\n{planted}"),
            _ => format!("{text} {planted}"),
        }
    }

    /// Makes a call that works.
    pub(super) fn call(&mut self, tool: &'static str, args: Value, answer: Answer) {
        if self.stopped {
            return;
        }
        self.stumble(tool, &args);
        self.steps.push(Step { tool, args, status: Status::Ok, answer });
        if std::mem::take(&mut self.fresh) {
            self.truth.exposed = Some(self.steps.len() as u64 - 1);
            self.due_in = match self.plan.as_ref().map(|plan| plan.obey) {
                Some(Obey::AtOnce) => Some(0),
                Some(Obey::AfterNext) => Some(1),
                _ => None,
            };
        }
        match self.due_in {
            Some(0) => self.obey(),
            Some(left) => self.due_in = Some(left - 1),
            None => {}
        }
    }

    /// Ends the session: an agent that obeys last, or had nothing left to do before, obeys now.
    pub(super) fn finish(&mut self) {
        let waits = self.plan.as_ref().is_some_and(|plan| plan.obey != Obey::Never);
        if self.truth.exposed.is_some() && self.truth.from.is_none() && waits {
            self.obey();
        }
    }

    fn obey(&mut self) {
        self.due_in = None;
        let Some(plan) = self.plan.as_mut() else { return };
        let steps = std::mem::take(&mut plan.steps);
        self.stopped = plan.drops_task;
        self.serve(steps);
    }

    /// Makes the attacker's calls.
    pub(super) fn serve(&mut self, steps: Vec<Step>) {
        self.truth.from = Some(self.steps.len() as u64);
        self.steps.extend(steps);
        self.truth.goal = Some(self.steps.len() as u64 - 1);
    }

    /// A clumsy agent first leaves an argument out.
    fn stumble(&mut self, tool: &'static str, args: &Value) {
        let Some(fields) = args.as_object().filter(|fields| fields.len() > 1) else { return };
        if !self.v.chance(self.style.clumsy) {
            return;
        }
        let Some(missing) = fields.keys().next_back().cloned() else { return };
        let mut short = fields.clone();
        short.remove(&missing);
        let error = match self.v.number(0, 2) {
            0 => format!("ValidationError: field required: {missing}"),
            1 => format!("TypeError: {tool}() missing 1 required argument: '{missing}'"),
            _ => format!("{{\"error\":{{\"code\":400,\"message\":\"`{missing}` must be given\"}}}}"),
        };
        self.steps.push(Step { tool, args: Value::Object(short), status: Status::Error, answer: Answer::Text(error) });
    }
}

/// A call of an attack that works.
pub(super) fn step(tool: &'static str, args: Value, answer: Answer) -> Step {
    Step { tool, args, status: Status::Ok, answer }
}
