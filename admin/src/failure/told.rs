//! How fields and parameters are told.

use super::Invalid;

/// `members[0].role` as `/members/0/role`; the body as a whole is empty either way.
pub(super) fn pointer(path: &str) -> String {
    let escaped = path.replace('~', "~0").replace('/', "~1");
    let segments = escaped.split(['.', '[']).map(|segment| segment.trim_end_matches(']'));
    segments.filter(|segment| !segment.is_empty()).map(|segment| format!("/{segment}")).collect()
}

/// What is wrong with a parameter that is none of these.
pub(super) fn parameters(known: &[&str]) -> String {
    match known {
        [] => "this route has no query parameters".to_owned(),
        known => format!("unknown query parameter; known are {}", known.join(", ")),
    }
}

/// All mistakes in one line.
pub(super) fn lines(mistakes: &[Invalid]) -> String {
    let line = |it: &Invalid| format!("{}: {}", it.field, it.message);
    mistakes.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn a_path_becomes_a_pointer_into_the_body() {
        assert_eq!(pointer("members[0].who.user"), "/members/0/who/user");
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
        assert_eq!(pointer(""), "");
    }
}
