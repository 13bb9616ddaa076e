//! What a caller is shown of the bill.

use super::*;

#[tokio::test]
async fn the_cost_in_the_answer_is_the_cost_in_the_export() {
    let house = House::open(market()).await;
    let model = "sim-economy-out20-delay0-gap0";

    let answer = house.chat("ada", model, json!({})).await;
    let told = answer.header("x-penstock-cost").unwrap_or_default().to_owned();
    let id = answer.request_id();
    answer.bytes().await;
    let view = house.request_view("ada", &id).await;

    let rows = house.usage_once("acme", "the record", |rows| !rows.is_empty()).await;
    let record = Record::of(&rows[0]);
    assert_eq!(tests::record::nano_usd(&told), record.cost);
    assert_eq!(record.cost, (12 * 1_000) + (20 * 2_000));
    assert_eq!(view.list("attempts").len(), 1);
    assert_eq!(view.at("id"), &Value::from(id));
}
