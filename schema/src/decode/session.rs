//! Which session a call belongs to, and how that was found out. Sessions are derived, never assumed: the strongest sign a
//! record carries decides, and the verdict says which ([`How`]) and how sure ([`How::sure`]).

use super::{DecodeError, UNKNOWN, name};
use crate::{DeadReason, How, NameHash, Session};

/// What a record says of its session, strongest first. Empty texts count as absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signs<'a> {
    /// A session id of the gateway's own.
    pub explicit: Option<&'a str>,
    /// `gen_ai.conversation.id`, MCP's session id, A2A's context id.
    pub conversation: Option<&'a str>,
    /// W3C trace context: a whole `traceparent`, or a trace id of 32 hex digits.
    pub trace: Option<&'a str>,
    /// The token's `jti`, or the id of the login it stands for.
    pub token: Option<&'a str>,
    /// On whose behalf.
    pub principal: Option<&'a str>,
    /// The agent.
    pub agent: Option<&'a str>,
    /// The device.
    pub device: Option<&'a str>,
    /// The application.
    pub app: Option<&'a str>,
}

/// The session and how it was found out.
///
/// A session found from (principal, agent, device, app) alone is one for ever; whoever keeps state cuts it where it was
/// idle, with [`after_gap`].
///
/// Errors: [`DeadReason::Missing`] without any sign, [`DeadReason::BadName`] for one over its bound.
pub fn derive(signs: &Signs<'_>) -> Result<(Session, How), DecodeError> {
    if let Some(id) = there(signs.explicit) {
        return Ok((name(id)?, How::Explicit));
    }
    if let Some(id) = there(signs.conversation) {
        return Ok((name(id)?, How::Conversation));
    }
    if let Some(id) = signs.trace.and_then(trace_id) {
        return Ok((name(&format!("trace-{id}"))?, How::Trace));
    }
    if let Some(id) = there(signs.token) {
        // A token's id is nobody's to read: its hash tells sessions apart as well.
        return Ok((name(&format!("token-{:016x}", NameHash::of("token", id).0))?, How::Token));
    }
    let agent = signs.agent.filter(|agent| *agent != UNKNOWN);
    let known = [signs.principal, agent, signs.device, signs.app].map(there);
    if known.iter().all(Option::is_none) {
        return Err(DecodeError::new(
            DeadReason::Missing,
            "nothing to derive a session from: no session, conversation, trace or token, and no principal, agent, device or app",
        ));
    }
    let joined = known.map(Option::unwrap_or_default).join("\u{1f}");
    Ok((name(&format!("idle-{:016x}", NameHash::of("session", &joined).0))?, How::Idle))
}

/// The session that goes on after `base` ([`How::Idle`]) was idle: `base` with the time of its first call, in ms.
pub fn after_gap(base: &Session, first: crate::Millis) -> Result<Session, DecodeError> {
    name(&format!("{base}-{}", first.0))
}

/// The trace id of a `traceparent` (W3C Trace Context, section 3.2: version "-" trace-id "-" parent-id "-" flags), or of
/// a text that is one. All zeros is no id.
fn trace_id(text: &str) -> Option<&str> {
    let id = text.split('-').nth(1).unwrap_or(text);
    let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
    is_id.then_some(id)
}

fn there(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_strongest_sign_decides_and_says_so() {
        let mut signs = Signs {
            explicit: Some("s-1"),
            conversation: Some("conv-1"),
            trace: Some(TRACE),
            token: Some("jti-1"),
            principal: Some("user:42"),
            ..Signs::default()
        };
        let how = |signs: &Signs<'_>| derive(signs).map(|(session, how)| (session.to_string(), how)).unwrap();
        assert_eq!(how(&signs), ("s-1".into(), How::Explicit));
        signs.explicit = Some("");
        assert_eq!(how(&signs), ("conv-1".into(), How::Conversation));
        signs.conversation = None;
        assert_eq!(how(&signs), ("trace-0af7651916cd43dd8448eb211c80319c".into(), How::Trace));
        signs.trace = Some("00-00000000000000000000000000000000-b7ad6b7169203331-01");
        let (session, by_token) = how(&signs);
        assert!(by_token == How::Token && session.starts_with("token-") && !session.contains("jti"), "{session}");
        signs.token = None;
        assert_eq!(how(&signs).1, How::Idle);
        signs.principal = None;
        assert_eq!(derive(&signs).unwrap_err().reason, DeadReason::Missing);
    }

    #[test]
    fn who_calls_what_from_where_tells_idle_sessions_apart() {
        let of = |signs: Signs<'_>| derive(&signs).unwrap().0;
        let one = of(Signs { principal: Some("a"), agent: Some("b"), ..Signs::default() });
        assert_eq!(one, of(Signs { principal: Some("a"), agent: Some("b"), ..Signs::default() }));
        assert_ne!(one, of(Signs { principal: Some("b"), agent: Some("a"), ..Signs::default() }));
        assert_ne!(one, of(Signs { principal: Some("a"), device: Some("b"), ..Signs::default() }));
        assert!(after_gap(&one, crate::Millis(1_795_343_040_062)).unwrap().as_str().ends_with("-1795343040062"));
    }

    #[test]
    fn a_surer_sign_is_surer() {
        let sure = [How::Explicit, How::Conversation, How::Trace, How::Token, How::Idle].map(How::sure);
        assert!(sure.windows(2).all(|pair| pair[0] > pair[1]), "{sure:?}");
    }
}
