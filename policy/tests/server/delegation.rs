//! Chains of tokens: each genuine, each narrower than the one before, or nobody stands behind the call.

use crate::common::NOW;
use crate::common::http::{Scripted, http, record_of, start};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use policy::server::AppState;
use policy::{Delegation, DelegationError, PolicySet};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use schema::Mode;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// A key pair made for this run, and the JWK Set that shows its public half.
static ISSUER: LazyLock<(EncodingKey, Vec<u8>)> = LazyLock::new(|| {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    (EncodingKey::from_ed_der(&pair.serialize_der()), jwks(pair.der_bytes()))
});

fn jwks(public: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut x = String::new();
    for three in public.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        (0..=three.len()).for_each(|at| x.push(ALPHABET[(word >> (18 - 6 * at) & 63) as usize] as char));
    }
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": x}]})
        .to_string()
        .into_bytes()
}

fn delegation() -> Delegation {
    Delegation::new(&ISSUER.1, "https://issuer.example", "https://api.example").unwrap()
}

fn token(more: Value) -> String {
    let mut claims = json!({"iss": "https://issuer.example", "aud": "https://api.example", "sub": "user:42",
        "exp": NOW.0 / 1_000 + 600, "scope": "read book"});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims, &ISSUER.0).unwrap()
}

/// The user's token and what the planner and the booker got for it.
fn chain() -> [Value; 3] {
    let planner = json!({"act": {"sub": "planner"}, "scope": "read book"});
    let booker = json!({"act": {"sub": "booker", "act": {"sub": "planner"}}, "scope": "book"});
    [json!({}), planner, booker]
}

fn check(tokens: [Value; 3]) -> Result<policy::DelegationChain, DelegationError> {
    let tokens = tokens.map(token);
    delegation().verify(&tokens.each_ref().map(String::as_str), NOW)
}

fn with(at: usize, change: Value) -> [Value; 3] {
    let mut tokens = chain();
    tokens[at].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    tokens
}

#[test]
fn a_chain_that_narrows_names_user_and_actors() {
    let chain = check(chain()).unwrap();
    let actors: Vec<&str> = chain.actors.iter().map(|actor| actor.as_str()).collect();
    assert_eq!((chain.principal.as_str(), actors), ("user:42", vec!["planner", "booker"]));
    assert_eq!(chain.scopes.into_iter().collect::<Vec<_>>(), ["book"]);
}

#[test]
fn what_widens_outlives_or_turns_aside_is_refused() {
    assert_eq!(check(with(2, json!({"scope": "book pay"}))), Err(DelegationError::Wider(2)));
    assert_eq!(check(with(1, json!({"exp": NOW.0 / 1_000 + 601}))), Err(DelegationError::Longer(1)));
    assert_eq!(check(with(2, json!({"sub": "user:1"}))), Err(DelegationError::OtherSubject(2)));
    assert_eq!(check(with(2, json!({"act": {"sub": "booker"}}))), Err(DelegationError::OtherActors(2)));
    let nine = (0..9).fold(json!(null), |act, n| json!({"sub": format!("a{n}"), "act": act}));
    assert_eq!(check(with(0, json!({ "act": nine }))), Err(DelegationError::TooManyActors(0)));
    let one = token(json!({}));
    assert_eq!(delegation().verify(&[one.as_str(); 9], NOW), Err(DelegationError::TooManyTokens(9)));
    assert_eq!(delegation().verify(&[], NOW), Err(DelegationError::Empty));
}

#[test]
fn what_is_not_genuine_is_refused() {
    let refused = |token: &str| matches!(delegation().verify(&[token], NOW), Err(DelegationError::NotGenuine(0, _)));
    let good = token(json!({}));
    assert!(!refused(&good));
    for claims in [
        json!({"iss": "https://other.example"}),
        json!({"aud": "https://other.example"}),
        json!({"exp": NOW.0 / 1_000}),
        json!({"nbf": NOW.0 / 1_000 + 1}),
        json!({"sub": ""}),
    ] {
        assert!(refused(&token(claims.clone())), "{claims}");
    }
    // Another key, no signature at all (RFC 8725, section 3.1), a changed letter, no key id.
    let stranger = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let claims =
        json!({"iss": "https://issuer.example", "aud": "https://api.example", "sub": "u", "exp": NOW.0 / 1_000 + 9});
    assert!(refused(&encode(&header, &claims, &EncodingKey::from_ed_der(&stranger.serialize_der())).unwrap()));
    let body = good.split('.').nth(1).unwrap();
    assert!(refused(&format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{body}.")));
    assert!(refused(&good.replacen('e', "f", 1)));
    assert!(refused(&encode(&Header::new(Algorithm::EdDSA), &claims, &ISSUER.0).unwrap()));
    assert!(refused(&"x".repeat(100_000)));
}

#[test]
fn a_key_set_without_a_key_to_check_with_is_refused() {
    for jwks in
        ["", "{}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"alg\":\"HS256\",\"k\":\"AAAA\"}]}"]
    {
        let refused = matches!(Delegation::new(jwks.as_bytes(), "i", "a"), Err(DelegationError::Keys(_)));
        assert!(refused, "{jwks}");
    }
}

#[tokio::test]
async fn a_refused_chain_stops_the_call_and_a_good_one_names_the_principal() {
    let scorer = Arc::new(Scripted::default());
    let mut state = AppState::new(Arc::clone(&scorer) as Arc<dyn policy::Scorer>, PolicySet::default(), Mode::Enforce);
    state.routes.default.deadline_ms = 30_000;
    state.delegation = Some(delegation());
    let at = start(state).await.address;
    // The webhook asks the wall clock, so these last until then.
    let late = json!({"exp": 7_000_000_000u64});
    let good = token(late.clone());
    let wider = token(json!({"exp": 7_000_000_000u64, "scope": "read book pay"}));
    let ask = async |tokens: String| {
        let header = format!("vedette-delegation: {tokens}");
        http(at, "POST", "/v1/decide", &[&header], &record_of("pay")).await.json()
    };
    assert_eq!(ask(good.clone()).await["decision"], "allow");
    assert_eq!(ask(format!("{good} {wider}")).await["reasons"][0], "delegation-refused");
    assert_eq!(ask("nonsense".to_owned()).await["decision"], "deny");
    assert_eq!(scorer.principals.lock().unwrap()[0], Some("user:42".to_owned()));
}

proptest! {
    #[test]
    fn a_chain_is_one_or_an_error(text in "[A-Za-z0-9_.=-]{0,200}", jwks in "\\PC{0,200}") {
        let _ = delegation().verify(&[&text], NOW);
        let _ = Delegation::new(jwks.as_bytes(), "i", "a");
    }
}
