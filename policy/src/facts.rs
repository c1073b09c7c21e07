//! A request as Cedar sees it: entities and context by the shipped schema. Names and units are explained there
//! (`policies/vedette.cedarschema`); this file fills them in, and no more of them than the policies at hand read.

use crate::{Circumstances, Request, standing_risk};
use cedar_policy::{
    Context, ContextCreationError, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors,
    RestrictedExpression,
};
use schema::{Budgets, Call, Millis, Pattern, Standing, Verdict};
use std::collections::HashSet;

/// What a policy can ask of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact<'a> {
    Long(i64),
    Bool(bool),
    Text(&'a str),
}

/// A request and its time: all that attributes are read from.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    call: &'a Call,
    verdict: &'a Verdict,
    standing: Option<&'a Standing>,
    degraded: bool,
    circumstances: Circumstances,
    now: Millis,
}

/// One attribute of the context, by its place in [`ATTRIBUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute(usize);

type Read = for<'a> fn(&Asked<'a>) -> Fact<'a>;

/// All attributes of the context, and how each is read.
pub(crate) const ATTRIBUTES: [(&str, Read); 31] = [
    ("risk_permille", |a| Fact::Long(permille(a.verdict.risk.get()))),
    ("p_value_ppm", |a| a.p_value_ppm()),
    ("pattern", |a| Fact::Text(pattern(a.verdict.pattern))),
    ("exposed", |a| Fact::Bool(a.verdict.exposed || a.standing.is_some_and(|s| s.exposed))),
    ("learning", |a| Fact::Bool(a.verdict.learning)),
    ("degraded", |a| Fact::Bool(a.degraded)),
    ("sure_permille", |a| Fact::Long(permille(a.verdict.sure))),
    ("standing_known", |a| Fact::Bool(a.standing.is_some())),
    ("standing_risk_permille", |a| {
        Fact::Long(a.standing.map_or(0, |standing| permille(standing_risk(standing, a.now).get())))
    }),
    ("idle_ms", |a| Fact::Long(a.standing.map_or(0, |standing| long(a.now.since(standing.at))))),
    ("session_calls", |a| Fact::Long(i64::from(a.budgets().calls))),
    ("session_tokens", |a| Fact::Long(long(a.budgets().tokens))),
    ("session_bytes", |a| Fact::Long(long(a.budgets().bytes))),
    ("session_milliunits", |a| Fact::Long(long(a.budgets().milliunits))),
    ("tenant", |a| Fact::Text(a.call.tenant.as_str())),
    ("app", |a| text(a.call.app.as_ref())),
    ("agent", |a| Fact::Text(a.call.agent.as_str())),
    ("user", |a| text(a.call.principal.as_ref())),
    ("device", |a| text(a.call.device.as_ref())),
    ("tool", |a| Fact::Text(a.call.tool.as_str())),
    ("read_only", |a| Fact::Bool(a.call.read_only.unwrap_or(false))),
    ("sub_agent", |a| Fact::Bool(a.call.parent.is_some())),
    ("delegation_depth", |a| Fact::Long(a.call.actor.len() as i64)),
    ("delegation", |a| Fact::Text(a.circumstances.delegation.word())),
    ("mission", |a| Fact::Text(a.circumstances.mission.word())),
    ("burst_wait_ms", |a| Fact::Long(long(a.circumstances.burst_wait_ms))),
    ("conformity_permille", |a| Fact::Long(a.circumstances.conformity_permille.map_or(1_000, i64::from))),
    ("principal_milliunits", |a| Fact::Long(long(a.circumstances.principal_milliunits))),
    ("tenant_milliunits", |a| Fact::Long(long(a.circumstances.tenant_milliunits))),
    ("certificate", |a| Fact::Text(a.circumstances.certificate.class.word())),
    ("certificate_age_ms", |a| Fact::Long(long(a.circumstances.certificate.age_ms))),
];

impl Attribute {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..ATTRIBUTES.len()).map(Self)
    }

    /// The one called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ATTRIBUTES.iter().position(|(known, _)| *known == name).map(Self)
    }

    pub(crate) fn of<'a>(self, asked: &Asked<'a>) -> Fact<'a> {
        // INVARIANT: both ways to one of these yield a place in the table.
        #[expect(clippy::indexing_slicing, reason = "a place in the table")]
        (ATTRIBUTES[self.0].1)(asked)
    }

    fn name(self) -> &'static str {
        #[expect(clippy::indexing_slicing, reason = "a place in the table")]
        ATTRIBUTES[self.0].0
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn new(request: &Request<'a>, now: Millis) -> Self {
        let Request { call, verdict, standing, degraded, circumstances } = *request;
        Self { call, verdict, standing, degraded, circumstances, now }
    }

    pub(crate) fn tenant(&self) -> &'a str {
        self.call.tenant.as_str()
    }

    pub(crate) fn app(&self) -> Option<&'a str> {
        self.call.app.as_ref().map(AsRef::as_ref)
    }

    pub(crate) fn agent(&self) -> &'a str {
        self.call.agent.as_str()
    }

    /// `travel-planner` of `travel-planner@3.2`.
    pub(crate) fn family(&self) -> Option<&'a str> {
        self.agent().split_once('@').map(|(name, _)| name).filter(|name| !name.is_empty())
    }

    pub(crate) fn tool(&self) -> &'a str {
        self.call.tool.as_str()
    }

    fn budgets(&self) -> Budgets {
        self.standing.map_or_else(Budgets::default, |standing| standing.budgets)
    }

    /// No p-value is better than a wrong one: while learning, or without the whole session, nothing is unusual.
    fn p_value_ppm(&self) -> Fact<'a> {
        let nothing = self.verdict.learning || self.degraded;
        Fact::Long(if nothing { 1_000_000 } else { ppm(self.verdict.p_value.get()) })
    }
}

/// Parsed names of the schema, kept so that a decision parses nothing.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    tenant: EntityTypeName,
    app: EntityTypeName,
    tool: EntityTypeName,
    agent: EntityTypeName,
    call: EntityUid,
}

impl Names {
    pub(crate) fn parse() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            tenant: "Vedette::Tenant".parse().map_err(Box::new)?,
            app: "Vedette::App".parse().map_err(Box::new)?,
            tool: "Vedette::Tool".parse().map_err(Box::new)?,
            agent: "Vedette::Agent".parse().map_err(Box::new)?,
            call: "Vedette::Action::\"call\"".parse().map_err(Box::new)?,
        })
    }

    /// The question, with the attributes of the context that are `read`.
    ///
    /// Errors: none that a request can cause; Cedar's constructors are fallible in general.
    pub(crate) fn question(&self, asked: &Asked<'_>, read: &[Attribute]) -> Result<cedar_policy::Request, FactsError> {
        let value = |attribute: &Attribute| match attribute.of(asked) {
            Fact::Long(n) => RestrictedExpression::new_long(n),
            Fact::Bool(is) => RestrictedExpression::new_bool(is),
            Fact::Text(text) => RestrictedExpression::new_string(text.to_owned()),
        };
        let pairs = read.iter().map(|attribute| (attribute.name().to_owned(), value(attribute)));
        let context = if read.is_empty() { Context::empty() } else { Context::from_pairs(pairs).map_err(Box::new)? };
        let (agent, tool) = (uid(&self.agent, asked.agent()), uid(&self.tool, asked.tool()));
        Ok(cedar_policy::Request::new(agent, self.call.clone(), tool, context, None).map_err(Box::new)?)
    }

    /// Where agent and tool belong: `travel-planner@3.2` to `travel-planner`, which belongs to its tenant; a tool to its
    /// app, which belongs to its tenant.
    pub(crate) fn entities(&self, asked: &Asked<'_>) -> Result<Entities, FactsError> {
        let (agent, tool) = (uid(&self.agent, asked.agent()), uid(&self.tool, asked.tool()));
        let tenant = uid(&self.tenant, asked.tenant());
        let mut entities = Vec::with_capacity(4);
        match asked.family() {
            Some(name) => {
                let family = uid(&self.agent, name);
                entities.push(Entity::new_no_attrs(agent, HashSet::from([family.clone()])));
                entities.push(Entity::new_no_attrs(family, HashSet::from([tenant.clone()])));
            }
            None => entities.push(Entity::new_no_attrs(agent, HashSet::from([tenant.clone()]))),
        }
        if let Some(app) = asked.app() {
            let app = uid(&self.app, app);
            entities.push(Entity::new_no_attrs(tool, HashSet::from([app.clone()])));
            entities.push(Entity::new_no_attrs(app, HashSet::from([tenant])));
        }
        Ok(Entities::from_entities(entities, None).map_err(Box::new)?)
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Why a question could not be put.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactsError {
    #[error("entities do not form a hierarchy")]
    Entities(#[from] Box<cedar_policy::entities_errors::EntitiesError>),
    #[error("context cannot be built")]
    Context(#[from] Box<ContextCreationError>),
    #[error("request does not fit the schema")]
    Request(#[from] Box<cedar_policy::RequestValidationError>),
}

/// What is not known is "".
fn text<T: AsRef<str>>(text: Option<&T>) -> Fact<'_> {
    Fact::Text(text.map_or("", AsRef::as_ref))
}

fn pattern(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "none",
        Pattern::Injection => "injection",
        Pattern::Extraction => "extraction",
        Pattern::Abuse => "abuse",
    }
}

/// Thousandths, rounded down: a risk reaches a threshold only when it really does.
fn permille(share: f64) -> i64 {
    (share.clamp(0.0, 1.0) * 1e3) as i64
}

/// Millionths, rounded up: a p-value meets `<=` only when it really does.
fn ppm(share: f64) -> i64 {
    libm::ceil(share.clamp(0.0, 1.0) * 1e6) as i64
}

fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicySet;
    use cedar_policy::Schema;
    use schema::decode::{Received, native};
    use schema::{Call, Digest, PValue, Risk, TenantKey, Verdict, seal};

    #[test]
    fn the_facts_of_a_request_fit_the_shipped_schema() {
        // `decide` puts them unchecked, for speed.
        let (schema, _) = Schema::from_cedarschema_str(PolicySet::SCHEMA).unwrap();
        let at = Millis(1_795_343_040_062);
        let json = br#"{"session":"s","tool":"t","app":"a","agent":"x@1","at":1795343040062}"#;
        let raw = native::decode(json, &Received { at, id: "0".to_owned() }).unwrap();
        let call: Call = seal(&raw, &TenantKey::new([7; 32]));
        let verdict = Verdict {
            v: 1,
            id: call.id.clone(),
            session: call.session.clone(),
            how: call.how,
            sure: 1.0,
            risk: Risk::clamped(0.5),
            p_value: PValue::clamped(0.5),
            pattern: Pattern::None,
            model: Digest::of(b""),
            exposed: false,
            learning: false,
            evidence: vec![],
        };
        let request = Request::new(&call, &verdict, None);
        let (names, asked) = (Names::parse().unwrap(), Asked::new(&request, at));
        let all: Vec<Attribute> = Attribute::all().collect();
        let question = names.question(&asked, &all).unwrap();
        let context = question.context().unwrap().clone();
        let uid = |uid: Option<&EntityUid>| uid.unwrap().clone();
        let (principal, action, resource) =
            (uid(question.principal()), uid(question.action()), uid(question.resource()));
        cedar_policy::Request::new(principal, action, resource, context, Some(&schema)).unwrap();
        let entities = names.entities(&asked).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(entities.len(), 4);
        Entities::from_entities(entities, Some(&schema)).unwrap();
    }

    #[test]
    fn thresholds_of_policies_mean_what_they_say() {
        assert_eq!(ppm(0.01), 10_000);
        assert_eq!(ppm(0.010_000_1), 10_001);
        assert_eq!(permille(0.899_9), 899);
        assert_eq!(permille(f64::NAN), 0);
        assert_eq!(long(u64::MAX), i64::MAX);
    }
}
