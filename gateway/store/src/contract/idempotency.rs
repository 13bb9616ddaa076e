//! The contract of [`Idempotency`].

use super::{
    boots::all_at_once,
    samples::{ACME, ORGS, OTHER},
};
use crate::{
    Fault,
    idempotency::{ANSWER_MILLIS_MAX, CLAIM_MILLIS_MAX, Claim, Idempotency},
};
use policies::{ids::OrgId, time::Timestamp};

const BODY: [u8; 32] = [1; 32];
const START: i64 = 1_700_000_000_000;

async fn claim(store: &impl Idempotency, org: OrgId, after_millis: i64) -> Result<Claim, Fault> {
    store.claim(&org, "user-1", "key-1", &BODY, Timestamp(START + after_millis)).await
}

async fn answer(store: &impl Idempotency, org: OrgId, status: u16) -> Result<(), Fault> {
    let text = format!("{org}: {status}");
    store.answered(&org, "user-1", "key-1", status, "{\"etag\":\"1\"}", text.as_bytes()).await
}

fn done(org: OrgId, status: u16) -> Claim {
    Claim::Done {
        body_hash: BODY,
        status,
        headers: "{\"etag\":\"1\"}".to_owned(),
        answer: format!("{org}: {status}").into_bytes(),
    }
}

/// A claim in each org, answered in OTHER only.
async fn begin(store: &impl Idempotency) -> Result<(), Fault> {
    for org in ORGS {
        assert_eq!(claim(store, org, 0).await?, Claim::Fresh);
    }
    answer(store, OTHER, 201).await
}

pub async fn a_repeated_request_has_the_first_answer(
    store: &impl Idempotency,
) -> Result<(), Fault> {
    begin(store).await?;
    answer(store, ACME, 200).await?;
    answer(store, ACME, 409).await?;

    for after_millis in [1, ANSWER_MILLIS_MAX - 1] {
        assert_eq!(claim(store, ACME, after_millis).await?, done(ACME, 200));
        assert_eq!(claim(store, OTHER, after_millis).await?, done(OTHER, 201));
    }
    Ok(())
}

pub async fn a_repeated_request_waits_for_the_first(store: &impl Idempotency) -> Result<(), Fault> {
    begin(store).await?;

    for after_millis in [0, CLAIM_MILLIS_MAX - 1] {
        assert_eq!(claim(store, ACME, after_millis).await?, Claim::Running);
    }

    assert_eq!(claim(store, ACME, CLAIM_MILLIS_MAX).await?, Claim::Fresh, "the first has died");
    assert_eq!(claim(store, ACME, 2 * CLAIM_MILLIS_MAX - 1).await?, Claim::Running);
    Ok(())
}

pub async fn another_body_under_the_same_key_differs(
    store: &impl Idempotency,
) -> Result<(), Fault> {
    begin(store).await?;

    for after_millis in [1, CLAIM_MILLIS_MAX, ANSWER_MILLIS_MAX - 1] {
        let now = Timestamp(START + after_millis);
        for org in ORGS {
            let claim = store.claim(&org, "user-1", "key-1", &[2; 32], now).await?;
            assert_eq!(claim, Claim::Differs);
        }
    }

    assert_eq!(claim(store, OTHER, 1).await?, done(OTHER, 201));
    Ok(())
}

pub async fn an_idempotency_key_is_its_callers_own(store: &impl Idempotency) -> Result<(), Fault> {
    begin(store).await?;
    let now = Timestamp(START + 1);

    for (scope, key) in [("user-2", "key-1"), ("user-1", "key-2")] {
        assert_eq!(store.claim(&OTHER, scope, key, &[2; 32], now).await?, Claim::Fresh);
        store.release(&OTHER, scope, key).await?;
    }

    assert_eq!(claim(store, ACME, 1).await?, Claim::Running);
    assert_eq!(claim(store, OTHER, 1).await?, done(OTHER, 201));
    Ok(())
}

pub async fn a_claim_that_is_let_go_is_fresh_again(store: &impl Idempotency) -> Result<(), Fault> {
    begin(store).await?;

    for org in ORGS {
        store.release(&org, "user-1", "key-1").await?;
    }
    answer(store, ACME, 200).await?;

    assert_eq!(claim(store, ACME, 1).await?, Claim::Fresh);
    assert_eq!(claim(store, OTHER, 1).await?, done(OTHER, 201), "an answer stays");
    Ok(())
}

pub async fn of_many_claims_at_once_one_is_fresh(store: &impl Idempotency) -> Result<(), Fault> {
    for after_millis in [0, CLAIM_MILLIS_MAX, ANSWER_MILLIS_MAX] {
        let claims = (0..20).map(|_| claim(store, ACME, after_millis));
        let mut claims = all_at_once(claims).await.into_iter().collect::<Result<Vec<_>, _>>()?;

        claims.retain(|claim| *claim != Claim::Running);
        assert_eq!(claims, [Claim::Fresh]);
        assert_eq!(claim(store, OTHER, after_millis).await?, Claim::Fresh);
    }
    Ok(())
}

pub async fn an_answer_is_forgotten_after_a_day(store: &impl Idempotency) -> Result<(), Fault> {
    begin(store).await?;
    answer(store, ACME, 200).await?;
    let tomorrow = Timestamp(START + ANSWER_MILLIS_MAX);

    // Whether it was swept already makes no difference.
    let again = store.claim(&ACME, "user-1", "key-1", &[2; 32], tomorrow).await?;
    assert_eq!(again, Claim::Fresh);
    assert_eq!(store.sweep_idempotency(Timestamp(tomorrow.0 - 1)).await?, 0);
    assert_eq!(store.sweep_idempotency(tomorrow).await?, 1);

    assert_eq!(claim(store, OTHER, 0).await?, Claim::Fresh);
    assert_eq!(claim(store, ACME, ANSWER_MILLIS_MAX).await?, Claim::Differs);
    Ok(())
}
