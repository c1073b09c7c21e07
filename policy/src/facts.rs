//! A request as Cedar sees it: entities and context by the shipped schema. Names and units are explained there
//! (`policies/vedette.cedarschema`); this file fills them in.

use crate::{Request, standing_risk};
use cedar_policy::{
    Context, ContextCreationError, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors,
    RestrictedExpression as Value,
};
use schema::{Budgets, Millis, Pattern};
use std::collections::HashSet;

/// Parsed names of the schema, kept so that a decision parses nothing.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    tenant: EntityTypeName,
    app: EntityTypeName,
    tool: EntityTypeName,
    agent: EntityTypeName,
    call: EntityUid,
}

/// One question in Cedar's terms.
pub(crate) struct Facts {
    pub(crate) principal: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    pub(crate) entities: Entities,
    pub(crate) context: Context,
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

    /// The facts of `request` at `now`.
    ///
    /// Errors: none that a request can cause; Cedar's constructors are fallible in general.
    pub(crate) fn facts(&self, request: &Request<'_>, now: Millis) -> Result<Facts, FactsError> {
        let call = request.call;
        let uid = |kind: &EntityTypeName, id: &str| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
        let tenant = uid(&self.tenant, call.tenant.as_str());
        let agent = uid(&self.agent, call.agent.as_str());
        let tool = uid(&self.tool, call.tool.as_str());
        let mut entities = Vec::with_capacity(4);
        // `travel-planner@3.2` belongs to `travel-planner`, which belongs to its tenant.
        match call.agent.as_str().split_once('@') {
            Some((name, _)) if !name.is_empty() => {
                let family = uid(&self.agent, name);
                entities.push(Entity::new_no_attrs(agent.clone(), HashSet::from([family.clone()])));
                entities.push(Entity::new_no_attrs(family, HashSet::from([tenant.clone()])));
            }
            _ => entities.push(Entity::new_no_attrs(agent.clone(), HashSet::from([tenant.clone()]))),
        }
        if let Some(app) = &call.app {
            let app = uid(&self.app, app.as_str());
            entities.push(Entity::new_no_attrs(tool.clone(), HashSet::from([app.clone()])));
            entities.push(Entity::new_no_attrs(app, HashSet::from([tenant])));
        }
        Ok(Facts {
            principal: agent,
            action: self.call.clone(),
            resource: tool,
            entities: Entities::from_entities(entities, None).map_err(Box::new)?,
            context: context(request, now)?,
        })
    }
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

fn context(request: &Request<'_>, now: Millis) -> Result<Context, Box<ContextCreationError>> {
    let Request { call, verdict, standing, degraded, circumstances } = *request;
    let budgets = standing.map_or_else(Budgets::default, |s| s.budgets);
    // No p-value is better than a wrong one: while learning, or without the whole session, nothing is unusual.
    let p_value_ppm = if verdict.learning || degraded { 1_000_000 } else { ppm(verdict.p_value.get()) };
    let text = |text: Option<&str>| Value::new_string(text.unwrap_or_default().to_owned());
    let pairs = [
        ("risk_permille", Value::new_long(permille(verdict.risk.get()))),
        ("p_value_ppm", Value::new_long(p_value_ppm)),
        ("pattern", Value::new_string(pattern(verdict.pattern).to_owned())),
        ("exposed", Value::new_bool(verdict.exposed || standing.is_some_and(|s| s.exposed))),
        ("learning", Value::new_bool(verdict.learning)),
        ("degraded", Value::new_bool(degraded)),
        ("sure_permille", Value::new_long(permille(verdict.sure))),
        ("standing_known", Value::new_bool(standing.is_some())),
        ("standing_risk_permille", Value::new_long(standing.map_or(0, |s| permille(standing_risk(s, now).get())))),
        ("idle_ms", Value::new_long(standing.map_or(0, |s| long(now.since(s.at))))),
        ("session_calls", Value::new_long(i64::from(budgets.calls))),
        ("session_tokens", Value::new_long(long(budgets.tokens))),
        ("session_bytes", Value::new_long(long(budgets.bytes))),
        ("session_milliunits", Value::new_long(long(budgets.milliunits))),
        ("tenant", text(Some(call.tenant.as_str()))),
        ("app", text(call.app.as_ref().map(AsRef::as_ref))),
        ("agent", text(Some(call.agent.as_str()))),
        ("user", text(call.principal.as_ref().map(AsRef::as_ref))),
        ("device", text(call.device.as_ref().map(AsRef::as_ref))),
        ("tool", text(Some(call.tool.as_str()))),
        ("read_only", Value::new_bool(call.read_only.unwrap_or(false))),
        ("sub_agent", Value::new_bool(call.parent.is_some())),
        ("delegation_depth", Value::new_long(call.actor.len() as i64)),
        ("delegation", text(Some(circumstances.delegation.word()))),
        ("mission", text(Some(circumstances.mission.word()))),
        ("burst_wait_ms", Value::new_long(long(circumstances.burst_wait_ms))),
        ("conformity_permille", Value::new_long(circumstances.conformity_permille.map_or(1_000, i64::from))),
        ("principal_milliunits", Value::new_long(long(circumstances.principal_milliunits))),
        ("tenant_milliunits", Value::new_long(long(circumstances.tenant_milliunits))),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(Box::new)
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
        let facts = Names::parse().unwrap().facts(&Request::new(&call, &verdict, None), at).unwrap();
        cedar_policy::Request::new(facts.principal, facts.action, facts.resource, facts.context, Some(&schema))
            .unwrap();
        let entities = facts.entities.into_iter().collect::<Vec<_>>();
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
