//! From the text of a filter, or of the path of a PATCH, to what it means.

use super::{
    super::attribute::{Keeping, Named, Resource, is_name},
    FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX, Filter, Left, Operator, Test,
};
use serde_json::Value;

/// Where a change of PATCH applies (RFC 7644, section 3.5.2).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api::scim) struct Path {
    pub(in crate::api::scim) named: Named,
    pub(in crate::api::scim) filter: Option<Filter>,
    pub(in crate::api::scim) sub: Option<String>,
}

/// Reads a filter over resources.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub(in crate::api::scim) fn filter(resource: Resource, text: &str) -> Result<Filter, String> {
    let mut reading = Reading::new(resource, text)?;
    let filter = reading.any(Inside::Resource)?;
    reading.end()?;
    Ok(filter)
}

/// Reads a path: `userName`, `emails.value`, `members[value eq "..."]`, `emails[..].value`.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub(in crate::api::scim) fn path(resource: Resource, text: &str) -> Result<Path, String> {
    let mut reading = Reading::new(resource, text)?;
    let word = reading.word()?;
    let (named, sub) =
        resource.named(&word).ok_or_else(|| format!("there is no attribute `{word}`"))?;
    let mut path = Path { named, filter: None, sub: sub.map(str::to_owned) };
    if path.sub.is_none() && reading.takes(&Token::OpenBracket) {
        path.filter = Some(reading.within()?);
        path.sub = reading.below()?;
    }
    reading.end()?;
    if let Named::Ours(it) = named {
        let bare = path.filter.is_none() && path.sub.is_none();
        if it.keeping == Keeping::Kept && !it.many && !bare {
            return Err(format!("`{}` has nothing below it", it.name));
        }
    }
    Ok(path)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Word(String),
    Text(String),
}

/// Whose attributes are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Resource,
    /// An element of a list.
    Element,
}

struct Reading {
    resource: Resource,
    /// In reverse, so that the next is the last.
    tokens: Vec<Token>,
    depth: usize,
    terms: usize,
}

impl Reading {
    fn new(resource: Resource, text: &str) -> Result<Self, String> {
        if FILTER_BYTES_MAX < text.len() {
            return Err(format!("longer than {FILTER_BYTES_MAX} bytes"));
        }
        let mut tokens = tokens(text)?;
        tokens.reverse();
        Ok(Self { resource, tokens, depth: 0, terms: 0 })
    }

    fn any(&mut self, inside: Inside) -> Result<Filter, String> {
        let mut parts = vec![self.all(inside)?];
        while self.takes_word("or") {
            parts.push(self.all(inside)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self, inside: Inside) -> Result<Filter, String> {
        let mut parts = vec![self.one(inside)?];
        while self.takes_word("and") {
            parts.push(self.one(inside)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self, inside: Inside) -> Result<Filter, String> {
        if self.takes(&Token::Open) {
            return self.group(inside);
        }
        let word = self.word()?;
        if word.eq_ignore_ascii_case("not") && self.takes(&Token::Open) {
            return Ok(Filter::Not(Box::new(self.group(inside)?)));
        }
        self.terms += 1;
        if FILTER_TERMS_MAX < self.terms {
            return Err(format!("more than {FILTER_TERMS_MAX} comparisons"));
        }
        let left = self.left(&word, inside)?;
        if inside == Inside::Resource && left.sub.is_none() && self.takes(&Token::OpenBracket) {
            let part = Box::new(self.within()?);
            let then = match self.below()? {
                Some(sub) => Some((sub, self.test()?)),
                None => None,
            };
            return Ok(Filter::Within(left.name, part, then));
        }
        Ok(Filter::Is(left, self.test()?))
    }

    /// What is in parentheses, behind the first one.
    fn group(&mut self, inside: Inside) -> Result<Filter, String> {
        self.deeper()?;
        let filter = self.any(inside)?;
        self.depth -= 1;
        match self.takes(&Token::Close) {
            true => Ok(filter),
            false => Err("`)` is missing".to_owned()),
        }
    }

    /// What is in brackets, behind the first one.
    fn within(&mut self) -> Result<Filter, String> {
        self.deeper()?;
        let filter = self.any(Inside::Element)?;
        self.depth -= 1;
        match self.takes(&Token::CloseBracket) {
            true => Ok(filter),
            false => Err("`]` is missing".to_owned()),
        }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        match self.depth <= FILTER_DEPTH_MAX {
            true => Ok(()),
            false => Err(format!("deeper than {FILTER_DEPTH_MAX}")),
        }
    }

    /// `.value` behind brackets.
    fn below(&mut self) -> Result<Option<String>, String> {
        let Some(Token::Word(word)) = self.tokens.last() else { return Ok(None) };
        let Some(sub) = word.strip_prefix('.') else { return Ok(None) };
        let sub = sub.to_owned();
        self.tokens.pop();
        match is_name(&sub) {
            true => Ok(Some(sub)),
            false => Err(format!("`{sub}` is no name")),
        }
    }

    fn left(&self, word: &str, inside: Inside) -> Result<Left, String> {
        let unknown = || format!("there is no attribute `{word}`");
        match inside {
            Inside::Element if is_name(word) => Ok(Left { name: word.to_owned(), sub: None }),
            Inside::Element => Err(unknown()),
            Inside::Resource => {
                let (named, sub) = self.resource.named(word).ok_or_else(unknown)?;
                let name = match named {
                    Named::Ours(it) => it.name,
                    // No resource has it.
                    Named::Foreign => word,
                };
                Ok(Left { name: name.to_owned(), sub: sub.map(str::to_owned) })
            }
        }
    }

    fn test(&mut self) -> Result<Test, String> {
        let word = self.word()?;
        let operator = match word.to_ascii_lowercase().as_str() {
            "pr" => return Ok(Test::Present),
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "co" => Operator::Co,
            "sw" => Operator::Sw,
            "ew" => Operator::Ew,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            _ => return Err(format!("there is no operator `{word}`")),
        };
        let value = self.value()?;
        let fits = match operator {
            Operator::Eq | Operator::Ne => true,
            Operator::Co | Operator::Sw | Operator::Ew => value.is_string(),
            Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
                value.is_string() || value.is_number()
            }
        };
        match fits {
            true => Ok(Test::Compare(operator, value)),
            false => Err(format!("`{word}` does not compare with this value")),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.tokens.pop() {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => {
                let lower = word.to_ascii_lowercase();
                let value = serde_json::from_str::<Value>(&lower).ok().filter(|it| !it.is_object());
                value.ok_or_else(|| format!("`{word}` is no value: texts stand in quotes"))
            }
            Some(Token::Open | Token::Close | Token::OpenBracket | Token::CloseBracket) | None => {
                Err("a value is missing".to_owned())
            }
        }
    }

    fn word(&mut self) -> Result<String, String> {
        match self.tokens.pop() {
            Some(Token::Word(word)) => Ok(word),
            Some(
                Token::Text(_)
                | Token::Open
                | Token::Close
                | Token::OpenBracket
                | Token::CloseBracket,
            )
            | None => Err("a name or an operator is missing".to_owned()),
        }
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.tokens.last() == Some(token);
        if found {
            self.tokens.pop();
        }
        found
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let next = self.tokens.last();
        let found = matches!(next, Some(Token::Word(it)) if it.eq_ignore_ascii_case(wanted));
        if found {
            self.tokens.pop();
        }
        found
    }

    fn end(&self) -> Result<(), String> {
        match self.tokens.is_empty() {
            true => Ok(()),
            false => Err("something is behind its end".to_owned()),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenBracket, 1),
            ']' => (Token::CloseBracket, 1),
            '"' => quoted(rest)?,
            _ => {
                let ends = |char: char| char.is_whitespace() || "()[]\"".contains(char);
                let length = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(rest.get(..length).unwrap_or(rest).to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

/// A text in quotes, as in JSON, at the beginning of `rest`; and its bytes.
fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, char)| {
        let ends = *char == '"' && !escaped;
        escaped = *char == '\\' && !escaped;
        ends
    });
    let length = end.map(|(at, _)| at + 1).ok_or("a quote is missing")?;
    let text = serde_json::from_str(rest.get(..length).unwrap_or_default());
    text.map(|text| (Token::Text(text), length)).map_err(|_| "a text is not as in JSON".to_owned())
}
