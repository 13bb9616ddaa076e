//! Limits of each end user, from their very first request.

use super::*;

#[tokio::test]
async fn each_end_user_has_limits_of_their_own() {
    let provider = Provider::start();
    let settings = acme(&provider)
        .and("Limit", "each", json!({ "on": "end_users", "requests_per_minute": 2 }))
        .and("Limit", "vip", json!({ "on": { "end_user": "vip" }, "requests_per_minute": 4 }));
    let house = open(settings).await;
    let key = house.key("ada-key").to_owned();
    let ask = async |fields: Value| chat_about(&house, &key, &[], fields).await;

    for (fields, most) in [
        (json!({ "user": "a" }), 2),
        (json!({ "user": "b" }), 2),
        (json!({ "user": "vip" }), 4),
        (json!({ "safety_identifier": "c", "user": "a" }), 2),
    ] {
        for _ in 0..most {
            assert_eq!(ask(fields.clone()).await.status, 200, "{fields}");
        }
        let more = ask(fields.clone()).await;
        assert_eq!(more.status, 429, "{fields}");
        assert_eq!(more.json().await.text("error.code"), "rate_limited");
    }
    assert_eq!(ask(json!({})).await.status, 200, "without an end user nothing of it applies");
}
