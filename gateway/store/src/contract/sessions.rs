//! The contract of [`Sessions`].

use super::samples::{ACME, ADA, BOT, ORGS, OTHER};
use crate::{
    Fault,
    session::{Session, Sessions, Vouched},
};
use policies::{
    ids::{IdentityProviderId, OrgId, UserId},
    time::Timestamp,
};

const USER: UserId = UserId::from_bytes(ADA);
const SOMEBODY: UserId = UserId::from_bytes(BOT);

fn of(org: OrgId, user: UserId, created: i64) -> Session {
    Session {
        org,
        user,
        created: Timestamp(created),
        seen: Timestamp(created),
        expires: Timestamp(created + 1_000),
        address: Some("192.0.2.7".to_owned()),
        how: "oidc:main".to_owned(),
        vouched: Some(Vouched {
            provider: IdentityProviderId::from_bytes(ADA),
            issuer: "https://idp.example".to_owned(),
            subject: "ada".to_owned(),
        }),
        id_token_hint: None,
    }
}

/// The same user, by id, in both orgs, with two sessions each; and somebody else.
async fn begin(store: &impl Sessions) -> Result<(), Fault> {
    for (token, created) in [(2, 20), (1, 10)] {
        store.open_session(&[token; 32], &of(ACME, USER, created)).await?;
        store.open_session(&[token + 10; 32], &of(OTHER, USER, created)).await?;
    }
    store.open_session(&[3; 32], &of(ACME, SOMEBODY, 30)).await
}

pub async fn a_session_is_found_by_its_token(store: &impl Sessions) -> Result<(), Fault> {
    begin(store).await?;
    let hinted = Session {
        address: None,
        how: "local".to_owned(),
        vouched: None,
        id_token_hint: Some("e30.e30.".to_owned()),
        ..of(OTHER, SOMEBODY, 40)
    };
    store.open_session(&[4; 32], &hinted).await?;

    assert_eq!(store.session(&[1; 32]).await?, Some(of(ACME, USER, 10)));
    assert_eq!(store.session(&[12; 32]).await?, Some(of(OTHER, USER, 20)));
    assert_eq!(store.session(&[4; 32]).await?, Some(hinted));
    assert_eq!(store.session(&[9; 32]).await?, None);
    Ok(())
}

pub async fn a_token_opens_one_session(store: &impl Sessions) -> Result<(), Fault> {
    begin(store).await?;

    for org in ORGS {
        let outcome = store.open_session(&[1; 32], &of(org, SOMEBODY, 50)).await;
        assert!(matches!(&outcome, Err(fault) if fault.is_about_data()), "{outcome:?}");
    }

    assert_eq!(store.session(&[1; 32]).await?, Some(of(ACME, USER, 10)));
    Ok(())
}

pub async fn a_last_use_of_a_session_never_goes_back(store: &impl Sessions) -> Result<(), Fault> {
    begin(store).await?;

    for now in [15, 12] {
        store.touch_session(&ACME, &[1; 32], Timestamp(now)).await?;
        store.touch_session(&OTHER, &[1; 32], Timestamp(now + 100)).await?;
    }

    let expected = Session { seen: Timestamp(15), ..of(ACME, USER, 10) };
    assert_eq!(store.session(&[1; 32]).await?, Some(expected));
    assert_eq!(store.session(&[11; 32]).await?, Some(of(OTHER, USER, 10)));
    Ok(())
}

pub async fn a_session_is_closed_by_its_own_org_only(store: &impl Sessions) -> Result<(), Fault> {
    begin(store).await?;

    assert!(!store.close_session(&OTHER, &[1; 32]).await?);
    assert!(store.session(&[1; 32]).await?.is_some());
    assert!(store.close_session(&ACME, &[1; 32]).await?);
    assert!(!store.close_session(&ACME, &[1; 32]).await?);

    assert_eq!(store.session(&[1; 32]).await?, None);
    assert!(store.session(&[11; 32]).await?.is_some());
    Ok(())
}

pub async fn a_user_is_logged_out_everywhere_in_one_org(
    store: &impl Sessions,
) -> Result<(), Fault> {
    begin(store).await?;
    let mine = |org, first: u8| {
        vec![([first + 1; 32], of(org, USER, 10)), ([first + 2; 32], of(org, USER, 20))]
    };
    assert_eq!(store.sessions_of(&ACME, &USER).await?, mine(ACME, 0));

    assert_eq!(store.close_sessions_of(&ACME, &USER).await?, 2);

    assert_eq!(store.sessions_of(&ACME, &USER).await?, []);
    assert_eq!(store.sessions_of(&ACME, &SOMEBODY).await?, [([3; 32], of(ACME, SOMEBODY, 30))]);
    assert_eq!(store.sessions_of(&OTHER, &USER).await?, mine(OTHER, 10));
    Ok(())
}

pub async fn a_sweep_takes_the_sessions_past_their_end(store: &impl Sessions) -> Result<(), Fault> {
    begin(store).await?;

    assert_eq!(store.sweep_sessions(Timestamp(1_009)).await?, 0);
    assert_eq!(store.sweep_sessions(Timestamp(1_010)).await?, 2);

    for (org, token) in [(ACME, 2), (OTHER, 12)] {
        assert_eq!(store.sessions_of(&org, &USER).await?, [([token; 32], of(org, USER, 20))]);
    }
    Ok(())
}
