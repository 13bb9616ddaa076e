//! What a caller declares, and how much masks can add.

use super::*;

fn declared(values: &[&'static str]) -> Result<Option<Level>, Refusal> {
    let values = values.iter().map(|value| (DATA_LEVEL, http::HeaderValue::from_static(value)));
    declared_level(&values.collect())
}

fn ask(body: &'static str) -> Ask {
    let body = Bytes::from_static(body.as_bytes());
    let (content, findings) =
        judge(&Detectors::builtin().unwrap(), Surface::Chat, &body).unwrap_or_else(|_| panic!());
    let mut flow = Flow::new(Level::Public);
    let labels = findings.iter().flat_map(|found| &found.findings);
    flow.labels.extend(labels.map(|finding| finding.label.to_owned()));
    let request = RequestId::from_bytes([1; 16]);
    let (marks, arrived) = (Marks::default(), store::clock::monotonic());
    Ask { request, surface: Surface::Chat, content, flow, findings, marks, arrived }
}

#[test]
fn of_several_declared_levels_the_highest_holds() {
    assert_eq!(declared(&[]).unwrap(), None);
    assert_eq!(declared(&["public", "restricted", "internal"]).unwrap(), Some(Level::Restricted));
    for wrong in [["restricted", "publik"], ["", "restricted"], ["public, restricted", "public"]] {
        assert!(declared(&wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_mask_that_is_longer_than_its_finding_counts_as_input() {
    let ask = ask(
        r#"{"model":"m","messages":[{"role":"user","content":"charge 4111111111111111 now"}]}"#,
    );
    let labels = ask.flow().labels.clone();
    assert_eq!(labels.len(), 1, "{labels:?}");

    let before = ask.body().len();
    let masked = dialects::json::splice(ask.body(), ask.masks(&labels)).unwrap();

    assert!(before < masked.len());
    assert_eq!(ask.mask_growth(&labels), i64::try_from(masked.len() - before).unwrap());
    assert_eq!(ask.mask_growth(&BTreeSet::new()), 0);
}

#[test]
fn keys_numbers_and_told_values_are_masked_and_the_document_stays_sound() {
    let ask = ask(r#"{"model":"4111111111111111","messages":[{"role":"user","content":"hi"}],
        "x":{"4111111111111111":1,"5555555555554444":2,"const":4111111111111111},
        "y":{"password":"hunter2-very-secret"}}"#);

    let edits = ask.masks(&ask.flow().labels);
    let mut edits: Vec<Edit> = edits.into_iter().chain([ask.set_model("m")]).collect();
    edits.reverse();
    let masked = dialects::json::splice(ask.body(), edits).unwrap();

    let value: serde_json::Value = serde_json::from_slice(&masked).unwrap();
    let expected = serde_json::json!({
        "[masked:pci.card]": 1, "[masked:pci.card]#2": 2, "const": "[masked:pci.card]",
    });
    assert_eq!((&value["x"], &value["model"]), (&expected, &serde_json::json!("m")));
    assert_eq!(value["y"]["password"], "[masked:secret.password]");
}
