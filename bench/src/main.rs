//! `make bench`: measures IOG beside a floor in the same run, prints a table, and appends one JSON line a row to
//! `target/bench/results.jsonl`.
//!
//! Owns: how each figure is taken. Deliberately absent: verdicts in tests. Machines are shared and noisy, so what counts is the
//! ratio to what ran beside it; `holds` is computed from the goal, never written by hand.
//!
//! `bench` runs all rows; `bench submit_start receipts` those whose names begin so.

mod billing;
mod floor;
mod ledger;
mod matching;
mod payouts;
mod postgres;
mod rebuild;
mod receipts;
mod row;
mod submit;

use row::Row;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == floor::WORKER) {
        floor::worker(&words).await;
        return;
    }
    if words.first().is_some_and(|word| word == ledger::PLAIN) {
        ledger::plain(&words).expect("posts");
        return;
    }
    let wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.starts_with(word.as_str()));
    let mut rows: Vec<Row> = Vec::new();
    let mut left_out: Vec<(&str, String)> = Vec::new();
    if wanted("submit_start") {
        rows.extend(submit::measure().await);
    }
    if ["match_1m", "match_gang", "offer_update", "offer_bytes"]
        .into_iter()
        .any(wanted)
    {
        rows.extend(matching::measure());
    }
    if wanted("market_rebuild_1m") {
        rows.push(rebuild::measure().await);
    }
    if wanted("receipts_verify") {
        rows.push(receipts::measure());
    }
    if wanted("payouts_5000") {
        rows.extend(payouts::measure());
    }
    if wanted("ledger_durable") {
        rows.push(ledger::measure().await);
    }
    if wanted("ledger_postgres") {
        match postgres::measure().await {
            Ok(two) => rows.extend(two),
            Err(why) => left_out.push(("ledger_postgres", why)),
        }
    }
    if wanted("billing_tick_100k") {
        rows.push(billing::measure().await);
    }
    row::report(&rows, &left_out);
}
