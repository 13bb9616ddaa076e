//! The pages of the manual, compiled in, so that a site without internet has them.

/// Markdown by page name.
pub const PAGES: &[(&str, &str)] = &[
    ("administration", include_str!("../manual/administration.md")),
    ("apply", include_str!("../manual/apply.md")),
    ("apply.schema.json", include_str!("../manual/apply.schema.json")),
    ("audit", include_str!("../manual/audit.md")),
    ("callers", include_str!("../manual/callers.md")),
    ("money", include_str!("../manual/money.md")),
    ("openapi.json", include_str!("../manual/openapi.json")),
    ("organization-api", include_str!("../manual/organization-api.md")),
    ("scim", include_str!("../manual/scim.md")),
    ("secrets", include_str!("../manual/secrets.md")),
    ("sign-in", include_str!("../manual/sign-in.md")),
    ("usage", include_str!("../manual/usage.md")),
];

/// Name and title of each page: of Markdown its first heading, else the name.
pub fn contents() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.iter().map(|(name, text)| {
        let title = match *name {
            "apply.schema.json" => Some("JSON schema of the settings"),
            "openapi.json" => Some("OpenAPI document of the administration API"),
            _ => text.lines().find_map(|line| line.strip_prefix("# ")),
        };
        (*name, title.unwrap_or(name))
    })
}

pub fn page(name: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn every_file_of_the_manual_is_a_page() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manual");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files
            .map(|name| name.into_string().unwrap())
            .map(|name| name.strip_suffix(".md").unwrap_or(&name).to_owned())
            .collect();
        names.sort();

        let pages: Vec<&str> = PAGES.iter().map(|(name, _)| *name).collect();

        assert_eq!(pages, names);
    }
}
