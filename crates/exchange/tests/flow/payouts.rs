//! Money that goes out and comes in, disputes, limits, and what the reconciler finds.

use exchange::{Actor, Error, PayoutMove};
use kernel::{Amount, LeaseId};
use protocol::money::{
    ApprovalAction, DepositState, DisputeState, IncidentKind, Limits, Party, PayoutState,
};
use protocol::notice::Notice;
use protocol::problem::Code;
use protocol::state::RunEnd;
use protocol::view::Role;
use sqlx::Executor;

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };
/// 130 s at the price; the owner's fee is a quarter of a percent.
const EARNED: i64 = 3_241_875;
const PAID: i64 = 3_258_125;

fn io(base: i64) -> Amount {
    Amount::try_from_base(base).unwrap()
}

fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.problem().code)
}

pub async fn admin(world: &World, name: &str) -> Actor {
    let email = format!("{name}@example.org");
    let made = world
        .exchange
        .admin_create_account(&email, "long enough", name, &[Role::Admin], None)
        .await;
    made.unwrap();
    let actor = world.exchange.actor_by_email(&email).await.unwrap();
    actor.unwrap()
}

/// What somebody was told. The clock stands still, so the order says nothing.
async fn told(world: &World, who: &Actor) -> Vec<Notice> {
    let page = world.exchange.notices(who, None, 200).await.unwrap();
    page.items.into_iter().map(|view| view.notice).collect()
}

/// A job of 130 s that is over and paid.
async fn worked(world: &World, rita: &Actor, otto: &Actor) -> LeaseId {
    let mut worker = Worker::new(1, PRICE);
    worker.join(world, otto).await;
    let job = world.exchange.submit(rita, spec(""), None, None).await;
    let job = job.unwrap().summary.id;
    worker.start(world).await;
    worker.work(world, 130).await;
    worker.end(world, FINISHED).await;
    let view = world.exchange.job(rita, job).await.unwrap();
    view.leases[0].id
}

async fn in_order(world: &World) {
    assert_eq!(world.sum_of_books().await, 0);
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
}

#[tokio::test]
async fn fault_yagna_2765_a_payout_goes_out_once_and_one_transaction_pays_one() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        worked(&world, &rita, &otto).await;
        let (one, two) = (admin(&world, "ann").await, admin(&world, "bob").await);
        let exchange = &world.exchange;
        let wallet = "0xabcdef";
        let ask = |amount, key| exchange.request_payout(&otto, amount, Some(wallet), key);
        assert_eq!(
            code(ask(io(999_999), None).await),
            Some(Code::Invalid),
            "less than the least"
        );
        assert_eq!(
            code(ask(io(EARNED + 1), None).await),
            Some(Code::Invalid),
            "more than there is"
        );
        let bad = exchange
            .request_payout(&otto, io(1_000_000), Some("0x1"), None)
            .await;
        assert_eq!(code(bad), Some(Code::Invalid));
        let both = exchange
            .request_payout(&otto, io(EARNED + 1), Some("0x1"), None)
            .await
            .unwrap_err()
            .problem();
        let named: Vec<_> = both
            .fields
            .iter()
            .map(|wrong| wrong.field.as_str())
            .collect();
        assert_eq!(named, ["amount", "address"], "all that is wrong at once");
        // fault_akash_console_3449: a retry is the same payout, and another body under its key is refused.
        let first = ask(io(1_000_000), Some("k")).await.unwrap();
        assert_eq!(ask(io(1_000_000), Some("k")).await.unwrap(), first);
        let other = ask(io(1_000_001), Some("k")).await;
        assert_eq!(code(other), Some(Code::IdempotencyMismatch));
        let second = ask(io(1_200_000), None).await.unwrap();
        // fault_akash_console_3600: what is asked for twice is there twice, or refused.
        assert_eq!(code(ask(io(1_100_000), None).await), Some(Code::Invalid));
        assert_eq!(
            exchange.balance(&otto).await.unwrap().withdrawable,
            io(EARNED - 2_200_000)
        );

        // Only admins move it, step by step, and only another account's.
        let approve = |who, id| exchange.move_payout(who, id, PayoutMove::Approve, None);
        assert_eq!(code(approve(&otto, first.id).await), Some(Code::Forbidden));
        let send = |id, reference: &str| {
            let reference = reference.to_owned();
            exchange.move_payout(&one, id, PayoutMove::Send { reference }, None)
        };
        assert_eq!(code(send(first.id, "0xfeed").await), Some(Code::Conflict));
        approve(&one, first.id).await.unwrap();
        approve(&two, second.id).await.unwrap();
        send(first.id, "0xfeed").await.unwrap();
        // One transaction outside pays one payout here.
        assert_eq!(code(send(second.id, "0xfeed").await), Some(Code::Invalid));
        let paid = exchange
            .move_payout(&one, first.id, PayoutMove::Confirm, None)
            .await;
        assert_eq!(paid.unwrap().state, PayoutState::Paid);
        let again = exchange
            .move_payout(&one, first.id, PayoutMove::Confirm, None)
            .await;
        assert_eq!(code(again), Some(Code::Conflict));
        send(second.id, "0xbeef").await.unwrap();
        let late = exchange.cancel_payout(&otto, second.id, None).await;
        assert_eq!(code(late), Some(Code::Conflict), "it is sent");
        let why = "the wallet refused it".to_owned();
        exchange
            .move_payout(&two, second.id, PayoutMove::Fail { why }, None)
            .await
            .unwrap();
        let balance = exchange.balance(&otto).await.unwrap();
        assert_eq!(
            balance.withdrawable,
            io(EARNED - 1_000_000),
            "what failed came back"
        );
        let made = exchange.earnings(&otto).await.unwrap();
        assert_eq!(
            (made.paid_out, made.in_transit),
            (io(1_000_000), Amount::ZERO)
        );

        // Its owner was told of each step, and of why it came back.
        let mut steps = Vec::new();
        for notice in told(&world, &otto).await {
            if let Notice::PayoutUpdated {
                payout,
                state,
                reason,
                ..
            } = notice
                && payout == second.id
            {
                steps.push((state.as_str(), reason));
            }
        }
        let why = Some("the wallet refused it".to_owned());
        steps.sort();
        assert_eq!(
            steps,
            [
                ("approved", None),
                ("failed", why),
                ("requested", None),
                ("sent", None)
            ]
        );

        // What is withdrawable can be spent here instead, once.
        let spend = |key| exchange.convert_earnings(&otto, io(41_875), key);
        let after = spend(Some("c")).await.unwrap();
        assert_eq!(spend(Some("c")).await.unwrap(), after);
        assert_eq!(after.available, io(41_875));
        assert_eq!(after.withdrawable, io(EARNED - 1_041_875));
        in_order(&world).await;
    }
}

#[tokio::test]
async fn two_admins_freeze_a_payout_and_one_alone_does_not() {
    let world = World::new("sqlite").await;
    let (rita, otto) = world.people("10").await;
    worked(&world, &rita, &otto).await;
    let (one, two) = (admin(&world, "ann").await, admin(&world, "bob").await);
    let exchange = &world.exchange;
    let payout = exchange
        .request_payout(&otto, io(EARNED), Some("0xabc"), None)
        .await
        .unwrap();
    let freeze =
        |who| exchange.propose(who, payout.id, ApprovalAction::FreezePayout, "stolen keys");
    assert_eq!(code(freeze(&otto).await), Some(Code::Forbidden));
    let proposal = freeze(&one).await.unwrap();
    assert_eq!(
        code(freeze(&two).await),
        Some(Code::Conflict),
        "one at a time"
    );
    let alone = exchange.decide_proposal(&one, proposal, true).await;
    assert_eq!(
        code(alone),
        Some(Code::Forbidden),
        "the same person twice is no two"
    );
    assert_eq!(
        exchange.payouts(&otto).await.unwrap()[0].state,
        PayoutState::Requested
    );
    exchange
        .decide_proposal(&two, proposal, true)
        .await
        .unwrap();
    let again = exchange.decide_proposal(&two, proposal, true).await;
    assert_eq!(code(again), Some(Code::Conflict));
    for change in [PayoutMove::Approve, PayoutMove::Confirm] {
        let moved = exchange.move_payout(&one, payout.id, change, None).await;
        assert_eq!(code(moved), Some(Code::Conflict), "it is frozen");
    }
    assert_eq!(
        code(exchange.cancel_payout(&otto, payout.id, None).await),
        Some(Code::Conflict)
    );
    // A proposal that nobody confirms is over in a day, and another may follow.
    let thaw = |who| exchange.propose(who, payout.id, ApprovalAction::ThawPayout, "it was theirs");
    let old = thaw(&two).await.unwrap();
    world.pass(86_400_000);
    assert_eq!(
        code(exchange.decide_proposal(&one, old, true).await),
        Some(Code::Conflict)
    );
    let fresh = thaw(&two).await.unwrap();
    exchange.decide_proposal(&one, fresh, true).await.unwrap();
    let back = exchange
        .cancel_payout(&otto, payout.id, None)
        .await
        .unwrap();
    assert_eq!(back.state, PayoutState::Cancelled);
    assert_eq!(
        exchange.balance(&otto).await.unwrap().withdrawable,
        io(EARNED)
    );
    in_order(&world).await;
}

#[tokio::test]
async fn fault_lago_api_5870_deposits_are_credited_once_and_the_faucet_asks_an_admin() {
    for backend in backends() {
        let world = World::with(backend, |settings| settings.faucet_max = Some(io(500))).await;
        let (rita, _) = world.people("0").await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        let ask = |amount, key| exchange.request_credit(&rita, io(amount), key);
        assert_eq!(code(ask(501, None).await), Some(Code::Invalid));
        let asked = ask(400, Some("k")).await.unwrap();
        assert_eq!(ask(400, Some("k")).await.unwrap(), asked);
        assert_eq!(
            code(ask(400, None).await),
            Some(Code::Conflict),
            "one waits already"
        );
        assert_eq!(world.available(&rita).await, 0, "nothing is given unasked");
        assert_eq!(
            code(exchange.decide_deposit(&rita, asked.id, None, None).await),
            Some(Code::Forbidden)
        );
        let given = exchange
            .decide_deposit(&one, asked.id, None, None)
            .await
            .unwrap();
        assert_eq!((given.state, given.demo), (DepositState::Credited, true));
        assert_eq!(
            code(exchange.decide_deposit(&one, asked.id, None, None).await),
            Some(Code::Conflict)
        );
        // The same money is credited once, however often it is reported.
        let seen =
            |reference| exchange.record_deposit(&one, "rita@example.org", io(70), reference, None);
        let first = seen("0x1").await.unwrap();
        assert_eq!(code(seen("0x1").await), Some(Code::Conflict));
        assert_eq!(world.available(&rita).await, 400, "in transit");
        exchange
            .decide_deposit(&one, first.id, None, None)
            .await
            .unwrap();
        let wrong = seen("0x2").await.unwrap();
        exchange
            .decide_deposit(&one, wrong.id, Some("another network"), None)
            .await
            .unwrap();
        assert_eq!(world.available(&rita).await, 470);
        let own = exchange.deposits(&rita).await.unwrap();
        assert_eq!(own.len(), 3);
        in_order(&world).await;
    }
}

#[tokio::test]
async fn a_contested_receipt_is_decided_by_new_transfers() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let lease = worked(&world, &rita, &otto).await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        let open = |who, seq, claimed, key| {
            exchange.open_dispute(who, lease, seq, claimed, "the card was slow", key)
        };
        assert_eq!(code(open(&otto, 1, None, None).await), Some(Code::NotFound));
        assert_eq!(
            code(open(&rita, 99, None, None).await),
            Some(Code::NotFound)
        );
        let too_much = open(&rita, 1, Some(io(PAID)), None).await;
        assert_eq!(code(too_much), Some(Code::Invalid));
        let dispute = open(&rita, 1, None, Some("k")).await.unwrap();
        assert_eq!(open(&rita, 1, None, Some("k")).await.unwrap(), dispute);
        assert_eq!(
            code(open(&rita, 1, None, None).await),
            Some(Code::Conflict),
            "once"
        );
        // A minute: 60 s at the price and the fees.
        assert_eq!(dispute.paid, io(1_503_750));
        assert_eq!(dispute.set_aside, io(1_496_250));
        let balance = exchange.balance(&otto).await.unwrap();
        assert_eq!(balance.disputed, io(1_496_250));
        assert_eq!(balance.withdrawable, io(EARNED - 1_496_250));
        exchange
            .add_evidence(&otto, dispute.id, "it was not")
            .await
            .unwrap();
        let theirs = exchange.disputes(&otto).await.unwrap().remove(0);
        assert_eq!(theirs.job, None, "an owner does not learn whose job it was");
        let by: Vec<Party> = theirs.evidence.iter().map(|said| said.by).collect();
        assert_eq!(by, [Party::Requester, Party::Platform, Party::Owner]);
        let shown = &theirs.evidence[1].text;
        assert!(
            shown.contains("worker's signature verifies, the platform's verifies"),
            "{shown}"
        );

        // Half of it, and it is final.
        let refund = io(751_875);
        assert_eq!(
            code(exchange.rule(&rita, dispute.id, refund, "x", None).await),
            Some(Code::Forbidden)
        );
        let before = world.available(&rita).await;
        exchange
            .rule(&one, dispute.id, refund, "half of it was slow", None)
            .await
            .unwrap();
        assert_eq!(world.available(&rita).await, before + 751_875);
        let again = exchange.rule(&one, dispute.id, refund, "more", None).await;
        assert_eq!(code(again), Some(Code::Conflict));
        let balance = exchange.balance(&otto).await.unwrap();
        assert_eq!(balance.disputed, Amount::ZERO);
        assert_eq!(
            balance.withdrawable,
            io(EARNED - 748_125),
            "its half of the owner's part"
        );
        let after = exchange.disputes(&rita).await.unwrap().remove(0);
        assert_eq!(
            (after.state, after.refunded),
            (DisputeState::Refunded, refund)
        );

        // Both sides were told, the owner not of whose job it was.
        for (who, job) in [(&rita, after.job), (&otto, None)] {
            let all = told(&world, who).await;
            let expected = Notice::DisputeUpdated {
                dispute: dispute.id,
                state: DisputeState::Refunded,
                job,
                lease,
                refunded: Some(refund),
                ruling: Some("half of it was slow".into()),
            };
            assert!(all.contains(&expected), "{all:?}");
        }

        // Taken back, all of it is the owner's again.
        let second = open(&rita, 2, None, None).await.unwrap();
        exchange
            .withdraw_dispute(&rita, second.id, None)
            .await
            .unwrap();
        let balance = exchange.balance(&otto).await.unwrap();
        assert_eq!(balance.withdrawable, io(EARNED - 748_125));
        world.pass(8 * 86_400_000);
        assert_eq!(
            code(open(&rita, 3, None, None).await),
            Some(Code::Conflict),
            "its time is over"
        );
        in_order(&world).await;
    }
}

#[tokio::test]
async fn a_job_stops_before_it_takes_what_is_to_be_kept() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("1").await;
        let exchange = &world.exchange;
        // For 300 seconds, and no more.
        let limits = Limits {
            keep: Some(io(100_000_000 - 300 * 25_063)),
            ..Limits::default()
        };
        exchange.set_limits(&rita, limits).await.unwrap();
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        worker.start(&world).await;
        assert_eq!(worker.runs[0].funded, 300);
        worker.work(&world, 200).await;
        assert_eq!(worker.runs[0].funded, 300, "nothing is added");
        worker.end(&world, FINISHED).await;
        let left = exchange.limits(&rita).await.unwrap();
        assert_eq!(left.today, left.month);
        assert_eq!(left.today, io(200 * 25_000 + 200 * 25_000 / 400));
        // A budget of which that much is spent leaves less than a minute.
        let limits = Limits {
            per_day: Some(io(200 * 25_063 + 59 * 25_000)),
            ..Limits::default()
        };
        exchange.set_limits(&rita, limits).await.unwrap();
        let refused = exchange.submit(&rita, spec(""), None, None).await;
        assert!(
            matches!(refused, Err(Error::OverLimit { .. })),
            "{refused:?}"
        );
        world.pass(86_400_000);
        worker.beat(&world).await;
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        let days = exchange.by_day(&rita, 2).await.unwrap();
        assert_eq!(days.len(), 2);
        assert_eq!(days[0].spent, io(200 * 25_000 + 200 * 25_000 / 400));
        in_order(&world).await;
    }
}

#[tokio::test]
async fn what_the_books_held_is_known_for_any_moment() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let before = world.exchange.now();
        world.pass(1);
        worked(&world, &rita, &otto).await;
        world.pass(1);
        let then = world.exchange.statement(&rita, before).await.unwrap();
        let now = world
            .exchange
            .statement(&rita, world.exchange.now())
            .await
            .unwrap();
        assert_eq!(then.books[0].balance, io(1_000_000_000));
        assert_eq!(now.books[0].balance, io(1_000_000_000 - PAID));
        assert!(then.seq < now.seq);
        let early = kernel::Timestamp::from_millis(1);
        let nothing = world.exchange.statement(&rita, early).await.unwrap();
        assert_eq!((nothing.seq, nothing.books[0].balance), (0, Amount::ZERO));
        let proof = world.exchange.ledger_proof().await.unwrap();
        assert_eq!((proof.sum, proof.seq), (0, now.seq));
    }
}

#[tokio::test]
async fn a_difference_becomes_an_incident_and_nothing_is_mended() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        worked(&world, &rita, &otto).await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        in_order(&world).await;
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&world.settings.database_url)
            .await
            .unwrap();
        // What is posted cannot be changed, whoever tries.
        for sql in [
            "UPDATE transfers SET amount = amount + 1",
            "DELETE FROM transfers",
            "UPDATE receipts SET charged = 0",
            "DELETE FROM receipts",
        ] {
            assert!(pool.execute(sql).await.is_err(), "{sql}");
        }
        let book = format!("available:{}", rita.account);
        let change = format!("UPDATE books SET balance = balance + 5 WHERE id = '{book}'");
        pool.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
        pool.execute("UPDATE leases SET charged = charged + 7")
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(exchange.reconcile().await.unwrap(), 4);
        }
        let open = exchange.incidents(&one).await.unwrap();
        let mut kinds: Vec<IncidentKind> = open.iter().map(|incident| incident.kind).collect();
        kinds.sort_unstable();
        assert_eq!(
            kinds,
            [
                IncidentKind::BooksSum,
                IncidentKind::BookBalance,
                IncidentKind::LeaseReceipts,
                IncidentKind::LeasePostings
            ]
        );
        assert!(open.iter().any(|incident| incident.subject == book));
        // Admins are told of each, once; nobody else is.
        let all = told(&world, &one).await;
        assert_eq!(all.len(), 4, "{all:?}");
        let whose = all.iter().filter_map(|notice| match notice {
            Notice::IncidentOpened { account, .. } => *account,
            other => panic!("{other:?}"),
        });
        assert_eq!(whose.collect::<Vec<_>>(), [rita.account]);
        let is_incident = |notice: &Notice| matches!(notice, Notice::IncidentOpened { .. });
        assert!(!told(&world, &rita).await.iter().any(is_incident));
        assert_eq!(world.sum_of_books().await, 5, "it was not mended");
        assert_eq!(code(exchange.incidents(&rita).await), Some(Code::Forbidden));
        let back = format!("UPDATE books SET balance = balance - 5 WHERE id = '{book}'");
        pool.execute(sqlx::AssertSqlSafe(back)).await.unwrap();
        pool.execute("UPDATE leases SET charged = charged - 7")
            .await
            .unwrap();
        pool.close().await;
        assert_eq!(exchange.reconcile().await.unwrap(), 0);
        let gone = exchange.incidents(&one).await.unwrap();
        assert!(
            gone.iter()
                .all(|incident| incident.gone_at.is_some() && incident.closed_at.is_none())
        );
        exchange
            .close_incident(&one, gone[0].id, "a test did it")
            .await
            .unwrap();
        let twice = exchange.close_incident(&one, gone[0].id, "again").await;
        assert_eq!(code(twice), Some(Code::NotFound));
    }
}
