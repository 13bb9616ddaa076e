//! The binary form of what the journal tells: a field after the other, without names.
//!
//! Numbers are LEB128 of seven bits a byte, signed ones in zigzag order first; ids are their 16
//! bytes; texts and lists begin with their length; a closed set is told by its word, which never
//! changes. A change of any field is a change of [`super::file::VERSION`].

use policies::{
    budget::Pot,
    data::{Flow, Level},
    ids::{
        BootId, BudgetId, DeploymentId, JournalId, KeyId, OrgId, PriceId, ProjectId, RequestId,
        Revision, ServiceAccountId, UnitId, UserId,
    },
    money::NanoUsd,
    time::{Span, Timestamp},
    usage::{Decision, Ending, Leg, Outcome, Principal, Source, Stamp, Surface, Tokens, Verdict},
};
use std::collections::{BTreeMap, BTreeSet};

/// Bits of a number in one byte; the eighth says that more follow.
const DIGIT_BITS: u32 = 7;
const MORE: u8 = 0x80;

/// Bytes that are not what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the {0} that was expected")]
pub(super) struct Unread(pub(super) &'static str);

/// Something with a binary form.
pub(super) trait Code: Sized {
    fn put(&self, into: &mut Vec<u8>);
    /// Takes it from the front of `from`.
    fn take(from: &mut &[u8]) -> Result<Self, Unread>;
}

pub(super) fn put_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    put_count(bytes.len(), into);
    into.extend_from_slice(bytes);
}

pub(super) fn take_bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Unread> {
    let count = usize::try_from(u64::take(from)?).map_err(|_| Unread("length"))?;
    let (bytes, rest) = from.split_at_checked(count).ok_or(Unread("text"))?;
    *from = rest;
    Ok(bytes)
}

fn put_count(count: usize, into: &mut Vec<u8>) {
    u64::try_from(count).unwrap_or(u64::MAX).put(into);
}

impl Code for u64 {
    fn put(&self, into: &mut Vec<u8>) {
        let mut left = *self;
        while u64::from(MORE) <= left {
            into.push(MORE | (left & u64::from(MORE - 1)).to_le_bytes()[0]);
            left >>= DIGIT_BITS;
        }
        into.push(left.to_le_bytes()[0]);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = from.split_first().ok_or(Unread("number"))?;
            *from = rest;
            let digit = Self::from(byte & (MORE - 1));
            let shifted = digit.checked_shl(shift).filter(|it| it >> shift == digit);
            number |= shifted.ok_or(Unread("number"))?;
            if byte & MORE == 0 {
                return Ok(number);
            }
            shift += DIGIT_BITS;
        }
    }
}

impl Code for i64 {
    fn put(&self, into: &mut Vec<u8>) {
        ((self << 1) ^ (self >> (Self::BITS - 1))).cast_unsigned().put(into);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        let zigzag = u64::take(from)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }
}

impl Code for u32 {
    fn put(&self, into: &mut Vec<u8>) {
        u64::from(*self).put(into);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        Self::try_from(u64::take(from)?).map_err(|_| Unread("number"))
    }
}

impl Code for bool {
    fn put(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        match u64::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unread("yes or no")),
        }
    }
}

impl Code for String {
    fn put(&self, into: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), into);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        let text = std::str::from_utf8(take_bytes(from)?).map_err(|_| Unread("text"))?;
        Ok(text.to_owned())
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, into: &mut Vec<u8>) {
        self.is_some().put(into);
        if let Some(it) = self {
            it.put(into);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<A: Code, B: Code> Code for (A, B) {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.put(into);
        self.1.put(into);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<T: Code> Code for Vec<T> {
    fn put(&self, into: &mut Vec<u8>) {
        put_count(self.len(), into);
        self.iter().for_each(|it| it.put(into));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        let count = u64::take(from)?;
        (0..count).map(|_| T::take(from)).collect()
    }
}

impl Code for BTreeSet<String> {
    fn put(&self, into: &mut Vec<u8>) {
        put_count(self.len(), into);
        self.iter().for_each(|it| it.put(into));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        Ok(Vec::take(from)?.into_iter().collect())
    }
}

impl<T: Code> Code for BTreeMap<String, T> {
    fn put(&self, into: &mut Vec<u8>) {
        put_count(self.len(), into);
        for (name, it) in self {
            name.put(into);
            it.put(into);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        Ok(Vec::take(from)?.into_iter().collect())
    }
}

macro_rules! ids {
    ($($name:ident)*) => {
        $(impl Code for $name {
            fn put(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(self.as_bytes());
            }

            fn take(from: &mut &[u8]) -> Result<Self, Unread> {
                let (bytes, rest) = from.split_first_chunk().ok_or(Unread("id"))?;
                *from = rest;
                Ok(Self::from_bytes(*bytes))
            }
        })*
    };
}

ids! {
    BootId BudgetId DeploymentId JournalId KeyId OrgId PriceId ProjectId RequestId
    ServiceAccountId UnitId UserId
}

macro_rules! numbers {
    ($($name:ident)*) => {
        $(impl Code for $name {
            fn put(&self, into: &mut Vec<u8>) {
                self.0.put(into);
            }

            fn take(from: &mut &[u8]) -> Result<Self, Unread> {
                Code::take(from).map(Self)
            }
        })*
    };
}

numbers! { NanoUsd Revision Timestamp }

macro_rules! words {
    ($($name:ident)*) => {
        $(impl Code for $name {
            fn put(&self, into: &mut Vec<u8>) {
                put_bytes(self.word().as_bytes(), into);
            }

            fn take(from: &mut &[u8]) -> Result<Self, Unread> {
                let word = std::str::from_utf8(take_bytes(from)?).ok();
                word.and_then(Self::from_word).ok_or(Unread("word"))
            }
        })*
    };
}

words! { Leg Level Outcome Source Surface Verdict }

/// Every field, in the order in which it is listed; one that is forgotten does not compile.
macro_rules! fields {
    ($($name:ident { $($field:ident)* })*) => {
        $(impl Code for $name {
            fn put(&self, into: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(into);)*
            }

            fn take(from: &mut &[u8]) -> Result<Self, Unread> {
                Ok(Self { $($field: Code::take(from)?),* })
            }
        })*
    };
}

pub(super) use fields;

fields! {
    Span { starts ends }
    Pot { budget span }
    Tokens { input cache_read cache_write output reasoning audio_in audio_out image }
    Stamp {
        org request attempt logical_request leg unit_path project cost_centre tags principal
        acted_for key end_user_hash session_hash task_hash request_class client_request_id surface
        stream model tier deployment upstream_model price revision boot chain hold admitted_at
        queue_millis
    }
    Ending {
        outcome source tokens cost lines counted overrun finish_reason flaw first_byte_millis
        total_millis ended_at
    }
    Flow { floor caller labels }
    Decision {
        org request at project principal key surface model verdict refusal flow candidates masked
        revision
    }
}

const USER: u8 = 1;
const SERVICE_ACCOUNT: u8 = 2;

impl Code for Principal {
    fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::User(id) => {
                into.push(USER);
                id.put(into);
            }
            Self::ServiceAccount(id) => {
                into.push(SERVICE_ACCOUNT);
                id.put(into);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Unread> {
        let (&kind, rest) = from.split_first().ok_or(Unread("principal"))?;
        *from = rest;
        match kind {
            USER => Code::take(from).map(Self::User),
            SERVICE_ACCOUNT => Code::take(from).map(Self::ServiceAccount),
            _ => Err(Unread("principal")),
        }
    }
}
