//! Checking an invoice without asking anybody: the platform's signature under it, both signatures of each receipt, the chain of
//! each lease, each second to money, the sums.
//!
//! [`check`] reads a text as it was downloaded. All that is wrong is told, not the first alone. What cannot be checked from the
//! document: that the platform's key is the platform's (compare it with one from elsewhere), the fee, and what a device is called.

mod leases;
#[cfg(test)]
mod tests;

use ed25519_dalek::{Signer, SigningKey};
use kernel::{Amount, BASE_UNITS_PER_IO, Energy, LeaseId, Seconds, Timestamp};
use protocol::invoice::{
    Finding, Invoice, InvoiceRefund, RefundCause, Rule, SignedReceipt, Subject, Summary, Totals,
    Verdict,
};
use protocol::money::RefundReason;
use protocol::view::Receipt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::batch::{self, Claim};
use crate::receipt::{self, ReceiptError};

const DOMAIN: &[u8] = b"iog.invoice.v1\0";
/// Findings that are listed; a document of nothing but faults should not become a longer one.
const FINDINGS_MAX: usize = 100;

/// The bytes that the platform signs: `"iog.invoice.v1\0"` and the SHA-256 of the document as it is served, without blanks,
/// and without the field `signature`.
///
/// # Errors
/// It cannot be written as JSON.
pub fn signed_bytes(invoice: &Invoice) -> Result<Vec<u8>, serde_json::Error> {
    let unsigned = Invoice {
        signature: String::new(),
        ..invoice.clone()
    };
    let digest = Sha256::digest(serde_json::to_vec(&unsigned)?);
    Ok([DOMAIN, digest.as_slice()].concat())
}

/// Signs as the platform, whose key the invoice then names.
///
/// # Errors
/// It cannot be written as JSON.
pub fn sign(mut invoice: Invoice, key: &SigningKey) -> Result<Invoice, serde_json::Error> {
    invoice.platform_key = hex::encode(key.verifying_key().as_bytes());
    invoice.signature = hex::encode(key.sign(&signed_bytes(&invoice)?).to_bytes());
    Ok(invoice)
}

/// A countersigned receipt as an invoice carries it.
///
/// # Errors
/// [`ReceiptError`] when it lacks a signature.
pub fn carried(
    receipt: &Receipt,
    charged: Amount,
    posted_at: Timestamp,
) -> Result<SignedReceipt, ReceiptError> {
    Ok(SignedReceipt {
        bytes: hex::encode(receipt::signed_bytes(receipt)?),
        worker_signature: receipt.worker_signature.clone(),
        platform_signature: receipt
            .platform_signature
            .clone()
            .ok_or(ReceiptError::PlatformSignature)?,
        charged,
        posted_at,
    })
}

/// Checks an invoice as it was downloaded. `platform_key`: 64 hex digits from elsewhere, to be compared with the invoice's.
pub fn check(text: &str, platform_key: Option<&str>) -> Verdict {
    let invoice: Invoice = match serde_json::from_str(text) {
        Ok(invoice) => invoice,
        Err(error) => {
            let mut findings = Findings::default();
            findings.add(
                Rule::Document,
                String::new(),
                "",
                protocol::invoice::FORMAT,
                error,
            );
            return findings.verdict(None);
        }
    };
    let mut findings = Findings::default();
    // The same values, so that nothing is said in two ways: `1e2` for `100`, capitals in an id, a field twice.
    let as_read = serde_json::from_str::<serde_json::Value>(text).ok();
    let as_written = serde_json::to_value(&invoice).ok();
    if as_read != as_written {
        let different = as_read
            .zip(as_written)
            .and_then(|(read, written)| first_difference(&read, &written, String::new()));
        let (place, found, expected) = different.unwrap_or_default();
        findings.add(Rule::Form, place, "", expected, found);
    }
    judge(&invoice, platform_key, findings)
}

/// Checks an invoice that was read already.
pub fn verify(invoice: &Invoice, platform_key: Option<&str>) -> Verdict {
    judge(invoice, platform_key, Findings::default())
}

fn judge(invoice: &Invoice, expected_key: Option<&str>, mut findings: Findings) -> Verdict {
    head_of(invoice, expected_key, &mut findings);
    let platform = receipt::public_key(&invoice.platform_key).ok();
    if platform.is_none() {
        let found = &invoice.platform_key;
        findings.add(Rule::Terms, "platform_key".into(), "", "Ed25519", found);
    }
    // All signatures of the document at once, its own among them.
    let mut claims = Claims::default();
    let signature = receipt::signature(&invoice.signature);
    // The signature covers every text but its own.
    if let Some(signature) = &signature {
        let written = hex::encode(signature.to_bytes());
        findings.compare(Rule::Form, "signature", "", written, &invoice.signature);
    }
    match (&platform, signature, signed_bytes(invoice)) {
        (Some(key), Some(signature), Ok(message)) => claims.add(
            [Claim {
                message,
                signature,
                key: *key,
            }],
            Rule::Signature,
            "signature",
            "",
        ),
        _ => findings.add(
            Rule::Signature,
            "signature".into(),
            "",
            "Ed25519",
            &invoice.signature,
        ),
    }
    let mut lines: Vec<leases::Line> = invoice
        .leases
        .iter()
        .enumerate()
        .map(|(number, lease)| {
            let place = format!("leases[{number}]");
            leases::read(lease, place, platform.as_ref(), &mut claims, &mut findings)
        })
        .collect();
    let signatures = claims.claims.len();
    let forged = claims.forged(&mut findings);
    for line in &mut lines {
        line.drop_forged(&forged);
        line.check(invoice, &mut findings);
    }
    subject(invoice, &mut findings);
    refunds(invoice, &lines, &mut findings);
    totals(invoice, &mut findings);
    let receipts = lines.iter().map(leases::Line::carried).sum::<usize>();
    let energy_mj = invoice
        .leases
        .iter()
        .filter_map(|lease| lease.energy_mj)
        .reduce(Energy::saturating_add);
    findings.verdict(Some(Summary {
        number: invoice.number.clone(),
        subject: invoice.subject.clone(),
        issued_at: invoice.issued_at,
        is_final: invoice.is_final,
        customer: invoice.customer.clone(),
        platform_key: invoice.platform_key.clone(),
        key_compared: expected_key.is_some(),
        receipted: invoice.receipts,
        leases: count(invoice.leases.len()),
        receipts: count(receipts),
        signatures: count(signatures),
        totals: invoice.totals,
        energy_mj,
    }))
}

fn head_of(invoice: &Invoice, expected_key: Option<&str>, findings: &mut Findings) {
    findings.compare(
        Rule::Document,
        "format",
        "",
        protocol::invoice::FORMAT,
        &invoice.format,
    );
    findings.compare(
        Rule::Document,
        "currency.code",
        "",
        "IO",
        &invoice.currency.code,
    );
    findings.compare(
        Rule::Document,
        "currency.base_units",
        "",
        BASE_UNITS_PER_IO.unsigned_abs(),
        invoice.currency.base_units,
    );
    if let Some(expected) = expected_key {
        findings.compare(
            Rule::PlatformKey,
            "platform_key",
            "",
            expected.trim().to_lowercase(),
            &invoice.platform_key,
        );
    }
}

/// Every lease belongs to what the invoice is about, and is there once.
fn subject(invoice: &Invoice, findings: &mut Findings) {
    let mut seen: BTreeMap<LeaseId, usize> = BTreeMap::new();
    for (number, line) in invoice.leases.iter().enumerate() {
        let place = format!("leases[{number}]");
        if let Some(first) = seen.insert(line.lease, number) {
            let found = format!("leases[{first}]");
            findings.add(Rule::Subject, place.clone(), line.lease, "", found);
        }
        if let Subject::Job { job, .. } = &invoice.subject {
            findings.compare(
                Rule::Subject,
                format!("{place}.job"),
                line.lease,
                job,
                line.job,
            );
        }
    }
    let Subject::Month { month, from, until } = &invoice.subject else {
        return;
    };
    match month_of(month) {
        Some((first, next)) => {
            findings.compare(Rule::Period, "subject.from", "", first, from);
            findings.compare(Rule::Period, "subject.until", "", next, until);
        }
        None => findings.add(Rule::Period, "subject.month".into(), "", "2026-11", month),
    }
}

/// The first moment of a month (`2026-11`, UTC), and of the next.
pub fn month_of(month: &str) -> Option<(Timestamp, Timestamp)> {
    let (year, number) = month.split_once('-')?;
    let is = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if !is(year, 4) || !is(number, 2) {
        return None;
    }
    let (year, number): (u32, u32) = (year.parse().ok()?, number.parse().ok()?);
    let (next_year, next) = if number == 12 {
        (year.checked_add(1)?, 1)
    } else {
        (year, number.checked_add(1)?)
    };
    let first = |year: u32, month: u32| format!("{year:04}-{month:02}-01T00:00:00Z").parse().ok();
    Some((first(year, number)?, first(next_year, next)?))
}

fn refunds(invoice: &Invoice, lines: &[leases::Line], findings: &mut Findings) {
    let (mut seen, mut disputes) = (BTreeSet::new(), BTreeSet::new());
    let mut back: BTreeMap<LeaseId, Amount> = BTreeMap::new();
    for (number, refund) in invoice.refunds.iter().enumerate() {
        let place = format!("refunds[{number}]");
        let id = refund.lease;
        // A receipt is disputed once, a lease is refunded once for a reason; the second payment of that has its own time.
        let (once, dispute) = match &refund.cause {
            RefundCause::Dispute { dispute, seq } => (Once::Receipt(id, *seq), Some(*dispute)),
            RefundCause::Automatic { reason, .. } => (Once::Reason(id, *reason, refund.at), None),
        };
        if !seen.insert(once) || dispute.is_some_and(|dispute| !disputes.insert(dispute)) {
            let found = dispute.map_or_else(|| id.to_string(), |dispute| dispute.to_string());
            findings.add(Rule::Subject, place.clone(), id, "", found);
        }
        when(invoice, refund, &place, findings);
        let line = lines.iter().find(|line| line.lease() == id);
        let Some(line) = line else {
            // A month may give back what was paid in another.
            if matches!(invoice.subject, Subject::Job { .. }) {
                findings.add(Rule::Subject, format!("{place}.lease"), id, "", id);
            }
            continue;
        };
        let paid = match &refund.cause {
            RefundCause::Dispute { seq, .. } => line.charged_for(*seq),
            RefundCause::Automatic { .. } => None,
        };
        if let Some(charged) = paid.filter(|charged| refund.amount > *charged) {
            let place = format!("{place}.amount");
            findings.add(
                Rule::Refund,
                place,
                id,
                charged.base(),
                refund.amount.base(),
            );
        }
        let sum = back.entry(id).or_default();
        *sum = sum.checked_add(refund.amount).unwrap_or(Amount::MAX);
        // With what was paid for it before this invoice's period.
        if let Some(paid) = line.paid_until_now().filter(|paid| *sum > *paid) {
            findings.add(Rule::Refund, place, id, paid.base(), sum.base());
        }
    }
}

/// What is given back once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Once {
    Receipt(LeaseId, u64),
    Reason(LeaseId, RefundReason, Timestamp),
}

/// Before the invoice was written, and within its month.
fn when(invoice: &Invoice, refund: &InvoiceRefund, place: &str, findings: &mut Findings) {
    let place = format!("{place}.at");
    if refund.at > invoice.issued_at {
        let expected = format!("≤ {}", invoice.issued_at);
        findings.add(
            Rule::Period,
            place.clone(),
            refund.lease,
            expected,
            refund.at,
        );
    }
    if let Subject::Month { from, until, .. } = &invoice.subject
        && (refund.at < *from || refund.at >= *until)
    {
        let expected = format!("{from} … {until}");
        findings.add(Rule::Period, place, refund.lease, expected, refund.at);
    }
}

fn totals(invoice: &Invoice, findings: &mut Findings) {
    let Some(sum) = sum(invoice) else {
        findings.add(Rule::Total, "totals".into(), "", "", Amount::MAX.base());
        return;
    };
    let told = invoice.totals;
    for (name, expected, found) in [
        (
            "seconds",
            sum.seconds.get().into(),
            told.seconds.get().into(),
        ),
        (
            "gross",
            i128::from(sum.gross.base()),
            i128::from(told.gross.base()),
        ),
        ("fee", sum.fee.base().into(), told.fee.base().into()),
        (
            "charged",
            sum.charged.base().into(),
            told.charged.base().into(),
        ),
        (
            "refunded",
            sum.refunded.base().into(),
            told.refunded.base().into(),
        ),
    ] {
        findings.compare(Rule::Total, format!("totals.{name}"), "", expected, found);
    }
}

/// The totals of an invoice's lines and refunds; `None` past all IO there can be.
pub fn sum(invoice: &Invoice) -> Option<Totals> {
    let mut sum = Totals::default();
    for line in &invoice.leases {
        sum.seconds = Seconds::new(sum.seconds.get().checked_add(line.seconds.get())?);
        sum.gross = sum.gross.checked_add(line.gross).ok()?;
        sum.fee = sum.fee.checked_add(line.fee).ok()?;
        sum.charged = sum.charged.checked_add(line.charged).ok()?;
    }
    for refund in &invoice.refunds {
        sum.refunded = sum.refunded.checked_add(refund.amount).ok()?;
    }
    Some(sum)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Where two documents differ first, and what stands there.
fn first_difference(
    read: &serde_json::Value,
    written: &serde_json::Value,
    place: String,
) -> Option<(String, String, String)> {
    use serde_json::Value::{Array, Object};
    match (read, written) {
        (Object(read), Object(written)) => read.keys().chain(written.keys()).find_map(|name| {
            let place = if place.is_empty() {
                name.clone()
            } else {
                format!("{place}.{name}")
            };
            let null = serde_json::Value::Null;
            match (read.get(name), written.get(name)) {
                (Some(read), Some(written)) => first_difference(read, written, place),
                (read, written) => Some((
                    place,
                    read.unwrap_or(&null).to_string(),
                    written.unwrap_or(&null).to_string(),
                )),
            }
        }),
        (Array(read), Array(written)) if read.len() == written.len() => read
            .iter()
            .zip(written)
            .enumerate()
            .find_map(|(n, (read, written))| {
                first_difference(read, written, format!("{place}[{n}]"))
            }),
        _ => (read != written).then(|| (place, read.to_string(), written.to_string())),
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    more: u64,
}

impl Findings {
    fn add(
        &mut self,
        rule: Rule,
        place: String,
        id: impl Display,
        expected: impl Display,
        found: impl Display,
    ) {
        if self.list.len() >= FINDINGS_MAX {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.list.push(Finding {
            rule,
            place,
            id: id.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }

    fn compare<E: Display, F: Display>(
        &mut self,
        rule: Rule,
        place: impl Into<String>,
        id: impl Display,
        expected: E,
        found: F,
    ) {
        let (expected, found) = (expected.to_string(), found.to_string());
        if expected != found {
            self.add(rule, place.into(), id, expected, found);
        }
    }

    fn verdict(self, summary: Option<Summary>) -> Verdict {
        Verdict {
            fits: self.list.is_empty(),
            findings: self.list,
            more: self.more,
            summary,
        }
    }
}

/// Signatures to be checked together, each with what is wrong if it does not fit.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    claims: Vec<Claim>,
    of: Vec<(Rule, String, String)>,
}

impl Claims {
    fn add<const N: usize>(
        &mut self,
        claims: [Claim; N],
        rule: Rule,
        place: impl Into<String>,
        id: impl Display,
    ) {
        let place = place.into();
        for (claim, rule) in claims.into_iter().zip([rule, Rule::Countersignature]) {
            self.claims.push(claim);
            self.of.push((rule, place.clone(), id.to_string()));
        }
    }

    /// The places whose signatures do not fit.
    fn forged(self, findings: &mut Findings) -> Vec<String> {
        batch::faulty(&self.claims)
            .into_iter()
            .filter_map(|at| Some((self.claims.get(at)?, self.of.get(at)?)))
            .map(|(claim, (rule, place, id))| {
                let found = hex::encode(claim.signature.to_bytes());
                let key = hex::encode(claim.key.as_bytes());
                findings.add(*rule, place.clone(), id, key, found);
                place.clone()
            })
            .collect()
    }
}
