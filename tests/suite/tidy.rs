//! The house rules that a machine can keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// A thing with no home is a thing not yet understood.
const NAMES_BANNED: &[&str] =
    &["utils", "util", "helpers", "common", "misc", "core", "manager", "types", "prelude"];

/// For each crate, the crates of this house that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("policies", &[]),
    ("gateway/dialects", &["policies"]),
    ("gateway/store", &["policies"]),
    ("admin", &["policies", "store"]),
    ("gateway", &["admin", "dialects", "policies", "store"]),
    ("tests", &["admin", "dialects", "gateway", "policies", "store"]),
];

/// The folders at the top: a new one is a decision.
const FOLDERS: &[&str] =
    &[".ci", ".git", "admin", "gateway", "helm", "penstock-demo", "policies", "target", "tests"];

/// Crates that only decide.
const PURE: &[&str] = &["policies", "gateway/dialects"];

/// Words that may not occur in them.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "SystemTime",
    "Instant::now",
    "std::env",
    "std::fs",
    "std::io::std",
    "std::process",
    "std::thread",
    "Mutex",
    "RwLock",
    "static mut",
    "thread_local",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "tokio",
    "hyper",
    "sqlx",
];

#[test]
fn every_source_file_keeps_the_house_rules() {
    let mut faults = Vec::new();
    for path in all_rust_files() {
        inspect(&path, &read(&path), &mut faults);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let mut faults = Vec::new();
    for (krate, allowed) in ARROWS {
        let manifest = read(&root().join(krate).join("Cargo.toml"));
        for line in manifest.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let ours = ARROWS.iter().any(|(known, _)| known.rsplit('/').next() == Some(name));
            if ours && !allowed.contains(&name) {
                faults.push(format!("`{krate}` may not depend on `{name}`"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_workspace_has_the_crates_of_the_arrows_and_no_other() {
    let manifest = read(&root().join("Cargo.toml"));
    let line = manifest.lines().find(|line| line.starts_with("members")).unwrap();
    let mut members: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    let mut known: Vec<&str> = ARROWS.iter().map(|(krate, _)| *krate).collect();
    members.sort_unstable();
    known.sort_unstable();

    assert_eq!(members, known);
}

#[test]
fn crates_that_decide_touch_nothing() {
    let mut faults = Vec::new();
    for krate in PURE {
        let files = rust_files(&root().join(krate).join("src")).into_iter();
        let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
        for path in files.filter(|path| !is_test(path)) {
            for (index, line) in shipped(&read(&path)).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                    faults.push(format!("{}:{}: `{word}`", path.display(), index + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "in a pure crate:\n{}", faults.join("\n"));
}

#[test]
fn the_top_of_the_house_has_no_other_folder() {
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let known = FOLDERS.contains(&name.as_str());
        assert!(known || !entry.file_type().unwrap().is_dir(), "`{name}` is a new folder");
    }
}

#[test]
fn a_long_function_and_a_nameless_file_are_found() {
    let body = "        let a = 1;\n".repeat(FUNCTION_LINES_MAX);
    let text = format!(
        "use a;\nimpl A {{\n    pub fn long(\n        a: u8,\n    ) {{\n{body}    }}\n}}\n"
    );
    let mut faults = Vec::new();

    inspect(Path::new("src/utils.rs"), &text, &mut faults);

    let all = faults.join("\n");
    for fault in ["says nothing", "no opening sentence", ":3: more than 70 lines"] {
        assert!(all.contains(fault), "{fault} is not among\n{all}");
    }
}

fn inspect(path: &Path, text: &str, faults: &mut Vec<String>) {
    let mut fault = |line: usize, what: String| {
        faults.push(format!("{}:{line}: {what}", path.display()));
    };
    let lines = shipped(text).lines().count();
    if FILE_LINES_MAX < lines && !is_test(path) {
        fault(1, format!("{lines} lines: more than {FILE_LINES_MAX}"));
    }
    if !text.starts_with("//! ") {
        fault(1, "no opening sentence".to_owned());
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if NAMES_BANNED.contains(&stem) {
        fault(1, format!("`{stem}` says nothing"));
    }
    let mut function: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if LINE_COLUMNS_MAX < line.chars().count() && !line.contains('"') {
            fault(number, format!("more than {LINE_COLUMNS_MAX} columns"));
        }
        if line.contains("TODO") && !line.contains('#') && !path.ends_with("suite/tidy.rs") {
            fault(number, "a TODO without an issue number".to_owned());
        }
        match &function {
            None if begins_function(line) && !line.ends_with('}') && !line.ends_with(';') => {
                let indent = line.len() - line.trim_start().len();
                function = Some((number, format!("{}}}", " ".repeat(indent))));
            }
            Some((start, end)) if line == end || line == end.replace('}', ");") => {
                if FUNCTION_LINES_MAX < number - start + 1 {
                    fault(*start, format!("more than {FUNCTION_LINES_MAX} lines in a function"));
                }
                function = None;
            }
            None | Some(_) => (),
        }
    }
}

fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        word.starts_with("pub") || matches!(*word, "async" | "const" | "unsafe" | "in")
    });
    words.next() == Some("fn")
}

/// A file without the tests inside it.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// A file of nothing but one module's tests: it may be long, its functions may not.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.parent().is_some_and(|folder| folder.ends_with("tests"))
}

fn all_rust_files() -> Vec<PathBuf> {
    let sources = ARROWS.iter().map(|(krate, _)| root().join(krate).join("src"));
    let suites = ["suite", "bench"].map(|folder| root().join("tests").join(folder));
    let folders = sources.chain(suites).filter(|folder| folder.is_dir());
    folders.flat_map(|folder| rust_files(&folder)).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| format!("{}: {fault}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}
