//! Any bytes as a JWK Set and a chain of tokens: refused, or a chain.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], Vec<&str>)| {
    let (jwks, tokens) = input;
    let known = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    for jwks in [jwks, known] {
        if let Ok(delegation) = policy::Delegation::new(jwks, "i", "a") {
            let _ = delegation.verify(&tokens, schema::Millis(1_795_343_040_062));
        }
    }
});
