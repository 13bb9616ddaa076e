//! What every kind of document has: a head, and fields with defaults.

/// A document struct: every one begins with its org's name, its own name and an optional pin.
macro_rules! document {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Pins the object, so that its name may change.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub id: Option<String>,
            /// The org that it belongs to, by name.
            pub org: String,
            pub name: String,
            /// Only files that are applied may change it; every other editor is refused.
            #[serde(default, skip_serializing_if = "crate::document::shape::is_false")]
            pub locked: bool,
            $($(#[$about])* pub $field: $type,)*
        }
    };
}

pub(super) fn utc() -> String {
    "UTC".to_owned()
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn output_default() -> i64 {
    4096
}

pub(super) fn bound_default() -> String {
    "max_completion_tokens".to_owned()
}

pub(super) const fn weight_default() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
