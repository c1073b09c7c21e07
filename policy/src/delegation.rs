//! Delegation: who stands behind a call, by tokens that each narrow the one before.
//!
//! A chain is one JWT a hop, outermost first: the user's, then what each agent got in exchange for it (RFC 8693). Each is
//! genuine (RFC 7519, RFC 7515) under a key of its issuer's JWK Set (RFC 7517); its subject stays the user; its `act`
//! claim (RFC 8693, section 4.1) names at most [`ACTORS_MAX`] actors, the current one outermost; its scopes are among
//! those of the token before, and it does not outlive that.

use crate::limits::{JWKS_BYTES_MAX, JWKS_KEYS_MAX, TOKEN_BYTES_MAX};
use jsonwebtoken::jwk::{JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use schema::limits::ACTORS_MAX;
use schema::{Agent, Millis, Principal};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr as _;

/// Checks chains of tokens.
pub struct Delegation {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    issuer: String,
    audience: String,
}

/// Who stands behind a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The user: the subject of every token.
    pub principal: Principal,
    /// Agents between the user and the call, the one nearest to the user first.
    pub actors: Vec<Agent>,
    /// What the last token allows.
    pub scopes: BTreeSet<String>,
}

/// Why nobody is shown to stand behind a call. Says nothing of a token's contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegationError {
    /// Not a JWK Set that can be used.
    #[error("the key set cannot be used: {0}")]
    Keys(String),
    /// More hops than may be.
    #[error("{0} tokens, over the limit of {ACTORS_MAX}")]
    TooManyTokens(usize),
    /// More actors than may be.
    #[error("token {0} names more than {ACTORS_MAX} actors")]
    TooManyActors(usize),
    /// No token.
    #[error("there is no token")]
    Empty,
    /// Not genuine: malformed, unsigned, expired, for somebody else, or by somebody unknown.
    #[error("token {0} is not genuine: {1}")]
    NotGenuine(usize, &'static str),
    /// It speaks for another user than the first.
    #[error("token {0} has another subject than the first")]
    OtherSubject(usize),
    /// It allows more than the one before.
    #[error("token {0} allows more than the one before")]
    Wider(usize),
    /// It lasts longer than the one before.
    #[error("token {0} lasts longer than the one before")]
    Longer(usize),
    /// Its actors do not go on from those of the one before.
    #[error("token {0} drops an actor of the one before")]
    OtherActors(usize),
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(default)]
    scope: String,
    act: Option<Act>,
}

#[derive(Deserialize)]
struct Act {
    sub: String,
    act: Option<Box<Act>>,
}

impl Delegation {
    /// Tokens by `issuer` for `audience`, under the keys of a JWK Set. Keys without an id or an asymmetric algorithm are
    /// passed over: a shared secret would let everybody who checks tokens make them.
    pub fn new(jwks: &[u8], issuer: &str, audience: &str) -> Result<Self, DelegationError> {
        let refuse = |why: String| Err(DelegationError::Keys(why));
        if jwks.len() > JWKS_BYTES_MAX {
            return refuse(format!("{} bytes, over the limit of {JWKS_BYTES_MAX}", jwks.len()));
        }
        let set: JwkSet = match serde_json::from_slice(jwks) {
            Ok(set) => set,
            Err(error) => return refuse(format!("line {}, column {}", error.line(), error.column())),
        };
        if set.keys.len() > JWKS_KEYS_MAX {
            return refuse(format!("{} keys, over the limit of {JWKS_KEYS_MAX}", set.keys.len()));
        }
        let usable = set.keys.iter().filter_map(|jwk| {
            let algorithm = asymmetric(jwk.common.key_algorithm?)?;
            Some((jwk.common.key_id.clone()?, (algorithm, DecodingKey::from_jwk(jwk).ok()?)))
        });
        let keys: HashMap<_, _> = usable.collect();
        if keys.is_empty() {
            return refuse("it holds no key with `kid` and an asymmetric `alg`".to_owned());
        }
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// Who stands behind a call, by `tokens`, outermost first.
    pub fn verify(&self, tokens: &[&str], now: Millis) -> Result<Chain, DelegationError> {
        match tokens.len() {
            0 => return Err(DelegationError::Empty),
            many if many > ACTORS_MAX => return Err(DelegationError::TooManyTokens(many)),
            _ => {}
        }
        let mut before: Option<(Chain, u64)> = None;
        for (at, token) in tokens.iter().enumerate() {
            let claims = self.genuine(at, token, now)?;
            let actors = actors(at, claims.act.as_ref())?;
            let principal =
                Principal::new(&claims.sub).map_err(|_| DelegationError::NotGenuine(at, "its subject is no name"))?;
            let scopes: BTreeSet<String> =
                claims.scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect();
            if let Some((outer, outer_exp)) = &before {
                if principal != outer.principal {
                    return Err(DelegationError::OtherSubject(at));
                }
                if !scopes.is_subset(&outer.scopes) {
                    return Err(DelegationError::Wider(at));
                }
                if claims.exp > *outer_exp {
                    return Err(DelegationError::Longer(at));
                }
                if !actors.starts_with(&outer.actors) {
                    return Err(DelegationError::OtherActors(at));
                }
            }
            before = Some((Chain { principal, actors, scopes }, claims.exp));
        }
        before.map(|(chain, _)| chain).ok_or(DelegationError::Empty)
    }

    fn genuine(&self, at: usize, token: &str, now: Millis) -> Result<Claims, DelegationError> {
        let not = |why| DelegationError::NotGenuine(at, why);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(not("it is too long"));
        }
        let header = decode_header(token).map_err(|_| not("it is malformed"))?;
        let key = header.kid.as_ref().and_then(|kid| self.keys.get(kid));
        let (algorithm, key) = key.ok_or_else(|| not("its key is not known"))?;
        // The key says which algorithm, never the token (RFC 8725, section 3.1).
        let mut validation = Validation::new(*algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Against our own `now`, below: this crate reads no clock here.
        validation.validate_exp = false;
        let claims =
            decode::<Claims>(token, key, &validation).map_err(|_| not("its signature or claims do not hold"))?;
        let claims = claims.claims;
        let now_s = now.0 / 1_000;
        if claims.exp <= now_s {
            return Err(not("it has expired"));
        }
        if claims.nbf > now_s {
            return Err(not("it is not valid yet"));
        }
        Ok(claims)
    }
}

/// Outermost `act` is the current actor (RFC 8693, section 4.1): turned round, the one nearest to the user comes first.
fn actors(at: usize, act: Option<&Act>) -> Result<Vec<Agent>, DelegationError> {
    let mut actors = Vec::new();
    let mut next = act;
    while let Some(act) = next {
        if actors.len() >= ACTORS_MAX {
            return Err(DelegationError::TooManyActors(at));
        }
        let name = Agent::new(&act.sub).map_err(|_| DelegationError::NotGenuine(at, "an actor is no name"))?;
        actors.push(name);
        next = act.act.as_deref();
    }
    actors.reverse();
    Ok(actors)
}

fn asymmetric(algorithm: KeyAlgorithm) -> Option<Algorithm> {
    let algorithm = Algorithm::from_str(&algorithm.to_string()).ok()?;
    let shared = matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
    (!shared).then_some(algorithm)
}
