//! What a policy demands of single facts before anything else, read from its own text: where one such demand is not met
//! the policy cannot apply, and Cedar need not be asked about it.
//!
//! Only what can neither fail nor be seen two ways is read: comparisons of one attribute with a constant, and their
//! `&&`, `||` and `!`. A policy's conditions are evaluated from left to right and `&&` ends at the first that does not
//! hold (Cedar Policy Language Reference, "Operators"), so reading stops at the first condition that is anything else:
//! it might fail, and a failure has to be seen.

use crate::facts::{Asked, Attribute, Fact};
use serde_json::Value;

/// A demand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Guard {
    Is(Attribute),
    Text(Attribute, String),
    Long(Attribute, Order, i64),
    Tool(String),
    App(String),
    Tenant(String),
    Agent(String),
    AgentOrFamily(String),
    Not(Box<Guard>),
    All(Vec<Guard>),
    Any(Vec<Guard>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Guard {
    /// The demands of a policy in Cedar's JSON form (Cedar Policy Language Reference, "JSON policy format").
    pub(super) fn of(policy: &Value) -> Vec<Self> {
        let mut guards: Vec<Self> = ["principal", "resource"].iter().filter_map(|of| scope(policy.get(of)?)).collect();
        let conditions = policy.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for condition in conditions {
            let Some(body) = condition.get("body") else { return guards };
            let whole = match condition.get("kind").and_then(Value::as_str) {
                Some("when") => take(body, &mut guards),
                Some("unless") => read(body).map(|guard| guards.push(Self::Not(Box::new(guard)))).is_some(),
                _ => false,
            };
            if !whole {
                return guards;
            }
        }
        guards
    }

    /// Whether it is met. Where it is not, its policy does not apply.
    pub(super) fn holds(&self, asked: &Asked<'_>) -> bool {
        match self {
            Self::Is(attribute) => attribute.of(asked) == Fact::Bool(true),
            Self::Text(attribute, wanted) => attribute.of(asked) == Fact::Text(wanted),
            Self::Long(attribute, order, n) => match attribute.of(asked) {
                Fact::Long(found) => order.holds(found, *n),
                Fact::Bool(_) | Fact::Text(_) => false,
            },
            Self::Tool(wanted) => asked.tool() == wanted,
            Self::App(wanted) => asked.app() == Some(wanted),
            Self::Tenant(wanted) => asked.tenant() == wanted,
            Self::Agent(wanted) => asked.agent() == wanted,
            Self::AgentOrFamily(wanted) => asked.agent() == wanted || asked.family() == Some(wanted),
            Self::Not(guard) => !guard.holds(asked),
            Self::All(guards) => guards.iter().all(|guard| guard.holds(asked)),
            Self::Any(guards) => guards.iter().any(|guard| guard.holds(asked)),
        }
    }
}

impl Order {
    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::More => left > right,
        }
    }

    fn flipped(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::Equal => Self::Equal,
            Self::AtLeast => Self::AtMost,
            Self::More => Self::Less,
        }
    }
}

/// What the scope demands: at least this, perhaps more.
fn scope(scope: &Value) -> Option<Guard> {
    let entity = scope.get("entity")?;
    let id = entity.get("id")?.as_str()?.to_owned();
    match (scope.get("op")?.as_str()?, entity.get("type")?.as_str()?) {
        ("==", "Vedette::Tool") => Some(Guard::Tool(id)),
        ("==", "Vedette::Agent") => Some(Guard::Agent(id)),
        ("in", "Vedette::Agent") => Some(Guard::AgentOrFamily(id)),
        ("in", "Vedette::App") => Some(Guard::App(id)),
        ("in", "Vedette::Tenant") => Some(Guard::Tenant(id)),
        _ => None,
    }
}

/// Takes the conditions of `a && b && …` from the left, as far as they can be read; whether all could be.
fn take(body: &Value, guards: &mut Vec<Guard>) -> bool {
    if let Some((left, right)) = two(body, "&&") {
        return take(left, guards) && take(right, guards);
    }
    read(body).map(|guard| guards.push(guard)).is_some()
}

/// An expression that is made of nothing but comparisons of single attributes with constants.
fn read(body: &Value) -> Option<Guard> {
    if let Some(attribute) = attribute(body) {
        return Some(Guard::Is(attribute));
    }
    if let Some(arg) = body.get("!") {
        return Some(Guard::Not(Box::new(read(arg.get("arg")?)?)));
    }
    if let Some((left, right)) = two(body, "&&") {
        return Some(Guard::All(vec![read(left)?, read(right)?]));
    }
    if let Some((left, right)) = two(body, "||") {
        return Some(Guard::Any(vec![read(left)?, read(right)?]));
    }
    if let Some((left, right)) = two(body, "!=") {
        return Some(Guard::Not(Box::new(compare(left, Order::Equal, right)?)));
    }
    let orders =
        [("<", Order::Less), ("<=", Order::AtMost), ("==", Order::Equal), (">=", Order::AtLeast), (">", Order::More)];
    orders.iter().find_map(|(sign, order)| two(body, sign).and_then(|(left, right)| compare(left, *order, right)))
}

fn compare(left: &Value, order: Order, right: &Value) -> Option<Guard> {
    let (attribute, order, constant) = match (attribute(left), attribute(right)) {
        (Some(attribute), None) => (attribute, order, right.get("Value")?),
        (None, Some(attribute)) => (attribute, order.flipped(), left.get("Value")?),
        _ => return None,
    };
    match constant {
        Value::String(text) if order == Order::Equal => Some(Guard::Text(attribute, text.clone())),
        Value::Bool(true) if order == Order::Equal => Some(Guard::Is(attribute)),
        Value::Bool(false) if order == Order::Equal => Some(Guard::Not(Box::new(Guard::Is(attribute)))),
        Value::Number(n) => Some(Guard::Long(attribute, order, n.as_i64()?)),
        _ => None,
    }
}

/// `context.NAME`.
pub(super) fn attribute(node: &Value) -> Option<Attribute> {
    let access = node.get(".")?;
    let context = access.get("left")?.get("Var")?.as_str()? == "context";
    context.then(|| Attribute::named(access.get("attr")?.as_str()?)).flatten()
}

fn two<'a>(node: &'a Value, sign: &str) -> Option<(&'a Value, &'a Value)> {
    let node = node.get(sign)?;
    Some((node.get("left")?, node.get("right")?))
}
