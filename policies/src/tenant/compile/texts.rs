//! Free text that ends in records, headers and refusals: bounded, and printable.

use super::Reading;
use crate::document::Document;

/// Characters of a cost centre or the key of a tag, at most.
const WORD_CHARS_MAX: usize = 128;
/// Characters of what a refused caller is told of support, at most.
const SUPPORT_CHARS_MAX: usize = 512;

impl Reading<'_> {
    pub(super) fn check_texts(&mut self) {
        for object in self.objects {
            let at = &object.document;
            match at {
                Document::Org(it) => {
                    self.check_text(at, "support", it.support.as_deref(), SUPPORT_CHARS_MAX);
                }
                Document::Unit(it) => {
                    self.check_text(at, "cost_centre", it.cost_centre.as_deref(), WORD_CHARS_MAX);
                }
                Document::Project(it) => {
                    self.check_text(at, "cost_centre", it.cost_centre.as_deref(), WORD_CHARS_MAX);
                    it.tags.iter().for_each(|key| self.check_tag(at, key));
                }
                Document::Role(it) => {
                    self.check_text(
                        at,
                        "description",
                        it.description.as_deref(),
                        SUPPORT_CHARS_MAX,
                    );
                }
                Document::LimitRequest(it) => {
                    self.check_text(at, "reason", Some(&it.reason), SUPPORT_CHARS_MAX);
                }
                Document::User(it) => {
                    self.check_text(at, "email", it.email.as_deref(), SUPPORT_CHARS_MAX);
                    self.check_text(at, "display_name", it.display_name.as_deref(), WORD_CHARS_MAX);
                    self.check_text(at, "external_id", it.external_id.as_deref(), WORD_CHARS_MAX);
                }
                Document::Group(it) => {
                    self.check_text(at, "claim", it.claim.as_deref(), SUPPORT_CHARS_MAX);
                    self.check_text(at, "external_id", it.external_id.as_deref(), WORD_CHARS_MAX);
                }
                Document::ServiceAccount(_)
                | Document::IdentityProvider(_)
                | Document::WorkloadIdentity(_)
                | Document::AdminKey(_)
                | Document::Invite(_)
                | Document::Key(_)
                | Document::Provider(_)
                | Document::Deployment(_)
                | Document::Tier(_)
                | Document::Model(_)
                | Document::Price(_)
                | Document::Limit(_)
                | Document::Budget(_)
                | Document::Policy(_) => {}
            }
        }
    }

    /// A key that could not be written in `x-penstock-tags` is a mistake too.
    fn check_tag(&mut self, at: &Document, key: &str) {
        self.check_text(at, "tags", Some(key), WORD_CHARS_MAX);
        if key.is_empty() || key.trim() != key || key.contains(['=', ',']) {
            let message = "a key is empty, or has `=`, `,` or white space around it";
            self.mistake(at, "tags", message);
        }
    }

    fn check_text(&mut self, at: &Document, field: &str, text: Option<&str>, chars_max: usize) {
        let text = text.unwrap_or_default();
        if chars_max < text.chars().count() {
            self.mistake(at, field, format!("must have at most {chars_max} characters"));
        }
        if text.chars().any(char::is_control) {
            self.mistake(at, field, "has control characters");
        }
    }
}
