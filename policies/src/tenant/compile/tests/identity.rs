//! Names, claims and issuers by which one could pass for another.

use super::*;

#[test]
fn a_name_is_nobody_elses_id_and_not_the_installations() {
    let hex = "0".repeat(32);
    for (kind, prefix) in [("User", "org"), ("Group", "user"), ("Unit", "key")] {
        let line = format!(r#"{{"kind":"{kind}","org":"acme","name":"{prefix}_{hex}"}}"#);
        let told = mistakes(&[&line]).join("; ");
        assert!(told.contains("`name`: has the form of an id"), "{line}: {told}");
    }
    let told = mistakes(&[&format!(r#"{{"kind":"Org","name":"org_{hex}"}}"#)]).join("; ");
    assert!(told.contains("`name`: has the form of an id"), "{told}");
    let told = mistakes(&[r#"{"kind":"Org","name":"penstock"}"#]).join("; ");
    assert!(told.contains("is the name of the installation itself"), "{told}");
    let near = format!(r#"{{"kind":"User","org":"acme","name":"user_{}"}}"#, "0".repeat(31));
    assert_eq!(mistakes(&[&near]), Vec::<String>::new());
}

#[test]
fn a_claim_is_the_word_of_one_provider() {
    let provider = |name: &str, more: &str| {
        format!(
            r#"{{"kind":"IdentityProvider","org":"acme","name":"{name}",
                "issuer":"https://{name}.example","client_id":"c"{more}}}"#
        )
    };
    let group =
        |more: &str| format!(r#"{{"kind":"Group","org":"acme","name":"x","claim":"boss"{more}}}"#);
    let (a, b, quiet) = (provider("a", ""), provider("b", ""), provider("b", ",\"active\":false"));
    let (plain, named) = (group(""), group(r#","claim_provider":"a""#));
    let nobody = group(r#","claim_provider":"nobody""#);

    assert_eq!(mistakes(&[&a, &plain]), Vec::<String>::new());
    assert_eq!(mistakes(&[&a, &quiet, &plain]), Vec::<String>::new());
    assert_eq!(mistakes(&[&a, &b, &named]), Vec::<String>::new());
    assert_eq!(
        mistakes(&[&a, &b, &plain]),
        ["group `x`: `claim_provider`: must name whose word the claim is: `a`, `b`"]
    );
    assert_eq!(
        mistakes(&[&a, &nobody]),
        ["group `x`: `claim_provider`: there is no identity provider `nobody`"]
    );
}

#[test]
fn an_org_has_so_many_issuers_and_no_more() {
    let all: Vec<String> = (0..=64)
        .map(|at| {
            format!(
                r#"{{"kind":"IdentityProvider","org":"acme","name":"i{at}",
                    "issuer":"https://{at}.example","client_id":"c"}}"#
            )
        })
        .collect();
    let lines: Vec<&str> = all.iter().map(String::as_str).collect();

    assert_eq!(mistakes(&lines[..64]), Vec::<String>::new());
    let told = ["identity provider `i64`: `issuer`: an org has at most 64 issuers"];
    assert_eq!(mistakes(&lines), told);
}

#[test]
fn a_rule_names_what_tells_a_machine_from_others_of_its_issuer() {
    let account = r#"{"kind":"ServiceAccount","org":"acme","name":"s"}"#;
    let rule = |claims: &str| {
        let line = r#"{"kind":"WorkloadIdentity","org":"acme","name":"x",
            "issuer":"https://ci.example","audience":"us","claims":CLAIMS,"service_account":"s",
            "project":"p"}"#;
        line.replace("CLAIMS", claims)
    };
    let told =
        ["workload identity `x`: `claims`: must name more than every token of its issuer has"];

    for claims in [r#"{"iss":"https://ci.example"}"#, r#"{"iss":"https://ci.*","aud":"us"}"#] {
        assert_eq!(mistakes(&[account, &rule(claims)]), told, "{claims}");
    }
    let good = rule(r#"{"iss":"https://ci.example","sub":"repo:acme"}"#);
    assert_eq!(mistakes(&[account, &good]), Vec::<String>::new());
}
