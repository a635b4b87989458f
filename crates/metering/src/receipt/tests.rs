use super::*;
use kernel::{Amount, Timestamp};
use proptest::prelude::*;

pub(crate) fn keys() -> (SigningKey, SigningKey) {
    (
        SigningKey::from_bytes(&[1; 32]),
        SigningKey::from_bytes(&[2; 32]),
    )
}

fn draft(head: &Head, seconds: u64, last: bool) -> Receipt {
    let at = Timestamp::from_millis(1_000);
    let price = PricePerSecond::from_amount(Amount::try_from_base(25_000).expect("in range"));
    Receipt {
        lease: LeaseId::new(at, [1; 10]),
        job: JobId::new(at, [2; 10]),
        node: NodeId::new(at, [3; 10]),
        device: DeviceId::new(at, [4; 10]),
        epoch: Epoch::new(1),
        seq: head.seq + 1,
        seconds: Seconds::new(seconds),
        price,
        amount: price.times(Seconds::new(seconds)).expect("in range"),
        energy_mj: None,
        last,
        issued_at: at,
        previous: head.hash.clone(),
        worker_signature: String::new(),
        platform_signature: None,
    }
}

/// The receipts of a lease with these cumulative seconds.
pub(crate) fn chain(totals: &[u64]) -> Vec<Receipt> {
    let (worker, platform) = keys();
    let mut head = Head::default();
    totals
        .iter()
        .map(|seconds| {
            let receipt = sign_worker(draft(&head, *seconds, false), &worker).expect("valid");
            let receipt = countersign(receipt, &worker.verifying_key(), &platform).expect("valid");
            head = Head::after(&receipt).expect("signed");
            receipt
        })
        .collect()
}

/// Another receipt to follow the same one, as well signed.
pub(crate) fn fork(before: &Receipt, seconds: u64, last: bool) -> Receipt {
    let (worker, platform) = keys();
    let head = Head::after(before).expect("signed");
    let receipt = sign_worker(draft(&head, seconds, last), &worker).expect("valid");
    countersign(receipt, &worker.verifying_key(), &platform).expect("valid")
}

fn verify(receipts: &[Receipt]) -> Result<Head, ChainError> {
    let (worker, platform) = keys();
    verify_chain(receipts, &worker.verifying_key(), &platform.verifying_key())
}

#[test]
fn a_chain_verifies_and_sums_up() {
    let receipts = chain(&[60, 120, 125]);
    assert_eq!(verify(&receipts).expect("valid").seconds, Seconds::new(125));
    assert_eq!(verify(&[]), Ok(Head::default()));
}

#[test]
fn each_forged_field_is_noticed() {
    let forge = |change: fn(&mut Receipt)| {
        let mut receipts = chain(&[60, 120]);
        change(&mut receipts[1]);
        verify(&receipts).expect_err("forged")
    };
    assert_eq!(
        forge(|r| r.seconds = Seconds::new(121)),
        ReceiptError::Amount.into()
    );
    assert_eq!(
        forge(|r| r.seconds = Seconds::new(59)),
        ChainError::Backwards { got: 59, had: 60 }
    );
    assert_eq!(
        forge(|r| r.seq = 3),
        ChainError::Sequence {
            got: 3,
            expected: 2
        }
    );
    assert_eq!(
        forge(|r| r.previous = NO_PREVIOUS.into()),
        ChainError::Broken
    );
    assert_eq!(
        forge(|r| r.epoch = Epoch::new(2)),
        ChainError::StaleEpoch {
            got: 2,
            expected: 1
        }
    );
    assert_eq!(
        forge(|r| r.job = JobId::new(Timestamp::from_millis(9), [0; 10])),
        ChainError::OtherLease
    );
    assert_eq!(
        forge(|r| r.last = true),
        ReceiptError::WorkerSignature.into()
    );
    assert_eq!(
        forge(|r| r.issued_at = Timestamp::from_millis(5)),
        ReceiptError::WorkerSignature.into()
    );
    assert_eq!(
        forge(|r| r.platform_signature = None),
        ReceiptError::PlatformSignature.into()
    );
    assert_eq!(
        forge(|r| r.worker_signature = "00".repeat(64)),
        ReceiptError::WorkerSignature.into()
    );
}

#[test]
fn energy_is_signed_in_version_2_and_never_falls() {
    let (worker, platform) = keys();
    let tells = |energy: Option<u64>, head: &Head, seconds| {
        let energy_mj = energy.map(|mj| Energy::try_new(mj).expect("in range"));
        let receipt = Receipt {
            energy_mj,
            ..draft(head, seconds, false)
        };
        let receipt = sign_worker(receipt, &worker).expect("valid");
        countersign(receipt, &worker.verifying_key(), &platform).expect("valid")
    };
    let untold = tells(None, &Head::default(), 1);
    assert!(
        signed_bytes(&untold)
            .expect("valid")
            .starts_with(b"iog.receipt.v1\0")
    );
    let head = Head::after(&untold).expect("signed");
    let first = tells(Some(70_000), &head, 60);
    let bytes = signed_bytes(&first).expect("valid");
    assert!(bytes.starts_with(b"iog.receipt.v2\0"));
    assert_eq!(bytes.len(), signed_bytes(&untold).expect("valid").len() + 8);
    let head = Head::after(&first).expect("signed");
    let chain = |next| verify(&[untold.clone(), first.clone(), next]);
    assert!(chain(tells(Some(70_000), &head, 61)).is_ok());
    assert_eq!(
        chain(tells(Some(69_999), &head, 61)),
        Err(ChainError::EnergyBackwards {
            got: Some(69_999),
            had: 70_000
        })
    );
    assert_eq!(
        chain(tells(None, &head, 61)),
        Err(ChainError::EnergyBackwards {
            got: None,
            had: 70_000
        })
    );
    let mut forged = first.clone();
    forged.energy_mj = Some(Energy::ZERO);
    assert_eq!(
        verify(&[untold.clone(), forged]),
        Err(ReceiptError::WorkerSignature.into())
    );
    let mut forged = first.clone();
    forged.energy_mj = None;
    assert_eq!(
        verify(&[untold, forged]),
        Err(ReceiptError::WorkerSignature.into())
    );
}

#[test]
fn the_platform_signs_only_what_the_worker_signed() {
    let (worker, platform) = keys();
    let unsigned = draft(&Head::default(), 5, false);
    assert_eq!(
        countersign(unsigned, &worker.verifying_key(), &platform),
        Err(ReceiptError::WorkerSignature)
    );
    let signed = chain(&[5]).remove(0);
    assert_eq!(verify_platform(&signed, &platform.verifying_key()), Ok(()));
    assert_eq!(
        verify_platform(&signed, &worker.verifying_key()),
        Err(ReceiptError::PlatformSignature)
    );
    let by_another = sign_worker(draft(&Head::default(), 5, false), &platform).expect("valid");
    assert_eq!(
        countersign(by_another, &worker.verifying_key(), &platform),
        Err(ReceiptError::WorkerSignature)
    );
}

#[test]
fn less_energy_is_said_in_words() {
    let less = |got| ChainError::EnergyBackwards { got, had: 7 }.to_string();
    assert!(less(Some(5)).starts_with("5 mJ "), "{}", less(Some(5)));
    assert!(less(None).starts_with("untold mJ "), "{}", less(None));
}

#[test]
fn nothing_follows_the_last_and_nothing_passes_the_bound() {
    let head = Head::default();
    let terms = Terms::of(&draft(&head, 0, false));
    assert_eq!(
        head.admits(&draft(&head, 11, false), &terms, Seconds::new(10)),
        Err(ChainError::TooMany { got: 11, bound: 10 })
    );
    let (ten, nine) = (Seconds::new(10), Seconds::new(9));
    assert_eq!(head.admits(&draft(&head, 10, false), &terms, ten), Ok(()));
    // The last receipt may tell of no second more.
    let had = Head {
        seconds: ten,
        ..Head::default()
    };
    assert_eq!(had.admits(&draft(&had, 10, true), &terms, ten), Ok(()));
    assert_eq!(
        had.admits(&draft(&had, 9, true), &terms, nine),
        Err(ChainError::Backwards { got: 9, had: 10 })
    );
    let ended = Head {
        last: true,
        ..Head::default()
    };
    assert_eq!(
        ended.admits(&draft(&ended, 1, false), &terms, Seconds::new(10)),
        Err(ChainError::AfterLast)
    );
}

proptest! {
    /// What was signed can be read back, and only from these very bytes.
    #[test]
    fn a_receipt_survives_its_bytes(
        numbers in any::<[u64; 3]>(),
        energy in prop::option::of(0..=Energy::MAX.millijoules()),
        sums in (0..=Amount::MAX.base(), 0..=Amount::MAX.base()),
        last in any::<bool>(),
        at in any::<i64>(),
        cut in 0_usize..160,
    ) {
        let amount = |base| Amount::try_from_base(base).expect("in range");
        let receipt = Receipt {
            epoch: Epoch::new(numbers[0]),
            seq: numbers[1],
            seconds: Seconds::new(numbers[2]),
            price: PricePerSecond::from_amount(amount(sums.0)),
            amount: amount(sums.1),
            energy_mj: energy.map(|mj| Energy::try_new(mj).expect("in range")),
            last,
            issued_at: Timestamp::from_millis(at),
            previous: "5f".repeat(32),
            ..draft(&Head::default(), 1, false)
        };
        let mut bytes = signed_bytes(&receipt).expect("valid");
        prop_assert_eq!(from_bytes(&bytes), Ok(receipt));
        prop_assert_eq!(from_bytes(&bytes[..cut]), Err(ReceiptError::Bytes));
        bytes.push(0);
        prop_assert_eq!(from_bytes(&bytes), Err(ReceiptError::Bytes));
    }

    /// No bytes make it panic, and what can be read is written the same.
    #[test]
    fn any_bytes_are_read_or_refused(version in 1_u8..=2, rest in prop::collection::vec(any::<u8>(), 145..=153)) {
        let bytes = [b"iog.receipt.v", [b'0' + version].as_slice(), &[0], &rest].concat();
        if let Ok(receipt) = from_bytes(&bytes) {
            prop_assert_eq!(signed_bytes(&receipt), Ok(bytes));
        }
    }

    /// Deliver the receipts of a chain several times and in any order: accepted is each once, in order.
    #[test]
    fn repeats_and_disorder_change_nothing(order in prop::collection::vec(0usize..6, 0..60)) {
        let receipts = chain(&[1, 2, 3, 5, 8, 13]);
        let terms = Terms::of(&receipts[0]);
        let mut head = Head::default();
        let mut accepted = Vec::new();
        for i in order {
            if head.admits(&receipts[i], &terms, Seconds::new(100)).is_ok() {
                head = Head::after(&receipts[i]).expect("signed");
                accepted.push(i);
            }
        }
        prop_assert_eq!(&accepted, &(0..accepted.len()).collect::<Vec<_>>());
    }

    #[test]
    fn any_changed_bit_of_a_signature_is_noticed(position in 0usize..128, which in any::<bool>()) {
        let mut receipts = chain(&[7]);
        let text = if which { receipts[0].worker_signature.clone() } else { receipts[0].platform_signature.clone().expect("signed") };
        let digit = text.as_bytes()[position];
        let other = if digit == b'0' { "1" } else { "0" };
        let mut text = text;
        text.replace_range(position..=position, other);
        if which { receipts[0].worker_signature = text } else { receipts[0].platform_signature = Some(text) }
        prop_assert!(verify(&receipts).is_err());
    }
}
