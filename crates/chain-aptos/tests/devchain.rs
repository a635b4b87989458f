//! The port against the development chain: real signatures, real Move, and the faults of a network.

mod support;

use chain_aptos::Aptos;
use ed25519_dalek::{Signer as _, SigningKey};
use kernel::{AccountId, Amount, PayoutId};
use settlement::batch::{LineEnd, plan};
use settlement::chain::{Chain as _, Deed, EventKind, Order, Submitted};
use settlement::proof::{Proof, Standing};
use settlement::report::Earning;
use settlement::sign_in::WalletKey;
use settlement::{Address, Batch, ChainError, Code, Line, Outgoing, Tag, Tree, Voucher, Week};
use support::{Devchain, address, carry, contract, development, read_on};

fn io(base: i64) -> Amount {
    Amount::try_from_base(base).expect("in range")
}

fn line(number: u64, base: i64) -> Line {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let mut payee = [0xAA; 32];
    payee[24..].copy_from_slice(&number.to_be_bytes());
    Line {
        payout: PayoutId::from_bytes(id),
        payee: Address::from_bytes(payee),
        amount: io(base),
    }
}

fn person() -> SigningKey {
    SigningKey::from_bytes(&[0x51; 32])
}

/// What a wallet gives back: kind, key, signature.
fn wallet(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let public = WalletKey::ed25519(key.verifying_key()).to_bcs();
    let signature = key.sign(message).to_bytes();
    [&[0], public.as_slice(), &[64], &signature].concat()
}

async fn act(aptos: &Aptos, key: &SigningKey, deed: Deed, random: u8) -> Outgoing {
    let unsigned = aptos
        .propose(address(key), &deed, [random; 8])
        .await
        .expect("a proposal");
    let signed = aptos
        .sponsor(&unsigned.bytes, &wallet(key, &unsigned.to_sign))
        .expect("sponsored");
    carry(aptos, &signed).await
}

/// Someone without APT puts `base` units into the vault.
async fn deposit(chain: &Devchain, aptos: &Aptos, base: i64, random: u8) -> Tag {
    let tag = Tag::of(AccountId::from_bytes([0x42; 16]));
    chain.mint(address(&person()), base.unsigned_abs()).await;
    let deed = Deed::Deposit {
        tag,
        amount: io(base),
    };
    let state = act(aptos, &person(), deed, random).await;
    assert!(matches!(state, Outgoing::Landed { .. }), "{state}");
    tag
}

/// What the build carries is what these contracts compile to. After a change of them, put what this prints into contracts/code.txt.
#[tokio::test]
async fn the_build_carries_the_code_of_these_contracts() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 0);
    let aptos = chain.connect().await;
    let held = aptos.code().await.expect("a code");
    assert_eq!(
        held.to_string(),
        Code::built().expect("a code").to_string(),
        "\n{held}"
    );
}

#[tokio::test]
async fn a_deposit_comes_in_and_a_batch_goes_out_once() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 0);
    let aptos = chain.connect().await;
    let tag = deposit(&chain, &aptos, 1_000, 1).await;
    assert_eq!(aptos.balances().await.expect("balances").vault, io(1_000));
    assert_eq!(
        aptos.holding(address(&person())).await.expect("holding"),
        Amount::ZERO
    );

    // Of the chain's own addresses, the zero address is paid nothing.
    let mut nobody = line(2, 100);
    nobody.payee = Address::from_bytes([0; 32]);
    let batch = Batch::try_new(vec![line(1, 300), nobody, line(3, 200)]).expect("a batch");
    assert!(!aptos.is_settled(batch.id()).await.expect("told"));
    let sender = aptos.senders()[0].address;
    let signed = aptos
        .prepare(Order::Pay(&batch), sender, [2; 8])
        .await
        .expect("signed");
    let other = aptos
        .prepare(Order::Pay(&batch), sender, [3; 8])
        .await
        .expect("signed");
    assert_ne!(signed.hash, other.hash);
    assert!(matches!(
        carry(&aptos, &signed).await,
        Outgoing::Landed { .. }
    ));
    // The same batch in another transaction runs, and fails.
    assert!(matches!(
        carry(&aptos, &other).await,
        Outgoing::Failed { .. }
    ));
    let again = aptos.prepare(Order::Pay(&batch), sender, [4; 8]).await;
    assert!(
        matches!(again, Err(ChainError::WouldFail { code: Some(8), .. })),
        "{again:?}"
    );
    assert!(aptos.is_settled(batch.id()).await.expect("told"));
    assert_eq!(
        aptos.holding(line(1, 0).payee).await.expect("holding"),
        io(300)
    );
    assert_eq!(aptos.balances().await.expect("balances").vault, io(500));

    // Each event once, in whatever pages; a second reading from the start tells the same.
    let (events, next) = read_on(&aptos, 0, 3).await;
    let (same, _) = read_on(&aptos, 0, 100).await;
    assert_eq!(events, same);
    assert!(read_on(&aptos, next, 100).await.0.is_empty());
    let deposits: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Deposited { .. }))
        .collect();
    assert_eq!(deposits.len(), 1);
    let from = address(&person());
    assert_eq!(
        deposits[0].kind,
        EventKind::Deposited {
            from,
            tag: Some(tag),
            amount: io(1_000)
        }
    );
    let ends = batch.ends(&events).expect("told in full");
    assert_eq!(
        ends.iter().map(|(_, end)| *end).collect::<Vec<_>>(),
        [LineEnd::Paid, LineEnd::Skipped(4), LineEnd::Paid]
    );
}

#[tokio::test]
async fn whatever_the_network_does_each_line_is_paid_once() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 100);
    let aptos = chain.connect().await;
    deposit(&chain, &aptos, 10_000, 1).await;
    let sender = aptos.senders()[0].address;
    let lines = (1..=6).map(|number| line(number, 100)).collect();
    let plan = plan(lines, 1, io(10_000)).expect("a plan");
    let faults = [
        "drop_reply",
        "status_429",
        "status_503",
        "duplicate_reply",
        "stall",
        "expire",
    ];
    for ((batch, fault), random) in plan.batches.iter().zip(faults).zip(10_u8..) {
        let signed = aptos
            .prepare(Order::Pay(batch), sender, [random; 8])
            .await
            .expect("signed");
        chain.fault(fault, 1).await;
        let first = aptos.submit(&signed.bytes).await;
        assert!(first.is_ok(), "{fault}: {first:?}");
        if fault == "duplicate_reply" {
            assert_eq!(first, Ok(Submitted::Known));
        }
        if ["stall", "expire"].contains(&fault) {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            // Handed over again it would go through: this one stays unheard of until its time is over, and is proven absent.
            let mut state = Outgoing::Signed.sent();
            for seconds in [0, 120, 20] {
                if seconds > 0 {
                    chain.advance(seconds).await;
                }
                assert!(!state.may_be_replaced(), "{fault}");
                let sighting = aptos.look_up(signed.hash).await.expect("an answer");
                state = state
                    .after(signed.expires_at, &sighting)
                    .expect("no contradiction");
            }
            assert_eq!(state, Outgoing::Absent, "{fault}");
            let late = aptos.submit(&signed.bytes).await;
            assert!(matches!(late, Err(ChainError::Refused(_))), "{late:?}");
            let next = aptos
                .prepare(Order::Pay(batch), sender, [random + 100; 8])
                .await
                .expect("signed");
            assert!(
                matches!(carry(&aptos, &next).await, Outgoing::Landed { .. }),
                "{fault}"
            );
        } else {
            assert!(
                matches!(carry(&aptos, &signed).await, Outgoing::Landed { .. }),
                "{fault}"
            );
        }
    }
    let (events, _) = read_on(&aptos, 0, 100).await;
    for batch in &plan.batches {
        let ends = batch.ends(&events).expect("told once");
        assert_eq!(ends, [(batch.lines()[0].payout, LineEnd::Paid)]);
        let paid = aptos
            .holding(batch.lines()[0].payee)
            .await
            .expect("holding");
        assert_eq!(paid, io(100));
    }
    assert_eq!(aptos.balances().await.expect("balances").vault, io(9_400));
}

#[tokio::test]
async fn batches_of_one_sender_go_in_parallel_and_a_full_one_stays_under_the_ceiling() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 200);
    let aptos = chain.connect().await;
    deposit(&chain, &aptos, 1_000_000, 1).await;
    let sender = aptos.senders()[0].address;
    let lines = (1..=1_024).map(|number| line(number, 5)).collect();
    let plan = plan(lines, 256, io(1_000_000)).expect("a plan");
    let mut all = Vec::new();
    for (batch, random) in plan.batches.iter().zip(1_u8..) {
        let signed = aptos
            .prepare(Order::Pay(batch), sender, [random; 8])
            .await
            .expect("signed");
        let ceiling = chain.settings().ceiling;
        assert!(signed.fee_max <= ceiling.units * ceiling.price);
        println!(
            "{} lines: at most {} in fees",
            batch.lines().len(),
            signed.fee_max
        );
        all.push(signed);
    }
    // Backwards: they need no order among themselves.
    for signed in all.iter().rev() {
        assert_eq!(aptos.submit(&signed.bytes).await, Ok(Submitted::Accepted));
    }
    for signed in &all {
        assert!(matches!(
            carry(&aptos, signed).await,
            Outgoing::Landed { .. }
        ));
    }
    assert_eq!(
        aptos.balances().await.expect("balances").vault,
        io(1_000_000 - 1_024 * 5)
    );
}

#[tokio::test]
async fn a_kill_of_the_chain_loses_nothing_that_it_answered() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 100);
    let aptos = chain.connect().await;
    deposit(&chain, &aptos, 1_000, 1).await;
    let sender = aptos.senders()[0].address;
    let batch = Batch::try_new(vec![line(1, 300)]).expect("a batch");
    let signed = aptos
        .prepare(Order::Pay(&batch), sender, [2; 8])
        .await
        .expect("signed");
    aptos.submit(&signed.bytes).await.expect("accepted");
    // `drop` kills it.
    drop(chain);
    let gone = aptos.look_up(signed.hash).await;
    assert!(
        matches!(&gone, Err(error) if error.is_temporary()),
        "{gone:?}"
    );
    let chain = Devchain::start(data.path(), 100);
    let aptos = chain.connect().await;
    assert!(matches!(
        carry(&aptos, &signed).await,
        Outgoing::Landed { .. }
    ));
    assert_eq!(aptos.balances().await.expect("balances").vault, io(700));
}

#[tokio::test]
async fn the_weekly_report_is_on_the_chain_and_a_proof_fits_it() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 0);
    let aptos = chain.connect().await;
    let week = Week::closed_at(aptos.head().await.expect("head").at).expect("a week");
    let owner = Address::of_owner(AccountId::from_bytes([1; 16]));
    let earning = |base| Earning {
        owner,
        amount: io(base),
    };
    let first = Tree::try_new(week, 1, [earning(5)]).expect("a report");
    let reporter = aptos.reporter().expect("a reporter");
    let signed = aptos
        .prepare(Order::Publish(first.heading()), reporter, [2; 8])
        .await
        .expect("signed");
    assert!(matches!(
        carry(&aptos, &signed).await,
        Outgoing::Landed { .. }
    ));
    assert_eq!(aptos.report(week, None).await, Ok(Some(*first.heading())));
    let proof = Proof::of(&first, 4, contract(), &owner).expect("there");
    let compared = |newest, published| proof.compare(4, contract(), published, newest);
    assert_eq!(compared(1, Some(first.heading())), Ok(Standing::Current));

    // The same version again is stale; the next one corrects.
    let stale = aptos
        .prepare(Order::Publish(first.heading()), reporter, [3; 8])
        .await;
    assert!(
        matches!(stale, Err(ChainError::WouldFail { code: Some(4), .. })),
        "{stale:?}"
    );
    let corrected = Tree::try_new(week, 1, [earning(6)]).expect("a report");
    let second = corrected
        .after(first.heading())
        .expect("a report")
        .expect("it differs");
    let signed = aptos
        .prepare(Order::Publish(second.heading()), reporter, [4; 8])
        .await
        .expect("signed");
    carry(&aptos, &signed).await;
    let published = aptos.report(week, Some(1)).await.expect("told");
    assert_eq!(
        compared(2, published.as_ref()),
        Ok(Standing::Corrected { newest: 2 })
    );
    assert_eq!(aptos.report(week, Some(3)).await, Ok(None));
    let (events, _) = read_on(&aptos, 0, 100).await;
    let published: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        published,
        [first, second].map(|tree| EventKind::Published(*tree.heading()))
    );
    // A week that is not over.
    let open = week.next().expect("a week");
    let early = Tree::try_new(open, 1, [earning(5)]).expect("a report");
    let early = aptos
        .prepare(Order::Publish(early.heading()), reporter, [5; 8])
        .await;
    assert!(
        matches!(early, Err(ChainError::WouldFail { code: Some(3), .. })),
        "{early:?}"
    );
}

#[tokio::test]
async fn an_owner_redeems_a_voucher_without_the_platform() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 0);
    let aptos = chain.connect().await;
    let (renter, owner) = (person(), SigningKey::from_bytes(&[0x52; 32]));
    chain.mint(address(&renter), 1_000).await;
    let session = SigningKey::from_bytes(&[0x53; 32]);
    let voucher_key = session.verifying_key().to_bytes();
    let channel = aptos
        .channel_address(address(&renter), 7)
        .await
        .expect("an address");
    assert_eq!(aptos.channel(channel).await, Ok(None));
    let open = Deed::Open {
        number: 7,
        voucher_key,
        deposit: io(800),
    };
    assert!(matches!(
        act(&aptos, &renter, open, 1).await,
        Outgoing::Landed { .. }
    ));
    let more = Deed::TopUp {
        number: 7,
        amount: io(200),
    };
    assert!(matches!(
        act(&aptos, &renter, more, 2).await,
        Outgoing::Landed { .. }
    ));
    let seen = aptos.channel(channel).await.expect("told").expect("open");
    assert_eq!(
        (seen.renter, seen.balance, seen.voucher_key),
        (address(&renter), io(1_000), voucher_key)
    );
    assert_eq!((seen.closing_until, seen.is_closed), (None, false));

    let voucher = Voucher {
        chain: 4,
        channel,
        payee: address(&owner),
        cumulative: io(300),
    };
    let redeem = Deed::Redeem(voucher.sign(&session));
    assert!(matches!(
        act(&aptos, &owner, redeem.clone(), 3).await,
        Outgoing::Landed { .. }
    ));
    assert!(matches!(
        act(&aptos, &owner, redeem, 4).await,
        Outgoing::Landed { .. }
    ));
    assert_eq!(aptos.holding(address(&owner)).await, Ok(io(300)));
    assert_eq!(aptos.redeemed(channel, address(&owner)).await, Ok(io(300)));
    // The platform may hand one in for an owner; a forged one, a lower one and too much are refused before anything is sent.
    let reporter = aptos.reporter().expect("a reporter");
    let try_it = async |voucher: Voucher, key: &SigningKey| {
        let signed = voucher.sign(key);
        match aptos
            .prepare(Order::Redeem(&signed), reporter, [9; 8])
            .await
        {
            Err(ChainError::WouldFail { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        try_it(
            Voucher {
                cumulative: io(400),
                ..voucher
            },
            &owner
        )
        .await,
        Some(10)
    );
    assert_eq!(
        try_it(
            Voucher {
                cumulative: io(299),
                ..voucher
            },
            &session
        )
        .await,
        Some(11)
    );
    assert_eq!(
        try_it(
            Voucher {
                cumulative: io(1_001),
                ..voucher
            },
            &session
        )
        .await,
        Some(12)
    );

    assert!(matches!(
        act(&aptos, &renter, Deed::StartClose { number: 7 }, 5).await,
        Outgoing::Landed { .. }
    ));
    let seen = aptos
        .channel(channel)
        .await
        .expect("told")
        .expect("closing");
    assert!(seen.closing_until.is_some());
    chain.advance(86_401).await;
    assert!(matches!(
        act(&aptos, &renter, Deed::FinishClose { number: 7 }, 6).await,
        Outgoing::Landed { .. }
    ));
    assert_eq!(aptos.holding(address(&renter)).await, Ok(io(700)));
    assert!(
        aptos
            .channel(channel)
            .await
            .expect("told")
            .expect("closed")
            .is_closed
    );
    let (events, _) = read_on(&aptos, 0, 100).await;
    let names: Vec<&str> = events
        .iter()
        .map(|event| match event.kind {
            EventKind::Opened { .. } => "opened",
            EventKind::ToppedUp { .. } => "topped up",
            EventKind::Redeemed { .. } => "redeemed",
            EventKind::Closing { .. } => "closing",
            EventKind::Closed { .. } => "closed",
            _ => "other",
        })
        .collect();
    assert_eq!(names[..3], ["opened", "topped up", "redeemed"]);
    assert_eq!(names[names.len() - 2..], ["closing", "closed"]);
}

#[tokio::test]
async fn what_is_not_ours_is_refused_at_once() {
    let data = tempfile::tempdir().expect("a folder");
    let chain = Devchain::start(data.path(), 0);
    let refused = async |change: fn(&mut chain_aptos::Settings)| {
        let mut settings = chain.settings();
        change(&mut settings);
        Aptos::connect(settings).await.err().expect("refused")
    };
    // Before roles are given.
    let (sender, role) = (address(&development()), "settler");
    assert_eq!(
        refused(|_| ()).await,
        ChainError::NotAllowed { sender, role }
    );
    let aptos = chain.connect().await;
    let (expected, got) = (1, 4);
    assert_eq!(
        refused(|s| s.chain = 1).await,
        ChainError::WrongChain { expected, got }
    );
    let elsewhere = refused(|s| s.contract = Address::from_bytes([9; 32])).await;
    assert!(
        matches!(elsewhere, ChainError::WrongContract { .. }),
        "{elsewhere}"
    );
    let stranger = refused(|s| s.settlers = vec![person()]).await;
    assert_eq!(
        stranger,
        ChainError::NotAllowed {
            sender: address(&person()),
            role: "settler"
        }
    );
    assert!(
        stranger
            .to_string()
            .contains("admin must make it a settler")
    );
    let nobody = refused(|s| s.url = "http://127.0.0.1:9/v1".into()).await;
    assert!(nobody.is_temporary(), "{nobody}");

    // A fee is paid for people's own calls of our contract, signed by their own key, and for nothing else.
    chain.mint(address(&person()), 10).await;
    let tag = Tag::of(AccountId::from_bytes([1; 16]));
    let deed = Deed::Deposit {
        tag,
        amount: io(10),
    };
    let unsigned = aptos
        .propose(address(&person()), &deed, [1; 8])
        .await
        .expect("a proposal");
    let good = wallet(&person(), &unsigned.to_sign);
    let sponsor = |bytes: &[u8], wallet: &[u8]| match aptos.sponsor(bytes, wallet) {
        Err(ChainError::NotOurs(why)) => why,
        other => panic!("{other:?}"),
    };
    let other = wallet(&SigningKey::from_bytes(&[1; 32]), &unsigned.to_sign);
    assert!(sponsor(&unsigned.bytes, &other).contains("not its sender's"));
    assert!(
        sponsor(&unsigned.bytes, &wallet(&person(), b"something else")).contains("does not fit")
    );
    for at in 0..unsigned.bytes.len() {
        let mut changed = unsigned.bytes.clone();
        changed[at] ^= 1;
        sponsor(&changed, &good);
    }
    let batch = Batch::try_new(vec![line(1, 1)]).expect("a batch");
    let pay = aptos
        .prepare(Order::Pay(&batch), sender, [2; 8])
        .await
        .expect("signed");
    let raw = &pay.bytes[..pay.bytes.len() - 99];
    assert!(sponsor(raw, &good).contains("something else than people's functions"));
    assert!(aptos.sponsor(&unsigned.bytes, &good).is_ok());
    // Nobody without IO is helped to a transaction that would fail.
    let poor = aptos
        .propose(Address::from_bytes([3; 32]), &deed, [1; 8])
        .await;
    assert!(
        matches!(poor, Err(ChainError::WouldFail { .. })),
        "{poor:?}"
    );
}
