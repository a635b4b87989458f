use super::*;
use crate::Fees;
use crate::receipt::{Head, countersign, sign_worker};
use kernel::{AccountId, BasisPoints, DeviceId, DisputeId, Epoch, JobId, NodeId, PricePerSecond};
use proptest::prelude::*;
use protocol::invoice::{Currency, Customer, InvoiceLease, InvoiceRefund, Receipted, RefundCause};
use protocol::state::JobState;

const FEE: u16 = 25;

fn worker() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn platform() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + millis)
}

fn amount(base: i64) -> Amount {
    Amount::try_from_base(base).expect("in range")
}

fn cost(price: PricePerSecond, seconds: u64) -> Amount {
    let fees = Fees {
        requester: BasisPoints::try_new(FEE).expect("in range"),
        owner: BasisPoints::ZERO,
    };
    fees.cost(price, Seconds::new(seconds))
}

/// A lease with receipts at these cumulative seconds and energies.
fn lease(number: u8, told: &[(u64, Option<u64>)]) -> InvoiceLease {
    let price = PricePerSecond::from_amount(amount(25_001));
    let id = |n: u8| [number, n, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut line = InvoiceLease {
        lease: LeaseId::new(at(0), id(1)),
        job: JobId::new(at(0), [7; 10]),
        epoch: Epoch::new(number.into()),
        node: NodeId::new(at(0), id(3)),
        device: DeviceId::new(at(0), id(4)),
        model: "NVIDIA GeForce RTX 4090".into(),
        devices: 1,
        worker_key: hex::encode(worker().verifying_key().as_bytes()),
        price,
        fee_basis_points: FEE,
        opening: None,
        receipts: Vec::new(),
        seconds: Seconds::ZERO,
        gross: Amount::ZERO,
        fee: Amount::ZERO,
        charged: Amount::ZERO,
        energy_mj: None,
    };
    let mut head = Head::default();
    for (n, (seconds, energy)) in (0_i64..).zip(told) {
        let receipt = Receipt {
            lease: line.lease,
            job: line.job,
            node: line.node,
            device: line.device,
            epoch: line.epoch,
            seq: head.seq + 1,
            seconds: Seconds::new(*seconds),
            price,
            amount: price.times(Seconds::new(*seconds)).expect("in range"),
            energy_mj: energy.map(|mj| Energy::try_new(mj).expect("in range")),
            last: false,
            issued_at: at(n),
            previous: head.hash.clone(),
            worker_signature: String::new(),
            platform_signature: None,
        };
        let receipt = sign_worker(receipt, &worker()).expect("signs");
        let receipt = countersign(receipt, &worker().verifying_key(), &platform()).expect("signs");
        let charged = amount(cost(price, *seconds).base() - cost(price, head.seconds.get()).base());
        line.receipts
            .push(carried(&receipt, charged, at(n * 60_000)).expect("signed"));
        head = Head::after(&receipt).expect("signed");
        line.seconds = head.seconds;
        line.gross = receipt.amount;
        line.charged = cost(price, *seconds);
        line.fee = line.charged.checked_sub(line.gross).expect("more");
        line.energy_mj = receipt.energy_mj;
    }
    line
}

fn document(leases: Vec<InvoiceLease>) -> Invoice {
    let mut invoice = Invoice {
        format: protocol::invoice::FORMAT.into(),
        number: "IOG-1".into(),
        subject: Subject::Job {
            job: JobId::new(at(0), [7; 10]),
            name: "训练 \"1\"".into(),
            state: JobState::Finished,
        },
        issued_at: at(9_000_000),
        is_final: true,
        customer: Customer {
            account: AccountId::new(at(0), [8; 10]),
            name: "Zhang Wei 张伟".into(),
            email: "zhang@example.com".into(),
        },
        currency: Currency {
            code: "IO".into(),
            base_units: 100_000_000,
        },
        platform_key: String::new(),
        receipts: Receipted::All,
        leases,
        refunds: Vec::new(),
        totals: Totals::default(),
        signature: String::new(),
    };
    invoice.totals = sum(&invoice).expect("in range");
    sign(invoice, &platform()).expect("signs")
}

fn two_leases() -> Invoice {
    document(vec![
        lease(1, &[(60, None), (120, Some(9_000)), (125, Some(9_500))]),
        lease(2, &[(60, None)]),
    ])
}

/// What a platform that cheats would hand out: changed, and signed anew.
fn cheated(change: impl FnOnce(&mut Invoice)) -> Vec<(Rule, String)> {
    let mut invoice = two_leases();
    change(&mut invoice);
    found(&sign(invoice, &platform()).expect("signs"))
}

fn found(invoice: &Invoice) -> Vec<(Rule, String)> {
    let verdict = verify(invoice, None);
    assert_eq!(verdict.fits, verdict.findings.is_empty());
    verdict
        .findings
        .into_iter()
        .map(|finding| (finding.rule, finding.place))
        .collect()
}

fn rules(found: &[(Rule, String)]) -> Vec<Rule> {
    found.iter().map(|(rule, _)| *rule).collect()
}

#[test]
fn a_true_invoice_fits_and_is_summed_up() {
    let invoice = two_leases();
    let key = hex::encode(platform().verifying_key().as_bytes());
    for text in [
        serde_json::to_string(&invoice).expect("writes"),
        serde_json::to_string_pretty(&invoice).expect("writes"),
    ] {
        let verdict = check(&text, Some(&key.to_uppercase()));
        assert_eq!(verdict.findings, []);
        assert!(verdict.fits);
        let summary = verdict.summary.expect("read");
        assert_eq!(
            (summary.leases, summary.receipts, summary.signatures),
            (2, 4, 9)
        );
        assert_eq!(summary.totals.seconds, Seconds::new(185));
        // 25,001 × 185, and ⌈0.25 %⌉ of each lease's sum.
        assert_eq!(summary.totals.gross, amount(4_625_185));
        assert_eq!(summary.totals.fee, amount(7_813 + 3_751));
        assert_eq!(summary.totals.charged, amount(4_636_749));
        assert_eq!(summary.energy_mj, Energy::try_new(9_500).ok());
        assert!(summary.key_compared);
    }
}

#[test]
fn another_platforms_invoice_is_told_apart() {
    let text = serde_json::to_string(&two_leases()).expect("writes");
    let verdict = check(&text, Some(&"ab".repeat(32)));
    let rules: Vec<Rule> = verdict.findings.iter().map(|one| one.rule).collect();
    assert_eq!(rules, [Rule::PlatformKey]);
    let verdict = check(&text, None);
    assert!(verdict.fits && !verdict.summary.expect("read").key_compared);
}

/// Every single byte of the document, changed, is found.
#[test]
fn any_changed_byte_is_found() {
    let invoice = document(vec![lease(1, &[(60, None), (120, Some(9_000))])]);
    let text = serde_json::to_string(&invoice).expect("writes");
    assert!(check(&text, None).fits);
    let mut bytes = text.clone().into_bytes();
    for place in 0..bytes.len() {
        let was = bytes[place];
        // The likeliest to mean the same: the other case of a letter, the next digit, a blank.
        bytes[place] = match was {
            b'0'..=b'8' => was + 1,
            b'9' => b'0',
            letter if letter.is_ascii_alphabetic() => letter ^ 0x20,
            b'_' => b'-',
            b' ' => b'_',
            other => other ^ 1,
        };
        if let Ok(changed) = std::str::from_utf8(&bytes) {
            assert!(
                !check(changed, None).fits,
                "byte {place}, {:?} for {:?}",
                char::from(bytes[place]),
                char::from(was)
            );
        }
        bytes[place] = was;
    }
}

#[test]
fn the_same_said_in_another_form_is_no_original() {
    let text = serde_json::to_string(&two_leases()).expect("writes");
    let form = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let verdict = check(&text.replacen(from, to, 1), None);
        verdict
            .findings
            .into_iter()
            .map(|one| (one.rule, one.place))
            .collect::<Vec<_>>()
    };
    let issued = format!("{}", at(9_000_000));
    assert_eq!(
        form(&issued, &issued.replace(".000Z", "Z")),
        [(Rule::Form, "issued_at".into())]
    );
    assert_eq!(
        form("\"epoch\":1,", "\"epoch\":1,\"opening\":null,"),
        [(Rule::Form, "leases[0].opening".into())]
    );
    let signature = &two_leases().signature;
    assert_eq!(
        form(signature, &signature.to_uppercase()),
        [(Rule::Form, "signature".into())]
    );
    assert_eq!(
        rules(&form("\"epoch\":1,", "\"epoch\":1,\"epoch\":1,")),
        [Rule::Document]
    );
    assert_eq!(
        rules(&form("\"epoch\":1,", "\"epoch\":1,\"extra\":1,")),
        [Rule::Document]
    );
    // Escapes and blanks are the reader's business.
    assert!(check(&text.replace("张", "\\u5f20"), None).fits);
}

#[test]
fn a_platform_that_cheats_is_found() {
    let all = cheated(|invoice| {
        let line = &mut invoice.leases[0];
        line.charged = line.charged.checked_add(amount(1)).expect("in range");
        invoice.totals = sum(invoice).expect("in range");
    });
    assert_eq!(all, [(Rule::LineSum, "leases[0].charged".into())]);
    let all = cheated(|invoice| invoice.leases[0].receipts[1].charged = amount(1));
    assert_eq!(
        all,
        [(Rule::Charge, "leases[0].receipts[1].charged".into())]
    );
    let all = cheated(|invoice| {
        invoice.totals.refunded = amount(1);
        invoice.totals.seconds = Seconds::new(9);
    });
    assert_eq!(
        all,
        [
            (Rule::Total, "totals.seconds".into()),
            (Rule::Total, "totals.refunded".into())
        ]
    );
    let dearer = |invoice: &mut Invoice| {
        invoice.leases[1].price = PricePerSecond::from_amount(amount(30_000));
    };
    assert!(rules(&cheated(dearer)).starts_with(&[Rule::Line]));
    let fee = cheated(|invoice| invoice.leases[1].fee_basis_points = 10_001);
    assert_eq!(fee, [(Rule::Terms, "leases[1].fee_basis_points".into())]);
    let energy = cheated(|invoice| invoice.leases[0].energy_mj = None);
    assert_eq!(energy, [(Rule::LineSum, "leases[0].energy_mj".into())]);
    let twice = cheated(|invoice| {
        invoice.leases.push(invoice.leases[1].clone());
        invoice.totals = sum(invoice).expect("in range");
    });
    assert_eq!(twice, [(Rule::Subject, "leases[2]".into())]);
    let other = cheated(|invoice| {
        invoice.subject = Subject::Job {
            job: JobId::new(at(0), [6; 10]),
            name: String::new(),
            state: JobState::Finished,
        };
    });
    assert_eq!(rules(&other), [Rule::Subject, Rule::Subject]);
    let early = cheated(|invoice| invoice.issued_at = at(70_000));
    assert_eq!(
        early,
        [(Rule::Period, "leases[0].receipts[2].posted_at".into())]
    );
    let format = cheated(|invoice| invoice.format = "iog.invoice.v2".into());
    assert_eq!(format, [(Rule::Document, "format".into())]);
    let units = cheated(|invoice| invoice.currency.base_units = 1_000);
    assert_eq!(units, [(Rule::Document, "currency.base_units".into())]);
}

#[test]
fn receipts_that_are_missing_repeated_reordered_or_forged_are_found() {
    let receipts = |change: fn(&mut Vec<SignedReceipt>)| {
        rules(&cheated(|invoice| change(&mut invoice.leases[0].receipts)))
    };
    // A missing one is charged with the next, which says so little.
    assert_eq!(
        receipts(|all| drop(all.remove(1))),
        [Rule::Gap, Rule::Charge]
    );
    // At the end its seconds are missing in the line.
    let end = receipts(|all| drop(all.pop()));
    assert!(
        end.iter().all(|rule| *rule == Rule::LineSum) && end.len() == 5,
        "{end:?}"
    );
    assert_eq!(receipts(|all| all.push(all[2].clone())), [Rule::Repeated]);
    assert_eq!(receipts(|all| all.swap(0, 1)), [Rule::Order, Rule::Period]);
    let forged = receipts(|all| {
        // Five seconds more, in the bytes alone.
        all[2]
            .bytes
            .replace_range(2 * (15 + 64 + 16 + 7)..2 * (15 + 64 + 16 + 8), "82");
    });
    assert_eq!(forged[..2], [Rule::WorkerSignature, Rule::Countersignature]);
    assert_eq!(receipts(|all| all[0].bytes.truncate(10))[0], Rule::Bytes);
    assert_eq!(
        receipts(|all| all[0].platform_signature.clear())[0],
        Rule::Countersignature
    );
    let swapped = receipts(|all| {
        let (one, two) = all.split_at_mut(1);
        std::mem::swap(&mut one[0].worker_signature, &mut two[0].worker_signature);
    });
    assert_eq!(
        swapped
            .iter()
            .filter(|rule| **rule == Rule::WorkerSignature)
            .count(),
        2
    );
}

#[test]
fn what_is_not_signed_says_nothing_and_a_broken_link_names_the_hash_it_should() {
    // Whoever signs the last receipt anew with another key changes no sum but those of the line.
    let by_another = |all: &mut Vec<SignedReceipt>| {
        all[2].worker_signature = all[1].worker_signature.clone();
    };
    let found = cheated(|invoice| by_another(&mut invoice.leases[0].receipts));
    let sums = ["seconds", "energy_mj", "gross", "charged", "fee"];
    let mut expected = vec![
        (Rule::WorkerSignature, "leases[0].receipts[2]".to_owned()),
        (Rule::Countersignature, "leases[0].receipts[2]".to_owned()),
    ];
    expected.extend(sums.map(|name| (Rule::LineSum, format!("leases[0].{name}"))));
    assert_eq!(found, expected);
    // No signature at all.
    let found = cheated(|invoice| invoice.leases[0].receipts[2].worker_signature.clear());
    assert_eq!(found[0].0, Rule::WorkerSignature);

    let mut invoice = two_leases();
    let line = &mut invoice.leases[0];
    let broken = |all: &mut Vec<SignedReceipt>| {
        let mut receipt =
            receipt::from_bytes(&hex::decode(&all[2].bytes).expect("hex")).expect("bytes");
        receipt.previous = "ab".repeat(32);
        let receipt = sign_worker(receipt, &worker()).expect("signs");
        let receipt = countersign(receipt, &worker().verifying_key(), &platform()).expect("signs");
        all[2] = carried(&receipt, all[2].charged, all[2].posted_at).expect("signed");
    };
    broken(&mut line.receipts);
    let mut before =
        receipt::from_bytes(&hex::decode(&line.receipts[1].bytes).expect("hex")).expect("bytes");
    before
        .worker_signature
        .clone_from(&line.receipts[1].worker_signature);
    before.platform_signature = Some(line.receipts[1].platform_signature.clone());
    let hash = receipt::hash(&before).expect("signed");
    let verdict = verify(&sign(invoice, &platform()).expect("signs"), None);
    let link = &verdict.findings[0];
    assert_eq!(
        (link.rule, link.expected.as_str(), link.found.as_str()),
        (Rule::Link, hash.as_str(), "ab".repeat(32).as_str())
    );
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
}

#[test]
fn receipts_may_be_posted_at_one_moment_and_never_backwards() {
    let at_once = cheated(|invoice| {
        let all = &mut invoice.leases[0].receipts;
        all[1].posted_at = all[2].posted_at;
    });
    assert_eq!(at_once, []);
    let back = cheated(|invoice| {
        let all = &mut invoice.leases[0].receipts;
        all[1].posted_at = all[2].posted_at.plus_millis(1);
    });
    assert_eq!(
        back,
        [(Rule::Period, "leases[0].receipts[2].posted_at".to_owned())]
    );
}

fn month(leases: Vec<InvoiceLease>) -> Invoice {
    let (from, until) = month_of("2026-11").expect("a month");
    let mut invoice = document(leases);
    invoice.subject = Subject::Month {
        month: "2026-11".into(),
        from,
        until,
    };
    invoice.issued_at = until;
    invoice
}

/// A lease from the last minutes of October into November.
fn across() -> InvoiceLease {
    let (from, _) = month_of("2026-11").expect("a month");
    let mut line = lease(1, &[(60, Some(500)), (120, Some(900)), (180, Some(1_100))]);
    for (receipt, millis) in line.receipts.iter_mut().zip([-70_000, -10_000, 50_000]) {
        receipt.posted_at = from.plus_millis(millis);
    }
    line.receipts.remove(0);
    let mut opening = line.receipts.remove(0);
    opening.charged = Amount::ZERO;
    line.opening = Some(opening);
    line.seconds = Seconds::new(60);
    line.gross = amount(25_001 * 60);
    line.charged = amount(cost(line.price, 180).base() - cost(line.price, 120).base());
    line.fee = line.charged.checked_sub(line.gross).expect("more");
    line.energy_mj = Energy::try_new(200).ok();
    line
}

#[test]
fn a_month_goes_on_from_the_receipt_before_it() {
    let seal = |mut invoice: Invoice| {
        invoice.totals = sum(&invoice).expect("in range");
        found(&sign(invoice, &platform()).expect("signs"))
    };
    assert_eq!(seal(month(vec![across()])), []);
    let late = seal(month({
        let mut line = across();
        line.opening = None;
        vec![line]
    }));
    assert!(rules(&late).contains(&Rule::Gap), "{late:?}");
    let mut other = month(vec![across()]);
    other.subject = Subject::Month {
        month: "2026-10".into(),
        from: month_of("2026-11").expect("a month").0,
        until: month_of("2026-11").expect("a month").1,
    };
    assert_eq!(rules(&seal(other)), [Rule::Period, Rule::Period]);
    let mut moved = across();
    moved.receipts[0].posted_at = month_of("2026-11").expect("a month").1;
    assert_eq!(rules(&seal(month(vec![moved]))), [Rule::Period]);
    for (millis, expected) in [(0, vec![]), (-1, vec![Rule::Period])] {
        let mut first = across();
        first.receipts[0].posted_at = month_of("2026-11").expect("a month").0.plus_millis(millis);
        assert_eq!(rules(&seal(month(vec![first]))), expected, "{millis}");
    }
}

#[test]
fn the_ends_alone_tell_the_money() {
    let mut invoice = two_leases();
    invoice.receipts = Receipted::Ends;
    for line in &mut invoice.leases {
        let mut last = line.receipts.pop().expect("some");
        last.charged = line.charged;
        line.receipts = vec![last];
    }
    let invoice = sign(invoice, &platform()).expect("signs");
    assert_eq!(invoice.leases[0].receipts.len(), 1);
    assert_eq!(found(&invoice), []);
    let mut invoice = two_leases();
    invoice.receipts = Receipted::Ends;
    let invoice = sign(invoice, &platform()).expect("signs");
    assert_eq!(found(&invoice), [(Rule::Gap, "leases[0].receipts".into())]);
}

#[test]
fn refunds_are_of_receipts_that_were_paid() {
    let ruled = |lease: LeaseId, dispute: u8, seq: u64, base: i64| InvoiceRefund {
        lease,
        cause: RefundCause::Dispute {
            dispute: DisputeId::new(at(0), [dispute; 10]),
            seq,
        },
        amount: amount(base),
        at: at(100_000),
    };
    let unasked = |lease: LeaseId, base: i64, millis: i64| InvoiceRefund {
        lease,
        cause: RefundCause::Automatic {
            reason: RefundReason::LossBound,
            seconds: Seconds::new(10),
        },
        amount: amount(base),
        at: at(millis),
    };
    let with = |refunds: Vec<InvoiceRefund>| {
        let mut invoice = two_leases();
        invoice.refunds = refunds;
        invoice.totals = sum(&invoice).expect("in range");
        rules(&found(&sign(invoice, &platform()).expect("signs")))
    };
    let first = two_leases().leases[0].lease;
    let (charged, last) = (
        two_leases().leases[0].charged,
        two_leases().leases[0].receipts.clone(),
    );
    let of_last = last.last().expect("receipts").charged;
    let seq = u64::try_from(last.len()).expect("few");
    let one_more = |paid: Amount| paid.base() + 1;
    assert_eq!(with(vec![ruled(first, 1, seq, of_last.base())]), []);
    assert_eq!(
        with(vec![ruled(first, 1, seq, one_more(of_last))]),
        [Rule::Refund]
    );
    let strange = LeaseId::new(at(1), [0; 10]);
    assert_eq!(with(vec![ruled(strange, 1, 2, 1)]), [Rule::Subject]);
    // A receipt is disputed once; a dispute is about one receipt.
    for second in [ruled(first, 1, 1, 1), ruled(first, 2, 2, 1)] {
        assert_eq!(with(vec![ruled(first, 1, 2, 1), second]), [Rule::Subject]);
    }
    // All of a lease's together are no more than was paid for it.
    let all = charged.base();
    assert_eq!(with(vec![unasked(first, all, 90_000)]), []);
    assert_eq!(
        with(vec![unasked(first, all - 1, 90_000), ruled(first, 1, 2, 1)]),
        []
    );
    assert_eq!(
        with(vec![unasked(first, all, 90_000), ruled(first, 1, 2, 1)]),
        [Rule::Refund]
    );
    // What was owed is paid later, once.
    assert_eq!(
        with(vec![unasked(first, 1, 90_000), unasked(first, 1, 95_000)]),
        []
    );
    assert_eq!(
        with(vec![unasked(first, 1, 90_000), unasked(first, 1, 90_000)]),
        [Rule::Subject]
    );
    assert_eq!(two_leases().issued_at, at(9_000_000));
    assert_eq!(with(vec![unasked(first, 1, 9_000_000)]), []);
    assert_eq!(with(vec![unasked(first, 1, 9_000_001)]), [Rule::Period]);
}

#[test]
fn a_months_refunds_are_of_the_month_and_of_all_that_was_paid() {
    let (from, until) = month_of("2026-11").expect("a month");
    let line = across();
    let opening = line.opening.clone().expect("begun before").bytes;
    let opening = receipt::from_bytes(&hex::decode(opening).expect("hex")).expect("bytes");
    let before = cost(line.price, opening.seconds.get());
    let with = |base: i64, moment: Timestamp, ends: bool| {
        let mut invoice = month(vec![line.clone()]);
        if ends {
            invoice.receipts = Receipted::Ends;
            let mut last = invoice.leases[0].receipts.pop().expect("receipts");
            last.charged = line.charged;
            invoice.leases[0].receipts = vec![last];
        }
        invoice.issued_at = until.plus_millis(10);
        invoice.refunds = vec![InvoiceRefund {
            lease: line.lease,
            cause: RefundCause::Automatic {
                reason: RefundReason::SpecMissed,
                seconds: Seconds::new(1),
            },
            amount: amount(base),
            at: moment,
        }];
        invoice.totals = sum(&invoice).expect("in range");
        rules(&found(&sign(invoice, &platform()).expect("signs")))
    };
    // What was paid in the month before can come back in this one.
    let paid = before.base() + line.charged.base();
    for ends in [false, true] {
        assert_eq!(with(paid, from, ends), []);
        assert_eq!(with(paid + 1, from, ends), [Rule::Refund]);
    }
    assert_eq!(with(1, from.plus_millis(-1), false), [Rule::Period]);
    assert_eq!(with(1, until.plus_millis(-1), false), []);
    assert_eq!(with(1, until, false), [Rule::Period]);
}

#[test]
fn months_are_read_as_they_are_written() {
    let text = |month| month_of(month).map(|(from, until)| format!("{from} {until}"));
    assert_eq!(
        text("2026-12").as_deref(),
        Some("2026-12-01T00:00:00.000Z 2027-01-01T00:00:00.000Z")
    );
    for wrong in [
        "2026-13", "2026-00", "2026-1", "26-01", "2026", "", "2026-+1", "9999-12",
    ] {
        assert_eq!(text(wrong), None, "{wrong}");
    }
}

#[test]
fn a_pile_of_faults_is_bounded() {
    let mut invoice = two_leases();
    let one = invoice.leases[0].receipts[0].clone();
    invoice.leases[0].receipts = vec![one; 500];
    let verdict = verify(&invoice, None);
    assert_eq!(verdict.findings.len(), FINDINGS_MAX);
    assert!(verdict.more > 300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever receipts a lease has, what they add comes to what the line says, and it fits.
    #[test]
    fn any_lease_fits(added in prop::collection::vec((0_u64..100_000, prop::option::of(0_u64..10_000)), 1..8)) {
        let (mut seconds, mut energy) = (0, None);
        let told: Vec<(u64, Option<u64>)> = added
            .iter()
            .map(|(more, used)| {
                seconds += more;
                energy = match (energy, used) {
                    (Some(had), used) => Some(had + used.unwrap_or(0)),
                    (None, used) => *used,
                };
                (seconds, energy)
            })
            .collect();
        prop_assert_eq!(found(&document(vec![lease(1, &told)])), []);
    }

    /// Rubbish is refused, not fallen over.
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        prop_assert!(!check(&text, None).fits);
    }
}

/// The example is what is written here, and it fits for ever: an invoice must not stop to be true with a new version.
#[test]
fn the_example_is_true() {
    let example = include_str!("../../../../examples/invoice.json");
    if std::env::var_os("IOG_WRITE_EXAMPLES").is_some() {
        let mut text = serde_json::to_string_pretty(&two_leases()).expect("writes");
        text.push('\n');
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/invoice.json");
        std::fs::write(path, text).expect("writes");
        return;
    }
    assert_eq!(check(example, None).findings, []);
    let read: Invoice = serde_json::from_str(example).expect("reads");
    assert_eq!(read, two_leases());
}
