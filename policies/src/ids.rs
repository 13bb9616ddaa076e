//! Names of things, one type for each kind of thing.
//!
//! An id is 16 bytes (a UUIDv7, RFC 9562 section 5.7) with a readable prefix for its kind:
//! `org_0192f3c1a7b27c5e8d3f6a1b2c3d4e5f`. Ids are made outside this crate and never change.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind: expected `{prefix}_` and 32 hexadecimal digits")]
pub struct NotAnId {
    pub prefix: &'static str,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn parse(text: &str, prefix: &'static str) -> Result<[u8; 16], NotAnId> {
    let fault = NotAnId { prefix };
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(fault)?;
    if hex.len() != 32 || !hex.bytes().all(|byte| HEX.contains(&byte)) {
        return Err(fault);
    }
    u128::from_str_radix(hex, 16).map(u128::to_be_bytes).map_err(|_| fault)
}

/// Bytes of an id's text, at most: the longest prefix, `_`, 32 digits.
const TEXT_BYTES_MAX: usize = 40;

/// Hands on the text of an id, written without allocation: ids are in every row and header.
fn with_text<T>(prefix: &str, bytes: &[u8; 16], hand_on: impl FnOnce(&str) -> T) -> T {
    let mut text = [0; TEXT_BYTES_MAX];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
    let all = prefix.bytes().chain([b'_']).chain(digits);
    let length = text.iter_mut().zip(all).map(|(place, byte)| *place = byte).count();
    let written = text.get(..length).and_then(|text| std::str::from_utf8(text).ok());
    hand_on(written.unwrap_or_default())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
            #[schemars(with = "String")]
            pub struct $name([u8; 16]);

            impl $name {
                pub const PREFIX: &'static str = $prefix;

                pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                    Self(bytes)
                }

                pub const fn as_bytes(&self) -> &[u8; 16] {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    with_text($prefix, &self.0, |text| formatter.pad(text))
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, formatter)
                }
            }

            impl FromStr for $name {
                type Err = NotAnId;

                fn from_str(text: &str) -> Result<Self, NotAnId> {
                    parse(text, $prefix).map(Self)
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    with_text($prefix, &self.0, |text| serializer.serialize_str(text))
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Text;

                    impl serde::de::Visitor<'_> for Text {
                        type Value = $name;

                        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                            formatter.write_str(concat!("an id that begins with `", $prefix, "_`"))
                        }

                        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                            text.parse().map_err(E::custom)
                        }
                    }

                    deserializer.deserialize_str(Text)
                }
            }
        )*
    };
}

ids! {
    /// A tenant: the boundary that no data may cross.
    OrgId = "org";
    /// A node of the tree between org and project.
    UnitId = "unit";
    /// A workspace in a unit.
    ProjectId = "proj";
    UserId = "user";
    GroupId = "group";
    ServiceAccountId = "sa";
    /// One API key, as it is named in logs (never the secret itself).
    KeyId = "key";
    /// A role of an org's own.
    RoleId = "role";
    /// An OpenID provider that an org trusts.
    IdentityProviderId = "idp";
    /// A rule by which machines trade a token of their platform for one of ours.
    WorkloadIdentityId = "wid";
    /// A credential for administration.
    AdminKeyId = "akey";
    InviteId = "invite";
    LimitRequestId = "lreq";
    /// A connection to a model vendor or server.
    ProviderId = "prov";
    /// Provider x upstream model x region, with price, capacity and clearance.
    DeploymentId = "dep";
    TierId = "tier";
    /// A name that callers use.
    ModelId = "model";
    PriceId = "price";
    LimitId = "limit";
    BudgetId = "budget";
    PolicyId = "policy";
    /// One request, from arrival to settled bill. Made by us, never taken from a caller.
    RequestId = "req";
    /// One incarnation of a replica, from process start to process end.
    BootId = "boot";
    /// One journal file.
    JournalId = "jrnl";
}

/// The state of an org's settings: 0 before the first change, then one more for each change.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = OrgId::from_bytes([7; 16]);

        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string(), format!("org_{}", "07".repeat(16)));
    }

    #[test]
    fn an_id_of_another_kind_is_not_one_of_this_kind() {
        for text in ["", "org_", "key_00", &format!("key_{}", "0".repeat(32)), "org_+1"] {
            assert!(text.parse::<OrgId>().is_err(), "{text}");
        }
        assert!(format!("org_{}", "A".repeat(32)).parse::<OrgId>().is_err(), "one spelling only");
    }
}
