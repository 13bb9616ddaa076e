//! Keys: which are taken, and what ours signs.

use super::*;

#[test]
fn a_set_may_be_large_or_strange_and_is_bounded() {
    let keys: Vec<Value> = (0..1_000).map(|at| Signer::new(&format!("{at}")).jwk()).collect();
    let set = KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(set.len(), jwks::KEYS_MAX);

    for strange in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert!(KeySet::read(strange.as_bytes()).is_err(), "{strange}");
    }
    for weak in [
        json!({ "kty": "RSA", "kid": "a", "n": B64.encode([255; 128]), "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "a", "x": B64.encode([1; 32]) }),
        json!({ "kty": "oct", "kid": "a", "k": "AAAA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": B64.encode([1; 32]), "use": "enc" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": B64.encode([1; 32]), "alg": "HS256" }),
        json!("key"),
    ] {
        let set = KeySet::read(json!({ "keys": [weak] }).to_string().as_bytes()).unwrap();
        assert!(set.is_empty(), "{weak}");
    }
}

#[test]
fn a_credential_of_ours_survives_its_token_and_nobody_else_makes_one() {
    use credential::{Basis, Credential, Mint, Via};
    use policies::{ids, usage::Principal};

    let mint = Mint::new(Ed25519KeyPair::generate().unwrap());
    let credential = Credential {
        org: ids::OrgId::from_bytes([1; 16]),
        principal: Principal::User(ids::UserId::from_bytes([2; 16])),
        project: Some(ids::ProjectId::from_bytes([3; 16])),
        via: Via::Provider(ids::IdentityProviderId::from_bytes([4; 16])),
        basis: Basis::of_person("https://idp.example", "ada"),
        issued: NOW,
        expires: NOW.plus_millis(60_000),
    };
    let token = mint.issue(&credential).unwrap();

    assert_eq!(mint.read(&token, NOW), Ok(credential));
    assert_eq!(mint.read(&token, NOW.plus_millis(65_000)), Err(Rejected::Expired));
    let other = Mint::new(Ed25519KeyPair::generate().unwrap());
    assert_eq!(other.read(&token, NOW), Err(Rejected::UnknownKey));
    let machine = Credential {
        principal: Principal::ServiceAccount(ids::ServiceAccountId::from_bytes([5; 16])),
        project: None,
        via: Via::Workload(ids::WorkloadIdentityId::from_bytes([6; 16])),
        ..credential
    };
    assert_eq!(mint.read(&mint.issue(&machine).unwrap(), NOW), Ok(machine));
}

#[test]
fn public_keys_are_read_from_pem() {
    let pem = |der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    };
    let ed = Ed25519KeyPair::generate().unwrap();
    let der: PublicKeyX509Der<'_> = ed.public_key().as_der().unwrap();
    let key = jwks::Key::from_pem(&pem(der.as_ref())).unwrap();
    assert!(key.is_for(jsonwebtoken::Algorithm::EdDSA));
    assert!(!key.is_for(jsonwebtoken::Algorithm::RS256));

    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = ec.public_key().as_der().unwrap();
    let key = jwks::Key::from_pem(&pem(der.as_ref())).unwrap();
    assert!(key.is_for(jsonwebtoken::Algorithm::ES256));

    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: PublicKeyX509Der<'_> = rsa.public_key().as_der().unwrap();
    let key = jwks::Key::from_pem(&pem(der.as_ref())).unwrap();
    assert!(key.is_for(jsonwebtoken::Algorithm::RS256));

    for wrong in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert!(jwks::Key::from_pem(wrong).is_none(), "{wrong}");
    }
}
