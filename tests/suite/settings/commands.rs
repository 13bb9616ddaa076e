//! Commands say what is missing, and make nothing in a folder that they were run in by mistake.

use super::*;

fn owned() -> Settings {
    let boss = json!({ "email": "boss@acme.example", "roles": ["owner"] });
    shop().and("User", "boss", boss)
}

#[tokio::test]
async fn what_reads_a_store_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 9] = [
        &["export-config"],
        &["usage"],
        &["export", "usage"],
        &["reconcile", "list"],
        &["audit", "export"],
        &["audit", "public-key"],
        &["secrets", "rewrap"],
        &["admin-key", "--operator", "--name", "x"],
        &["setup-link", "--user", "x"],
    ];

    for command in commands {
        let ran = process::run(folder.path(), command).await;
        assert_eq!(ran.code(), Some(1), "{command:?}: {ran:?}");
        let told = "; run this where `penstock serve` runs or give --config";
        assert!(ran.stderr.contains("no store at ") && ran.stderr.contains(told), "{ran:?}");
    }

    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_missing_word_is_named_and_the_only_tenant_is_meant() {
    let house = House::open(owned()).await;
    let run = async |args: &[&str]| {
        let config = ["--config", "penstock.toml"];
        house.run(&[args, &config[..]].concat()).await
    };

    let whose = run(&["admin-key", "--name", "x"]).await;
    run(&["admin-key", "--name", "op", "--operator"]).await.ok();
    // The installation is an org of its own from here on, and no tenant.
    let usage = run(&["usage"]).await;
    let key = run(&["admin-key", "--name", "y", "--owner", "boss"]).await;
    let nobody = run(&["admin-key", "--name", "z", "--owner", "nobody"]).await;

    assert_eq!(whose.code(), Some(2), "{whose:?}");
    assert!(whose.stderr.contains("--operator") && whose.stderr.contains("--owner USER"));
    assert_eq!(usage.code(), Some(0), "{usage:?}");
    assert!(key.stdout.starts_with("psa_"), "{key:?}");
    assert!(nobody.stderr.contains("there is no user `nobody` in `acme`"), "{nobody:?}");
}

#[tokio::test]
async fn a_start_says_who_cannot_sign_in_and_a_link_lets_them_in_once() {
    let mut house = House::open(owned()).await;
    let told = house.gateway().said("nobody can sign in to `acme` as `boss`").await;
    let command = "penstock setup-link --org acme --user boss";
    assert!(told.ends_with(command), "{told}");

    let args: Vec<&str> = command.split(' ').skip(1).chain(["--config", "penstock.toml"]).collect();
    let said = house.run(&args).await.ok();
    let token = said.split_once("?token=").unwrap().1.trim();
    let url = format!("{}/setup", house.admin_url());
    let body = json!({ "token": token, "password": "correct horse battery" });
    let first = house.client.post(&url, &body).await.status;
    let second = house.client.post(&url, &body).await.status;
    let login = json!({
        "org": "acme", "email": "boss@acme.example", "password": "correct horse battery",
    });
    let login = house.client.post(&format!("{}/login/local", house.admin_url()), &login).await;
    house.terminate().await;
    house.start().await;

    assert_eq!((first.as_u16(), second.as_u16(), login.status.as_u16()), (200, 401, 200));
    let out = fs::read_to_string(house.path("gateway.out")).unwrap();
    assert_eq!(out.matches("nobody can sign in").count(), 1, "{out}");
    assert!(!house.said().contains(token), "the link is nowhere but where it was asked for");
}

#[tokio::test]
async fn who_has_the_journal_is_named_with_what_to_do() {
    let mut house = House::open(shop()).await;
    let id = house.gateway().id();

    let ran = house.run(&["serve", "--config", "penstock.toml"]).await;

    assert_eq!(ran.code(), Some(1), "{ran:?}");
    for word in [format!("process {id} (penstock)"), "`[journal]`".to_owned()] {
        assert!(ran.stderr.contains(&word), "`{word}` is not told: {}", ran.stderr);
    }
}
