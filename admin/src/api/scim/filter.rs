//! Filters (RFC 7644, section 3.4.2.2): read within bounds, then held against a resource.

mod parse;
#[cfg(test)]
mod tests;

pub(super) use self::parse::{Path, filter, path};

use super::attribute::get;
use policies::time::Timestamp;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Bytes of a filter or path, at most.
pub(super) const FILTER_BYTES_MAX: usize = 4_096;
/// Parentheses and brackets within each other, at most.
pub(super) const FILTER_DEPTH_MAX: usize = 16;
/// Comparisons in one filter, at most.
pub(super) const FILTER_TERMS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Is(Left, Test),
    /// `emails[type eq "work"]`: an element for which the filter holds and, if it is asked for, what
    /// is below it.
    Within(String, Box<Filter>, Option<(String, Test)>),
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) name: String,
    pub(super) sub: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Present,
    Compare(Operator, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Filter {
    pub(super) fn matches(&self, fields: &Map<String, Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(fields)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(fields)),
            Self::Not(part) => !part.matches(fields),
            Self::Is(left, test) => {
                let exact = ["id", "externalId"].contains(&left.name.as_str());
                test.holds(&leaves(fields, left), exact)
            }
            Self::Within(name, part, then) => {
                let elements = elements(get(fields, name));
                let mut hits = elements.filter(|it| part.matches(it));
                match then {
                    None => hits.next().is_some(),
                    Some((sub, test)) => {
                        let found: Vec<&Value> = hits.filter_map(|it| get(it, sub)).collect();
                        test.holds(&found, false)
                    }
                }
            }
        }
    }

    /// Whether it asks about this attribute.
    pub(super) fn mentions(&self, attribute: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|it| it.mentions(attribute)),
            Self::Not(part) => part.mentions(attribute),
            Self::Is(left, _) => left.name == attribute,
            Self::Within(name, _, _) => name == attribute,
        }
    }

    /// The least element for which the filter holds, if it says so by nothing but `eq`.
    pub(super) fn template(&self) -> Option<Map<String, Value>> {
        match self {
            Self::All(parts) => {
                let mut whole = Map::new();
                for part in parts {
                    whole.extend(part.template()?);
                }
                Some(whole)
            }
            Self::Is(Left { name, sub: None }, Test::Compare(Operator::Eq, value)) => {
                Some(Map::from_iter([(name.clone(), value.clone())]))
            }
            Self::Is(..) | Self::Any(_) | Self::Not(_) | Self::Within(..) => None,
        }
    }
}

/// The objects of a list.
fn elements(value: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// The values that a path leads to. A list of objects stands for their `value`s.
pub(super) fn leaves<'a>(fields: &'a Map<String, Value>, left: &Left) -> Vec<&'a Value> {
    let Some(value) = get(fields, &left.name) else { return Vec::new() };
    if let Value::Array(items) = value {
        let sub = left.sub.as_deref().unwrap_or("value");
        let below = |item: &'a Value| match item {
            Value::Object(it) => get(it, sub),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => left.sub.is_none().then_some(item),
        };
        return items.iter().filter_map(below).collect();
    }
    match (&left.sub, value) {
        (None, _) => vec![value],
        (Some(sub), Value::Object(it)) => get(it, sub).into_iter().collect(),
        (Some(_), _) => Vec::new(),
    }
}

impl Test {
    fn holds(&self, found: &[&Value], exact: bool) -> bool {
        match self {
            Self::Present => found.iter().any(|value| is_present(value)),
            Self::Compare(Operator::Eq, Value::Null) => !found.iter().any(|it| is_present(it)),
            Self::Compare(Operator::Ne, Value::Null) => found.iter().any(|it| is_present(it)),
            Self::Compare(Operator::Ne, wanted) => {
                !found.iter().any(|it| compare(Operator::Eq, it, wanted, exact))
            }
            Self::Compare(operator, wanted) => {
                found.iter().any(|it| compare(*operator, it, wanted, exact))
            }
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare(operator: Operator, actual: &Value, wanted: &Value, exact: bool) -> bool {
    if let (Value::String(actual), Value::String(wanted)) = (actual, wanted) {
        return texts(operator, actual, wanted, exact);
    }
    if let Value::Bool(actual) = actual {
        return operator == Operator::Eq && flag(wanted) == Some(*actual);
    }
    let (Some(actual), Some(wanted)) = (actual.as_f64(), wanted.as_f64()) else { return false };
    actual.partial_cmp(&wanted).is_some_and(|order| ordered(operator, order))
}

fn texts(operator: Operator, actual: &str, wanted: &str, exact: bool) -> bool {
    if operator == Operator::Eq && (exact || (actual.is_ascii() && wanted.is_ascii())) {
        // By far the most frequent, and held against each member of a group.
        let same = if exact { actual == wanted } else { actual.eq_ignore_ascii_case(wanted) };
        return same || moments(actual, wanted).is_some_and(Ordering::is_eq);
    }
    let fold = |text: &str| if exact { text.to_owned() } else { text.to_lowercase() };
    let (folded, sought) = (fold(actual), fold(wanted));
    match operator {
        Operator::Co => folded.contains(&sought),
        Operator::Sw => folded.starts_with(&sought),
        Operator::Ew => folded.ends_with(&sought),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            let order = moments(actual, wanted).unwrap_or_else(|| folded.cmp(&sought));
            ordered(operator, order)
        }
    }
}

/// The order of two texts that are both moments.
fn moments(actual: &str, wanted: &str) -> Option<Ordering> {
    let digit = |text: &str| text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    if !digit(actual) || !digit(wanted) {
        return None;
    }
    Some(Timestamp::parse(actual)?.cmp(&Timestamp::parse(wanted)?))
}

fn ordered(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

/// Yes or no, also as the text that Entra sends.
pub(super) fn flag(value: &Value) -> Option<bool> {
    let text = value.as_str().unwrap_or_default();
    match value {
        Value::Bool(it) => Some(*it),
        Value::String(_) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(_) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}
