//! What a finding means, in a sentence.

use protocol::invoice::Rule;

pub const fn of(rule: Rule) -> &'static str {
    match rule {
        Rule::Document => "this is not an invoice of this format",
        Rule::Form => "this is not written as the platform writes it",
        Rule::Signature => "the platform's signature does not fit: the document was changed",
        Rule::PlatformKey => "the platform's key is not the one you named",
        Rule::Terms => "a key or a fee is none",
        Rule::Bytes => "the receipt cannot be read",
        Rule::Line => "the receipt is not of this line",
        Rule::WorkerSignature => "the worker's signature does not fit (expected: of this key)",
        Rule::Countersignature => {
            "the platform's countersignature does not fit (expected: of this key)"
        }
        Rule::Gap => "receipts are missing before this one",
        Rule::Repeated => "this receipt is there twice",
        Rule::Order => "this receipt stands behind a later one",
        Rule::Overlap => "another receipt has the same number",
        Rule::Link => "the receipt does not name the one before it",
        Rule::Late => "the receipt comes after the lease's last",
        Rule::Backwards => "the receipt tells less than the one before it",
        Rule::Amount => "the receipt's amount is not price × seconds",
        Rule::Charge => "what was charged is not what these seconds cost",
        Rule::LineSum => "the line does not say what its receipts come to",
        Rule::Total => "the total is not the sum of the lines",
        Rule::Subject => "this does not belong to this invoice, or is there twice",
        Rule::Period => "this is outside the invoice's time",
        Rule::Refund => "more was given back than was paid",
    }
}

pub fn count(listed: usize, more: u64) -> String {
    if (listed, more) == (1, 0) {
        return "1 thing is".to_owned();
    }
    let listed = u64::try_from(listed).unwrap_or(u64::MAX);
    format!("{} things are", listed.saturating_add(more))
}

/// `1 lease`, `2 leases`.
pub fn number(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
