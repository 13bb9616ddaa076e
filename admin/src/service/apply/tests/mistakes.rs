//! Each mistake is told with its place, and what is nearly one is not.

use super::*;

/// A file with a mistake in each document.
const WRONG: &str = "\
apiVersion: penstock/v1
kind: Org
name: acme
time_zone: Europe/Berlni
---
apiVersion: penstock/v2
kind: Project
org: acme
name: assistant
data_levle: public
---
apiVersion: penstock/v1
kind: Usr
org: acme
name: ada
---
kind: User
org: acme
name: grace
active: maybe
---
apiVersion: penstock/v1
kind: Budget
org: acme
name: month
on: { tire: x }
period: fortnight
---
apiVersion: penstock/v1
kind: Unit
org: acme
name: sales
parent: nowhere
---
apiVersion: penstock/v1
kind: Unit
org: acme
name: sales
---
apiVersion: penstock/v1
kind: Unit
org: initech
name: sales
---
apiVersion: penstock/v1
kind: Key
org: acme
name: laptop
project: assistant
owner: { user: grace }
sha256: 00
---
- not a mapping
---
name: [broken
---
apiVersion: penstock/v1
kind: Tier
org: acme
name: economy
rank: first
deployments: { deployment: x, wait: 3 }
";

#[tokio::test]
async fn every_mistake_of_every_document_is_told_at_once_with_its_place() {
    let store = Model::default();

    let mistakes = refused(&store, WRONG).await.join("\n");

    for expected in [
        "x.yaml:4: org acme: time_zone: there is no time zone `Europe/Berlni` (IANA names only)",
        "x.yaml:6: project assistant: apiVersion: `penstock/v2` is not supported; write",
        "x.yaml:10: project assistant: data_levle: unknown field; did you mean `data_level`?",
        "x.yaml:13: ada: kind: `Usr`: unknown kind; did you mean `User`?",
        "x.yaml:17: user grace: apiVersion: is missing: write `penstock/v1`",
        "x.yaml:20: user grace: active: must be true or false, and is text",
        "x.yaml:22: budget month: limit: is missing",
        "x.yaml:26: budget month: on: `tire` is unknown: must be `org`",
        "x.yaml:27: budget month: period: `fortnight` is not one of `day`, ",
        "x.yaml:33: unit sales: parent: there is no unit `nowhere`",
        "x.yaml:38: unit sales: name: is described already at x.yaml:29",
        "x.yaml:42: unit sales: org: there is no org `initech` (known: acme)",
        "x.yaml:51: key laptop: sha256: is written by Penstock, never by hand",
        "x.yaml:53: must be a mapping with `apiVersion` and `kind`",
        "x.yaml:61: tier economy: rank: must be a whole number, and is text",
        "x.yaml:62: tier economy: deployments: must be a list, and is a mapping",
    ] {
        assert!(mistakes.contains(expected), "{expected}\n--- in ---\n{mistakes}");
    }
    assert!(mistakes.contains("x.yaml:55: unclosed bracket '['\n"), "{mistakes}");
    assert!(mistakes.lines().count() <= 17, "no echoes:\n{mistakes}");
    assert!(orgs::all(&store).await.unwrap().is_empty(), "nothing was applied");
}

#[tokio::test]
async fn one_mistake_in_one_org_keeps_the_other_org_as_it_was() {
    let store = Model::default();
    applied(&store, &example()).await;
    let text = "\
apiVersion: penstock/v1
kind: User
org: acme
name: new
---
apiVersion: penstock/v1
kind: Group
org: globex
name: new
members: [nobody]
";

    let mistakes = refused(&store, text).await;

    assert_eq!(mistakes, ["x.yaml:10: group new: members: there is no user `nobody`"]);
    assert!(find(&org(&store, "acme").await, Kind::User, "new").is_none());
}

#[tokio::test]
async fn a_pin_that_belongs_to_something_else_is_refused() {
    let store = Model::default();
    applied(&store, &example()).await;
    let globex = org(&store, "globex").await;
    let id = Kind::User.id_text(find(&globex, Kind::User, "ada").unwrap().id);
    let user =
        |id: &str| format!("apiVersion: penstock/v1\nkind: User\norg: acme\nname: new\nid: {id}\n");

    let foreign = refused(&store, &user(&id)).await;
    let other_kind = refused(&store, &user("proj_0192f3c1a7b27c5e8d3f6a1b2c3d4e5f")).await;

    assert_eq!(foreign, ["x.yaml:5: user new: id: is the id of another object"]);
    assert!(other_kind[0].starts_with("x.yaml:5: user new: id: not an id of this kind"));
}

#[tokio::test]
async fn json_is_read_as_an_array_and_as_lines() {
    let org = r#"{"apiVersion":"penstock/v1","kind":"Org","name":"acme"}"#;
    let user = r#"{"apiVersion":"penstock/v1","kind":"User","org":"acme","name":"\ud83d\ude00"}"#;
    let wrong = r#"{"apiVersion":"penstock/v1","kind":"User","org":"acme",
        "name":"ada",
        "active":3}"#;

    for text in [format!("[{org},\n{user}]"), format!("{org}\n{user}\n")] {
        let store = Model::default();
        applied(&store, &text).await;
        assert!(find(&super::org(&store, "acme").await, Kind::User, "\u{1f600}").is_some());
    }
    let mistakes =
        refused(&Model::default(), &format!("{org}\n{wrong}\n{{\"a\":1,\"a\":2}}\n{{")).await;
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    assert_eq!(mistakes[0], "x.yaml:4: user ada: active: must be true or false, and is a number");
    assert_eq!(mistakes[1], "x.yaml:5: the field `a` appears twice");
    assert!(mistakes[2].starts_with("x.yaml:6: EOF"), "{mistakes:?}");
}

#[tokio::test]
async fn amounts_may_be_written_as_numbers_and_keep_their_digits() {
    let budget = "---\napiVersion: penstock/v1\nkind: Budget\norg: acme\nname: b\non: org\n\
                  period: day\nlimit: ";
    for amount in ["20", "0.10", "9000000000.123456789"] {
        let store = Model::default();
        applied(&store, &format!("{SMALL}{budget}{amount}\n")).await;
        let settings = org(&store, "acme").await;
        let Document::Budget(it) = &find(&settings, Kind::Budget, "b").unwrap().document else {
            panic!("a budget")
        };
        assert_eq!(it.limit, amount);
    }
    let mistakes = refused(&Model::default(), &format!("{SMALL}{budget}1e3\n")).await;
    assert!(mistakes[0].starts_with("x.yaml:28: budget b: limit: `1e3` is not an amount"));
}

#[tokio::test]
async fn an_alias_bomb_is_a_mistake() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }

    let mistakes = refused(&Model::default(), &text).await;

    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].starts_with("x.yaml:"), "{mistakes:?}");
    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(refused(&Model::default(), &deep).await.len(), 1);
    assert_eq!(refused(&Model::default(), &format!("{{\"a\":{}", "[".repeat(5000))).await.len(), 1);
}

#[tokio::test]
async fn braces_with_bare_keys_are_yaml() {
    let store = Model::default();
    let text = "{ apiVersion: penstock/v1, kind: Org, name: acme }\n---\n\
                { apiVersion: penstock/v1, kind: User, org: acme, name: ada }\n";

    applied(&store, text).await;

    assert_eq!(orgs::all(&store).await.unwrap()[0].objects.len(), 2);
    let quoted = text.replace("{ apiVersion", "{ \"apiVersion\"");
    applied(&store, &quoted).await;
    assert_eq!(orgs::all(&store).await.unwrap()[0].objects.len(), 2, "flow braces, quoted");
}
