//! Makes the automata of the detectors from the table of their rules, so that no start of the
//! program has to: it takes a fifth of a second and many times their size in memory.

use regex_automata::{
    dfa::{StartKind, dense, regex::Regex},
    nfa::thompson,
    util::syntax,
};
use std::{env, error::Error, fs, path::Path};

/// Bytes that one automaton may have; more cannot come about but by a change of the rules.
const AUTOMATON_BYTES_MAX: usize = 8 * 1024 * 1024;

const TABLE: &str = "src/data/detect/rules.in";
const WORD_BEGINS: &str = r"\b";

macro_rules! rules {
    ($($id:literal $label:literal $weight:ident $check:path,
        $mark:literal $(=> $($rest:literal),+)?;)*) => {
        &[$(($mark, concat!($mark $($(, $rest)+)?)),)*]
    };
}

/// Of each rule its mark, and its whole pattern.
const RULES: &[(&str, &str)] = include!("src/data/detect/rules.in");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={TABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let bytes = syntax::Config::new().unicode(false).utf8(false);
    let any_bytes = thompson::Config::new().utf8(false);
    let bounded = dense::Config::new()
        .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .determinize_size_limit(Some(2 * AUTOMATON_BYTES_MAX));
    let marks = Regex::builder()
        .dense(bounded.clone().start_kind(StartKind::Unanchored))
        .syntax(bytes)
        .thompson(any_bytes.clone())
        .build(&marks())?;
    let patterns: Vec<&str> = RULES.iter().map(|(_, pattern)| *pattern).collect();
    let patterns = dense::Builder::new()
        .configure(bounded.start_kind(StartKind::Anchored))
        .syntax(bytes)
        .thompson(any_bytes)
        .build_many(&patterns)?;
    write("marks", marks.forward())?;
    write("marks_reverse", marks.reverse())?;
    write("patterns", &patterns)
}

/// All marks as one pattern. What they have in common is written once, which halves the work of
/// building the automaton.
fn marks() -> String {
    let (mut words, mut others) = (Vec::new(), Vec::new());
    for (mark, _) in RULES {
        match mark.strip_prefix(WORD_BEGINS) {
            Some(mark) => words.push(mark),
            None => others.push(*mark),
        }
    }
    format!("{WORD_BEGINS}(?:{})|{}", words.join("|"), others.join("|"))
}

#[expect(clippy::disallowed_methods, reason = "cargo tells a build so")]
fn write(name: &str, automaton: &dense::DFA<Vec<u32>>) -> Result<(), Box<dyn Error>> {
    // The padding is for readers that cannot place the bytes as they need.
    let (bytes, padding) = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => automaton.to_bytes_big_endian(),
        _ => automaton.to_bytes_little_endian(),
    };
    let path = Path::new(&env::var("OUT_DIR")?).join(format!("{name}.dfa"));
    Ok(fs::write(path, bytes.get(padding..).unwrap_or_default())?)
}
