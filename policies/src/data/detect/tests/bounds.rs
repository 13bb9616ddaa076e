//! What text that was made to be slow may cost.

use super::*;

#[test]
fn only_the_value_of_a_card_row_counts_however_long_the_row() {
    let number = card("4539", 16);
    let rows = format!("{number} ").repeat(400);
    assert_eq!(labels(&rows).len(), 400);

    let ones = "7 ".repeat(500);
    assert_eq!(found(&format!("{ones}{number} {ones}")), [("pci.card", number)]);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is this machine, not a time of day"
)]
fn hostile_text_costs_little_more_than_plain_text_and_leaves_nothing_slower() {
    const BYTES: usize = 256 * 1024;
    /// Of the time that prose of the same length takes. Optimised the worst is 40, and what this
    /// guards against were thousands.
    const TIMES_MAX: u32 = 400;
    let fill = |unit: &str| {
        let mut text = unit.repeat(BYTES / unit.len() + 1);
        text.truncate(text.floor_char_boundary(BYTES));
        text
    };
    let prose = fill("They said that the old road was closed, and that nobody came to the pier. ");
    let time = |text: &str| {
        (0..3)
            .map(|_| {
                let start = std::time::Instant::now();
                DETECTORS.scan(text);
                start.elapsed()
            })
            .min()
            .unwrap()
    };
    let plain = time(&prose);
    let mixed = drawn("0123456789", BYTES / 4);
    let marks = hostile_marks();
    let mixed: String = mixed.bytes().map(|at| marks[usize::from(at) % marks.len()]).collect();
    let mut texts = vec![drawn(&format!("{ALL}+/"), BYTES), drawn("0123456789 -.", BYTES), mixed];
    texts.extend(marks.into_iter().map(fill));
    texts.extend(RULES.iter().map(|rule| {
        let literal: String =
            rule.mark.split(['\\', '(', '[', ')', '?']).filter(|part| 2 < part.len()).collect();
        fill(&format!("-{}", literal.trim_start_matches('b')))
    }));

    for text in texts {
        let spent = time(&text);
        assert!(spent < plain * TIMES_MAX, "{}: {spent:?}, plain {plain:?}", &text[..40]);
    }
    assert!(time(&prose) < plain * 10);
}

/// What made other designs slow: marks inside of what follows a mark, digits, quotes, one word.
fn hostile_marks() -> Vec<&'static str> {
    vec![
        "-sk-",
        "-hvs.",
        "-ey",
        "/1//0",
        "/ABSK",
        "-figd_",
        "sk-proj-",
        "ZXlK",
        "dp.pt.",
        "xoxb-",
        "token=",
        "token",
        "pwd=1",
        "pwd=1xxxx",
        "pwd=a1!bxxxx ",
        "key=4f8a2c",
        "key ",
        "a1=",
        "token=\"pwd='key=`",
        "token(\"",
        "4111111111111111 ",
        "4111111111111111",
        "4 ",
        "5-",
        "4111.1111-1111 1111.2",
        "501800000009 ",
        "1\n",
        "1        ",
        "://a:b",
        "://:@",
        "curl -u \"",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN A",
        "password is a1!",
        "bearer a",
        "\\u0034",
        "\\",
        "1\u{200b}",
        "a",
        " ",
        "-",
        "\u{ff14}",
    ]
}
