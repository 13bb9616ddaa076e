//! The values here are made up: right in form and check digit, and nobody's. Secrets are put
//! together at run time, so that scanners of source code have nothing to report.

mod bounds;

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static DETECTORS: LazyLock<Detectors> = LazyLock::new(|| Detectors::builtin().unwrap());

fn found(text: &str) -> Vec<(&'static str, String)> {
    let findings = DETECTORS.scan(text);
    findings.into_iter().map(|found| (found.label, text[found.span].to_owned())).collect()
}

fn labels(text: &str) -> Vec<&'static str> {
    DETECTORS.scan(text).into_iter().map(|found| found.label).collect()
}

/// A value that looks drawn by chance, of the letters given.
fn drawn(letters: &str, len: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut state = 0x2545_f491_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        letters[usize::try_from(state >> 33).unwrap() % letters.len()]
    };
    (0..len).map(|_| next()).collect()
}

const HEX: &str = "0123456789abcdef";
const SMALL: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const ALL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `lead` filled up to `len` digits, the last one right by Luhn.
fn card(lead: &str, len: usize) -> String {
    let body = format!("{lead}{}", drawn("0123456789", len - 1 - lead.len()));
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[test]
fn cards_of_every_brand_are_found() {
    for (lead, len) in [
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("65", 16),
        ("300", 14),
        ("36", 14),
        ("3528", 16),
        ("62", 16),
        ("62", 19),
        ("2200", 16),
    ] {
        let number = card(lead, len);
        assert_eq!(found(&format!("take {number}.")), [("pci.card", number)]);
    }
}

#[test]
fn rare_lengths_and_wide_prefixes_need_a_word_beside_them() {
    for (lead, len) in [("4", 13), ("4", 19), ("5018", 12), ("6304", 18)] {
        let number = card(lead, len);
        assert_eq!(labels(&format!("row {number} done")), [""; 0], "{number}");
        assert_eq!(labels(&format!("my card {number} is lost")), ["pci.card"], "{number}");
    }
}

#[test]
fn cards_are_found_however_they_are_written() {
    let number = card("4539", 16);
    let in_fours = |gap: &str| {
        let fours: Vec<&str> = (0..4).map(|four| &number[four * 4..four * 4 + 4]).collect();
        fours.join(gap)
    };
    let wide = |zero: u32| -> String {
        number
            .chars()
            .map(|digit| char::from_u32(zero + digit.to_digit(10).unwrap()).unwrap())
            .collect()
    };
    let spread =
        |gap: &str| -> String { number.chars().map(|digit| format!("{digit}{gap}")).collect() };
    let escaped: String = number.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let mut forms: Vec<String> =
        [" ", "-", ".", "\u{a0}", "\u{202f}", "\u{2011}", "\u{ad}"].map(in_fours).to_vec();
    forms.extend([wide(0xff10), wide(0x660), wide(0x966), wide(0x1d7ce)]);
    forms.extend(["\u{200b}", "\u{2060}", "\u{feff}"].map(spread));
    forms.extend([escaped, format!("{}\n  {}", &number[..7], &number[7..]), number.clone()]);

    for form in forms {
        for (before, after) in [("take ", ""), ("**", "**"), ("{\"n\": \"", "\"}"), ("Ω=", ", ok")]
        {
            let text = format!("{before}{form}{after}");
            let findings = DETECTORS.scan(&text);
            assert_eq!(findings.len(), 1, "{text:?}");
            let masked = crate::data::mask::mask(&text, &findings);
            let rest = masked
                .trim_end_matches('\u{200b}')
                .replace(['\u{2060}', '\u{feff}', '\u{200b}'], "");
            assert_eq!(rest, format!("{before}[masked:pci.card]{after}"), "{text:?}");
        }
    }
}

#[test]
fn a_card_is_found_beside_its_expiry_and_code() {
    let number = card("4539", 16);

    assert_eq!(found(&format!("{number} 12 27 123")), [("pci.card", number.clone())]);
    assert_eq!(found(&format!("12/27 {number} 123")), [("pci.card", number)]);
}

#[test]
fn numbers_that_are_no_cards_pass() {
    let good = card("4539", 16);
    let (body, check) = good.split_at(15);
    let other = if check == "0" { "1" } else { "0" };
    let column = format!("{}\n{}\n", &good[..8], &good[8..]);
    for text in [
        format!("{body}{other}"),
        format!("{good}7"),
        format!("1{good}"),
        format!("0.{good}"),
        format!("x{good}"),
        format!("{good}abc"),
        format!("{}-{}-{}", &good[..3], &good[3..9], &good[9..]),
        format!("123e4567-e89b-12d3-a456-{}", card("4539", 12)),
        format!("order {}", card("9", 16)),
        format!("at {}", card("17", 13)),
        "2026-11-25 00:37:12.123456 10.0.0.1 8080 200 18273".to_owned(),
        column,
    ] {
        assert_eq!(labels(&text), [""; 0], "{text}");
    }
}

/// Label, and a made-up value of the form.
fn secrets() -> Vec<(&'static str, String)> {
    let capital = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = drawn("123456789", 12);
    let hex = |len| drawn(HEX, len);
    let all = |len| drawn(ALL, len);
    let small = |len| drawn(SMALL, len);
    vec![
        ("secret.penstock", ["psk", "_", &all(43)].concat()),
        ("secret.aws", ["AK", "IA", &drawn(capital, 16)].concat()),
        ("secret.google", ["AI", "za", &all(35)].concat()),
        ("secret.google", ["GOC", "SPX-", &all(28)].concat()),
        ("secret.google", ["ya", "29.", &all(60)].concat()),
        ("secret.azure", ["Account", "Key=", &all(86), "=="].concat()),
        ("secret.azure", ["?si", "g=", &all(43), "%3D"].concat()),
        ("secret.azure", ["abc8", "Q~", &all(34)].concat()),
        ("secret.digitalocean", ["dop", "_v1_", &hex(64)].concat()),
        ("secret.heroku", ["HR", "KU-", &all(36)].concat()),
        ("secret.github", ["gh", "p_", &all(36)].concat()),
        ("secret.github", ["gh", "s_", &all(36)].concat()),
        ("secret.github", ["github", "_pat_", &all(22), "_", &all(59)].concat()),
        ("secret.gitlab", ["gl", "pat-", &all(20)].concat()),
        ("secret.npm", ["np", "m_", &all(36)].concat()),
        ("secret.pypi", ["py", "pi-AgE", &all(70)].concat()),
        ("secret.rubygems", ["ruby", "gems_", &hex(48)].concat()),
        ("secret.crates", ["ci", "o", &all(32)].concat()),
        ("secret.docker", ["dckr", "_pat_", &all(27)].concat()),
        ("secret.anthropic", ["sk-", "ant-api03-", &all(93), "AA"].concat()),
        ("secret.openai", ["sk-", "proj-", &all(64)].concat()),
        ("secret.openai", ["sk-", "svcacct-", &all(64)].concat()),
        ("secret.openai", ["sk", "-", &all(48)].concat()),
        ("secret.huggingface", ["h", "f_", &drawn(&ALL[..52], 34)].concat()),
        ("secret.databricks", ["da", "pi", &hex(32)].concat()),
        ("secret.slack", ["xo", "xb-", &digits, "-", &digits, "-", &all(24)].concat()),
        ("secret.slack", ["https://hooks.sl", "ack.com/services/", &all(44)].concat()),
        (
            "secret.discord",
            ["discord.com/api/web", "hooks/", &digits, "123456/", &all(68)].concat(),
        ),
        ("secret.discord", ["MT", "k4", &all(20), ".", &all(6), ".", &all(38)].concat()),
        ("secret.telegram", [&digits[..10], ":", "AA", &all(33)].concat()),
        ("secret.sendgrid", ["S", "G.", &all(22), ".", &all(43)].concat()),
        ("secret.twilio", ["S", "K", &hex(32)].concat()),
        ("secret.mailgun", ["ke", "y-", &hex(32)].concat()),
        ("secret.stripe", ["sk", "_live_", &all(24)].concat()),
        ("secret.square", ["sq0", "atp-", &all(22)].concat()),
        ("secret.shopify", ["shp", "at_", &hex(32)].concat()),
        ("secret.grafana", ["gl", "sa_", &all(32), "_", &hex(8)].concat()),
        ("secret.newrelic", ["NR", "AK-", &drawn(capital, 27)].concat()),
        ("secret.vault", ["hv", "s.", &all(90)].concat()),
        ("secret.doppler", ["dp.", "pt.", &all(43)].concat()),
        ("secret.atlassian", ["ATA", "TT3", &all(180)].concat()),
        ("secret.linear", ["lin", "_api_", &all(40)].concat()),
        ("secret.notion", ["nt", "n_", &all(46)].concat()),
        ("secret.figma", ["fig", "d_", &all(40)].concat()),
        ("secret.airtable", ["pa", "t", &all(14), ".", &hex(64)].concat()),
        ("secret.sonar", ["sq", "p_", &hex(40)].concat()),
        ("secret.terraform", [&all(14), ".atlas", "v1.", &all(67)].concat()),
        ("secret.plaid", ["access-", "sandbox-", &hex(8), "-1a2b-3c4d-5e6f-", &hex(12)].concat()),
        ("secret.private_key", ["AGE-SECRET", "-KEY-1", &drawn("QPZRY9X8GF2TVDW0", 58)].concat()),
        ("secret.jwt", ["ey", "J", &all(20), ".ey", "J", &all(30), ".", &all(43)].concat()),
        ("secret.settlemint", ["sm", "_sat_", &small(16)].concat()),
    ]
}

#[test]
fn secrets_with_a_mark_are_found_whole_in_prose_and_in_code() {
    for (label, value) in secrets() {
        for (before, after) in [("use ", " now"), ("token = \"", "\";"), ("(", ")"), ("", "\n")] {
            let text = format!("{before}{value}{after}");
            let all = found(&text);
            assert_eq!(all.first().map(|one| one.0), Some(label), "{text}");
            assert!(all.iter().all(|one| one.1 == all[0].1), "{text} {all:?}");
            assert!(all[0].1.contains(value.trim_start_matches("https://")), "{text} {all:?}");
        }
    }
}

#[test]
fn a_key_inside_a_longer_word_is_not_taken() {
    let value = ["gh", "p_", &drawn(ALL, 36)].concat();

    assert_eq!(labels(&format!("a{value}")), [""; 0]);
    assert_eq!(labels(&["AI", "za", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"].concat()), [""; 0]);
}

#[test]
fn nothing_of_an_overlong_key_stays_in_the_open() {
    let value = ["ya", "29.", &drawn(ALL, 900)].concat();

    assert_eq!(found(&format!("use {value} now")), [("secret.google", value)]);
}

#[test]
fn an_access_key_id_takes_its_secret_along() {
    let id = ["AK", "IA", &drawn("ABCDEFGHIJ234567", 16)].concat();
    let secret = drawn(ALL, 40);
    let text = format!("{id} / {secret} are mine");

    assert_eq!(found(&text), [("secret.aws", format!("{id} / {secret}"))]);
}

#[test]
fn a_private_key_is_masked_to_its_last_line() {
    let line = drawn(ALL, 64);
    for (gap, end) in [("\n", "\n"), ("\\n", "\\n"), ("\n> ", "\n")] {
        let dashes = "-----";
        let edge = |word: &str| format!("{dashes}{word} RSA PRIVATE KEY{dashes}");
        let block = [edge("BEGIN"), line.clone(), line.clone(), edge("END")].join(gap);
        let cut = &block[..block.len() - 60];

        assert_eq!(
            found(&format!("key: {block}{end}bye")),
            [("secret.private_key", block.clone())]
        );
        assert_eq!(labels(cut), ["secret.private_key"], "{cut}");
    }
}

#[test]
fn talk_about_private_keys_is_no_private_key() {
    let head = ["-----BEGIN", " PRIVATE KEY-----"].concat();

    assert_eq!(labels(&format!("it starts with `{head}` and then {head} again")), [""; 0]);
    assert_eq!(labels(&head.repeat(200)), [""; 0]);
}

#[test]
fn only_the_password_of_an_address_is_taken() {
    for (text, secret) in [
        ("postgres://app:kf83hs!x@db/main", "kf83hs!x"),
        ("https://me:a@b@c9@host.example/x", "a@b@c9"),
        ("redis://:zq8w7e6r@cache:6379", "zq8w7e6r"),
    ] {
        assert_eq!(found(text), [("secret.password", secret.to_owned())], "{text}");
    }
    for text in ["http://host:8080/a@b", "https://user:password@host", "ssh://git@host:22/x"] {
        assert_eq!(labels(text), [""; 0], "{text}");
    }
}

#[test]
fn a_telling_name_makes_a_secret_of_what_follows() {
    let value = drawn(SMALL, 28);
    for text in [
        format!("API_KEY={value}"),
        format!("api_key: '{value}'"),
        format!("{{\"clientSecret\": \"{value}\"}}"),
        format!("{{\\\"token\\\": \\\"{value}\\\"}}"),
        format!("set(\"APP_TOKEN\", \"{value}\")"),
        format!("<apiToken>\n  {value}\n</apiToken>"),
        format!("var authToken string = \"{value}\""),
        format!("--access-token={value} --verbose"),
        format!("Authorization: Bearer {value}"),
        format!("datadog: {value}"),
        format!("const key = \"{value}\";"),
    ] {
        assert_eq!(found(&text), [("secret.token", value.clone())], "{text}");
    }
}

#[test]
fn passwords_are_found_as_people_write_them() {
    for text in [
        "password = \"kf83hs!x\"",
        "DB_PASSWORD=kf83hs!x",
        "my password is kf83hs!x",
        "pwd: kf83hs!x",
        "<add key=\"Password\" value=\"kf83hs!x\" />",
        "passphrase: 'kf83hs!x'",
    ] {
        assert_eq!(found(text), [("secret.password", "kf83hs!x".to_owned())], "{text}");
    }
}

#[test]
fn credentials_given_to_curl_are_found_on_either_side() {
    assert_eq!(
        found("curl -u me:kf83hs1x https://h"),
        [("secret.password", "me:kf83hs1x".to_owned())]
    );
    assert_eq!(labels("curl --user 'kf83hs1x9d:' https://h"), ["secret.password"]);
    assert_eq!(labels("curl -u \"${NAME}:${PASS}\" https://h"), [""; 0]);
    assert_eq!(labels("sort -u a:b1c2d3e4"), [""; 0]);
}

#[test]
fn placeholders_references_and_code_pass() {
    for text in [
        "password = \"changeme\"",
        "API_KEY=<your key>",
        "token: ${TOKEN}",
        "secret = xxxxxxxxxxxxxxxx",
        "api_key = \"example-key-1234567890\"",
        "password: String,",
        "let token = lexer.next_token2();",
        "let key = PrivatePkcs8KeyDer::from(bytes);",
        "token = os.environ[\"TOKEN\"]",
        "the token is 4 characters long",
        "password is required to be 12 characters",
        "max_tokens: 4096",
        "model_key: llama3-instruct-quantized-v2",
        "secretary: John Smith",
        "csrf_token = \"8f14e45fceea167a5a36dedd4bea2543\"",
        "primary_key: 550e8400e29b41d4a716446655440000",
        "commit 8f14e45fceea167a5a36dedd4bea25438f14e45f",
        "550e8400-e29b-41d4-a716-446655440000",
        "risk-averse, task-oriented, disk-based",
        "see http://a.example/x?y=1&z=2#frag",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn the_rule_with_the_best_proof_comes_first_and_no_label_is_lost() {
    let value = ["gh", "p_", &drawn(ALL, 36)].concat();
    let both = [("secret.github", value.clone()), ("secret.password", value.clone())];

    assert_eq!(found(&format!("password={value}")), both);
    assert_eq!(found(&format!("my.token.for.{value}: x")), [("secret.github", value)]);
}

#[test]
fn hits_that_overlap_in_part_are_one_stretch_with_the_labels_of_both() {
    let number = card("4539", 16);
    let text = format!("see https://me:x9-{number} 12@host/");

    assert_eq!(labels(&text), [""; 0], "a blank ends an address");
    let text = format!("password=k9!{number}zz, {number}");
    assert_eq!(
        found(&text),
        [("secret.password", format!("k9!{number}zz")), ("pci.card", number.clone())]
    );
    let text = format!("password={number}!ab");
    let stretch = format!("{number}!ab");
    assert_eq!(found(&text), [("pci.card", stretch.clone()), ("secret.password", stretch)]);
}

#[test]
fn the_key_of_a_member_tells_that_its_value_is_secret() {
    let told = |key: &str, value: &str| -> Vec<(&'static str, Range<usize>)> {
        let findings = DETECTORS.scan_member(key, value);
        findings.into_iter().map(|found| (found.label, found.span)).collect()
    };
    let token = drawn(SMALL, 28);

    assert_eq!(told("password", "hunter2-very-secret"), [("secret.password", 0..19)]);
    assert_eq!(told("db.Password", "kf83hs!x"), [("secret.password", 0..8)]);
    assert_eq!(told("client_secret", &token), [("secret.token", 0..28)]);
    assert_eq!(told("Authorization", &format!("Bearer {token}")), [("secret.token", 0..35)]);
    for (key, value) in [
        ("password", "string"),
        ("password", "The password of the user, 12 letters or more"),
        ("password hint", "kf83hs!x"),
        ("prompt_cache_key", &*token),
        ("token_type", "bearer"),
        ("title", "kf83hs!x"),
        ("", ""),
    ] {
        assert_eq!(told(key, value), [], "{key}: {value}");
    }
}

#[test]
fn every_rule_has_its_own_name_and_a_known_class() {
    for rule in RULES {
        assert!(rule.label == "pci.card" || rule.label.starts_with("secret."), "{}", rule.id);
        assert!(rule.pattern.is_ascii(), "{}", rule.id);
    }
    assert!(60 < RULES.len());
}

proptest! {
    #[test]
    fn findings_are_in_order_apart_and_on_characters(
        parts in prop::collection::vec(
            prop_oneof![
                "\\PC{0,12}".prop_map(String::from),
                "[0-9 .\\-\n]{0,24}".prop_map(String::from),
                Just("password = \"".to_owned()),
                Just("://é:ü@".to_owned()),
                Just("-----BEGIN PRIVATE KEY-----".to_owned()),
                Just("4539\u{200b}148803436467".to_owned()),
                Just("\\u0034\\u00e9".to_owned()),
                Just("curl -u é:k8j7h6g5".to_owned()),
            ],
            0..16,
        )
    ) {
        let text = parts.concat();

        let findings = DETECTORS.scan(&text);

        let mut last = 0..0;
        let mut spans = 0;
        for finding in &findings {
            let same = finding.span == last;
            prop_assert!(same || last.end <= finding.span.start);
            prop_assert!(finding.span.start < finding.span.end);
            prop_assert!(text.get(finding.span.clone()).is_some());
            spans += usize::from(!same);
            last = finding.span.clone();
        }
        let masked = crate::data::mask::mask(&text, &findings);
        prop_assert!(spans <= masked.matches("[masked:").count());
    }
}
