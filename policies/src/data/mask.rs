//! Replaces findings by markers that a reader understands.

use crate::data::detect::Finding;

/// `text` with each finding replaced by `[masked:<label>]`.
///
/// Expects findings of this very text as [`crate::data::detect::Detectors::scan`] gives them:
/// in order, or some of them; of several for one span the first names the marker. A span that does
/// not fit the text masks everything after the last good one, because showing too little is the
/// safe mistake.
pub fn mask(text: &str, findings: &[Finding]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut shown = 0;
    let mut last = None;
    for finding in findings {
        if last.replace(&finding.span) == Some(&finding.span) {
            continue;
        }
        let between = text.get(shown..finding.span.start);
        let Some(between) = between.filter(|_| text.get(finding.span.clone()).is_some()) else {
            push_marker(&mut masked, finding.label);
            return masked;
        };
        masked.push_str(between);
        push_marker(&mut masked, finding.label);
        shown = finding.span.end;
    }
    masked.push_str(text.get(shown..).unwrap_or_default());
    masked
}

fn push_marker(masked: &mut String, label: &str) {
    masked.push_str("[masked:");
    masked.push_str(label);
    masked.push(']');
}

#[cfg(test)]
mod tests {
    use super::mask;
    use crate::data::detect::Finding;

    fn finding(label: &'static str, span: std::ops::Range<usize>) -> Finding {
        Finding { rule: "card", label, span }
    }

    #[test]
    fn each_finding_becomes_a_marker_and_the_rest_stays() {
        let findings = [finding("pci.card", 4..8), finding("secret.token", 10..12)];

        let masked = mask("pay 4111, kk é", &findings);

        assert_eq!(masked, "pay [masked:pci.card], [masked:secret.token] é");
    }

    #[test]
    fn a_span_with_several_labels_has_one_marker_of_the_first() {
        let findings = [finding("secret.github", 4..8), finding("secret.password", 4..8)];

        assert_eq!(mask("pay 4111, ok", &findings), "pay [masked:secret.github], ok");
    }

    #[test]
    fn a_text_without_findings_is_unchanged() {
        assert_eq!(mask("nothing here", &[]), "nothing here");
    }

    #[test]
    fn a_span_that_does_not_fit_hides_the_rest() {
        let cut_in_a_character = [finding("pci.card", 5..6)];

        assert_eq!(mask("cafés 4111", &[finding("pci.card", 4..99)]), "[masked:pci.card]");
        assert_eq!(mask("a cafés 41", &cut_in_a_character), "[masked:pci.card]");
    }
}
