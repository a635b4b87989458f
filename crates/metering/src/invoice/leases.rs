//! One line of an invoice: a lease and its receipts.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use kernel::{Amount, BasisPoints, Energy, LeaseId, Timestamp};
use protocol::invoice::{Invoice, InvoiceLease, Receipted, Rule, SignedReceipt, Subject};

use super::{Claims, Findings};
use crate::money::Fees;
use crate::receipt::{self, Head};
use crate::series::{Fault, Sifted, Witnessed, sift};

/// A line with its receipts as they could be read.
pub(super) struct Line<'a> {
    told: &'a InvoiceLease,
    place: String,
    fees: Option<Fees>,
    opening: Option<Carried>,
    receipts: Vec<Carried>,
}

struct Carried {
    place: String,
    witnessed: Witnessed,
    charged: Amount,
    posted_at: Timestamp,
}

/// Reads a line's receipts and leaves their signatures with `claims`.
pub(super) fn read<'a>(
    told: &'a InvoiceLease,
    place: String,
    platform: Option<&VerifyingKey>,
    claims: &mut Claims,
    findings: &mut Findings,
) -> Line<'a> {
    let id = told.lease;
    let worker = receipt::public_key(&told.worker_key).ok();
    if worker.is_none() {
        let at = format!("{place}.worker_key");
        findings.add(Rule::Terms, at, id, "Ed25519", &told.worker_key);
    }
    let fees = BasisPoints::try_new(told.fee_basis_points)
        .ok()
        .map(|requester| Fees {
            requester,
            owner: BasisPoints::ZERO,
        });
    if fees.is_none() {
        let at = format!("{place}.fee_basis_points");
        findings.add(Rule::Terms, at, id, "0…10000", told.fee_basis_points);
    }
    let keys = worker.as_ref().zip(platform);
    let mut one = |signed: &SignedReceipt, at: String| -> Option<Carried> {
        let receipt = unpack(signed, told, &at, findings)?;
        let (worker, platform) = keys?;
        match receipt::open(&receipt, worker, platform) {
            Ok(opened) => {
                claims.add(opened.claims, Rule::WorkerSignature, at.clone(), id);
                Some(Carried {
                    place: at,
                    witnessed: Witnessed {
                        receipt,
                        hash: opened.hash,
                    },
                    charged: signed.charged,
                    posted_at: signed.posted_at,
                })
            }
            Err(error) => {
                let (rule, found) = match error {
                    receipt::ReceiptError::WorkerSignature => {
                        (Rule::WorkerSignature, &signed.worker_signature)
                    }
                    _ => (Rule::Countersignature, &signed.platform_signature),
                };
                findings.add(rule, at, id, "Ed25519", found);
                None
            }
        }
    };
    let opening = told
        .opening
        .as_ref()
        .and_then(|opening| one(opening, format!("{place}.opening")));
    let receipts = told
        .receipts
        .iter()
        .enumerate()
        .filter_map(|(n, signed)| one(signed, format!("{place}.receipts[{n}]")))
        .collect();
    Line {
        told,
        place,
        fees,
        opening,
        receipts,
    }
}

/// A receipt's fields, which must be its line's.
fn unpack(
    signed: &SignedReceipt,
    told: &InvoiceLease,
    at: &str,
    findings: &mut Findings,
) -> Option<protocol::view::Receipt> {
    let id = told.lease;
    let bytes = hex::decode(&signed.bytes).ok();
    let read = bytes.and_then(|bytes| receipt::from_bytes(&bytes).ok());
    let Some(mut receipt) = read else {
        let expected = "iog.receipt.v1, iog.receipt.v2";
        findings.add(
            Rule::Bytes,
            format!("{at}.bytes"),
            id,
            expected,
            &signed.bytes,
        );
        return None;
    };
    for (what, expected, found) in [
        ("lease", told.lease.to_string(), receipt.lease.to_string()),
        ("job", told.job.to_string(), receipt.job.to_string()),
        ("node", told.node.to_string(), receipt.node.to_string()),
        (
            "device",
            told.device.to_string(),
            receipt.device.to_string(),
        ),
        (
            "epoch",
            told.epoch.get().to_string(),
            receipt.epoch.get().to_string(),
        ),
        (
            "price",
            told.price.per_second().base().to_string(),
            receipt.price.per_second().base().to_string(),
        ),
    ] {
        findings.compare(Rule::Line, format!("{at}: {what}"), id, expected, found);
    }
    receipt
        .worker_signature
        .clone_from(&signed.worker_signature);
    receipt.platform_signature = Some(signed.platform_signature.clone());
    Some(receipt)
}

impl Line<'_> {
    pub(super) const fn lease(&self) -> LeaseId {
        self.told.lease
    }

    /// How many receipts the document has of it.
    pub(super) fn carried(&self) -> usize {
        self.told
            .receipts
            .len()
            .saturating_add(usize::from(self.told.opening.is_some()))
    }

    /// What was charged for one receipt, if it is here.
    pub(super) fn charged_for(&self, seq: u64) -> Option<Amount> {
        self.receipts
            .iter()
            .find(|one| one.witnessed.receipt.seq == seq)
            .map(|one| one.charged)
    }

    /// What had been paid for the lease with the last receipt that is here.
    pub(super) fn paid_until_now(&self) -> Option<Amount> {
        let last = self.receipts.iter().chain(&self.opening);
        let seconds = last.map(|one| one.witnessed.receipt.seconds).max()?;
        Some(self.fees?.cost(self.told.price, seconds))
    }

    /// What is not signed says nothing.
    pub(super) fn drop_forged(&mut self, forged: &[String]) {
        if forged.is_empty() {
            return;
        }
        let forged: BTreeSet<&String> = forged.iter().collect();
        self.receipts.retain(|one| !forged.contains(&one.place));
        self.opening = self
            .opening
            .take()
            .filter(|one| !forged.contains(&one.place));
    }

    pub(super) fn check(&self, invoice: &Invoice, findings: &mut Findings) {
        let opening = self.opening.as_ref();
        let start = opening.map_or_else(Head::default, |one| {
            Head::at(&one.witnessed.receipt, one.witnessed.hash.clone())
        });
        if let Some(one) = opening {
            let receipt = &one.witnessed.receipt;
            if receipt.price.times(receipt.seconds) != Ok(receipt.amount) {
                self.find(
                    Rule::Amount,
                    &one.place,
                    "",
                    receipt.amount.base(),
                    findings,
                );
            }
            let charged = format!("{}.charged", one.place);
            findings.compare(
                Rule::Charge,
                charged,
                self.told.lease,
                0,
                one.charged.base(),
            );
        }
        let pile: Vec<Witnessed> = self
            .receipts
            .iter()
            .map(|one| one.witnessed.clone())
            .collect();
        let sifted = sift(start.clone(), &pile);
        self.faults(&sifted, invoice.receipts, findings);
        self.charges(&start, &sifted, findings);
        self.sums(&start, &sifted.head, findings);
        self.times(invoice, findings);
    }

    fn find(
        &self,
        rule: Rule,
        place: &str,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
        findings: &mut Findings,
    ) {
        findings.add(rule, place.to_owned(), self.told.lease, expected, found);
    }

    fn faults(&self, sifted: &Sifted, receipted: Receipted, findings: &mut Findings) {
        if receipted == Receipted::Ends && self.told.receipts.len() > 1 {
            let place = format!("{}.receipts", self.place);
            self.find(Rule::Gap, &place, 1, self.told.receipts.len(), findings);
        }
        for (at, fault) in &sifted.faults {
            let Some(one) = self.receipts.get(*at) else {
                continue;
            };
            let receipt = &one.witnessed.receipt;
            let energy = |energy: Option<Energy>| {
                energy.map_or_else(|| "-".to_owned(), |mj| format!("{} mJ", mj.millijoules()))
            };
            let (rule, expected, found) = match *fault {
                Fault::Gap { .. } if receipted == Receipted::Ends => continue,
                Fault::Gap { expected, got } => (Rule::Gap, expected.to_string(), got.to_string()),
                Fault::Repeated { seq } => (Rule::Repeated, "1 ×".to_owned(), seq.to_string()),
                Fault::Order { seq, after } => (Rule::Order, format!("> {after}"), seq.to_string()),
                Fault::Overlap { seq } => (Rule::Overlap, "1 ×".to_owned(), seq.to_string()),
                Fault::Link => {
                    let before = self.before(receipt.seq);
                    (Rule::Link, before, receipt.previous.clone())
                }
                Fault::Late { last } => (Rule::Late, last.to_string(), receipt.seq.to_string()),
                Fault::Seconds { got, had } => {
                    (Rule::Backwards, format!("≥ {had} s"), format!("{got} s"))
                }
                Fault::Energy { got, had } => {
                    (Rule::Backwards, format!("≥ {}", energy(had)), energy(got))
                }
                Fault::Amount => (
                    Rule::Amount,
                    receipt
                        .price
                        .times(receipt.seconds)
                        .unwrap_or(Amount::MAX)
                        .base()
                        .to_string(),
                    receipt.amount.base().to_string(),
                ),
            };
            self.find(rule, &one.place, expected, found, findings);
        }
    }

    /// The hash of the receipt before a number, as far as it is here.
    fn before(&self, seq: u64) -> String {
        self.opening
            .iter()
            .chain(&self.receipts)
            .find(|one| one.witnessed.receipt.seq.checked_add(1) == Some(seq))
            .map_or_else(
                || receipt::NO_PREVIOUS.to_owned(),
                |one| one.witnessed.hash.clone(),
            )
    }

    /// Each receipt was charged what its seconds cost beyond those before.
    fn charges(&self, start: &Head, sifted: &Sifted, findings: &mut Findings) {
        let Some(fees) = self.fees else { return };
        let mut before = fees.cost(self.told.price, start.seconds);
        for one in sifted.taken.iter().filter_map(|at| self.receipts.get(*at)) {
            let cost = fees.cost(self.told.price, one.witnessed.receipt.seconds);
            findings.compare(
                Rule::Charge,
                format!("{}.charged", one.place),
                self.told.lease,
                cost.minus_or_zero(before).base(),
                one.charged.base(),
            );
            before = cost;
        }
    }

    fn sums(&self, start: &Head, end: &Head, findings: &mut Findings) {
        let (told, id) = (self.told, self.told.lease);
        let mut compare = |name: &str, expected: String, found: String| {
            let place = format!("{}.{name}", self.place);
            findings.compare(Rule::LineSum, place, id, expected, found);
        };
        let seconds = end.seconds.minus_or_zero(start.seconds);
        compare(
            "seconds",
            seconds.get().to_string(),
            told.seconds.get().to_string(),
        );
        let energy = |energy: Option<Energy>| {
            energy.map_or_else(|| "-".to_owned(), |mj| mj.millijoules().to_string())
        };
        compare(
            "energy_mj",
            energy(energy_between(start, end)),
            energy(told.energy_mj),
        );
        let gross = |seconds| told.price.times(seconds).unwrap_or(Amount::MAX);
        let gross = gross(end.seconds).minus_or_zero(gross(start.seconds));
        compare(
            "gross",
            gross.base().to_string(),
            told.gross.base().to_string(),
        );
        let Some(fees) = self.fees else { return };
        let cost = |seconds| fees.cost(told.price, seconds);
        let charged = cost(end.seconds).minus_or_zero(cost(start.seconds));
        compare(
            "charged",
            charged.base().to_string(),
            told.charged.base().to_string(),
        );
        compare(
            "fee",
            charged.minus_or_zero(gross).base().to_string(),
            told.fee.base().to_string(),
        );
    }

    /// Posted one after the other, before the invoice was written, and within its month.
    fn times(&self, invoice: &Invoice, findings: &mut Findings) {
        let mut before: Option<Timestamp> = None;
        let posted = self.opening.iter().chain(&self.receipts);
        for one in posted {
            let place = format!("{}.posted_at", one.place);
            if let Some(before) = before.filter(|before| one.posted_at < *before) {
                let expected = format!("≥ {before}");
                self.find(Rule::Period, &place, expected, one.posted_at, findings);
            }
            before = Some(one.posted_at);
            if one.posted_at > invoice.issued_at {
                let expected = format!("≤ {}", invoice.issued_at);
                self.find(Rule::Period, &place, expected, one.posted_at, findings);
            }
        }
        let Subject::Month { from, until, .. } = &invoice.subject else {
            if let Some(one) = &self.opening {
                self.find(Rule::Period, &one.place, "-", one.posted_at, findings);
            }
            return;
        };
        let within = format!("{from} … {until}");
        for one in &self.receipts {
            if one.posted_at < *from || one.posted_at >= *until {
                let place = format!("{}.posted_at", one.place);
                self.find(Rule::Period, &place, &within, one.posted_at, findings);
            }
        }
        if let Some(one) = self.opening.as_ref().filter(|one| one.posted_at >= *from) {
            let expected = format!("< {from}");
            self.find(Rule::Period, &one.place, expected, one.posted_at, findings);
        }
    }
}

/// What was used between two receipts; `None` while none told. One that told before is known from then on.
pub(crate) fn energy_between(start: &Head, end: &Head) -> Option<Energy> {
    end.energy
        .map(|energy| energy.minus_or_zero(start.energy.unwrap_or_default()))
}
