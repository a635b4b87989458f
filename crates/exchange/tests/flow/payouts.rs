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

        // Of another route the key of the payout is another request.
        let elsewhere = exchange.convert_earnings(&otto, io(1_000), Some("k")).await;
        assert_eq!(code(elsewhere), Some(Code::IdempotencyMismatch));
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
async fn a_dispute_frees_nothing_that_waits_for_a_check() {
    let checked = "[recompute]\npercent = 100\nslices = 1\noutput = 'part-{slice}'\n[recompute.tolerance]\nkind = 'exact'";
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = exchange.submit(&rita, spec(checked), None, None).await;
        job.unwrap();
        let (lease, _) = worker.start(&world).await;
        worker.work(&world, 130).await;
        let token = worker.runs[0].assignment.transfer_token.clone();
        let part = exchange.transfer_artefact(&token, lease, "part-0", &b"1"[..]);
        part.await.unwrap();
        worker.end(&world, FINISHED).await;
        let made = exchange.balance(&otto).await.unwrap();
        assert_eq!((made.earned, made.withdrawable), (io(EARNED), Amount::ZERO));
        let open = |seq| exchange.open_dispute(&rita, lease, seq, None, "wrong", None);
        let (first, second) = (open(1).await.unwrap(), open(2).await.unwrap());
        let aside = first.set_aside.checked_add(second.set_aside).unwrap();
        // Taken back, rejected or halved it would be the owner's before the check says whether it is.
        let back = exchange.withdraw_dispute(&rita, first.id, None).await;
        assert_eq!(code(back), Some(Code::Conflict));
        for refund in [Amount::ZERO, io(1_000)] {
            let ruled = exchange.rule(&one, first.id, refund, "no", None).await;
            assert_eq!(code(ruled), Some(Code::Conflict), "{refund}");
        }
        let made = exchange.balance(&otto).await.unwrap();
        assert_eq!((made.disputed, made.withdrawable), (aside, Amount::ZERO));
        // All of it back to the requester frees nothing.
        world.fill_treasury(1_000_000).await;
        let all = exchange.rule(&one, second.id, second.claimed, "all", None);
        all.await.unwrap();
        // Nobody else is there to compute it again: it is the owner's, and so is what was contested.
        for _ in 0..4 {
            world.pass(3_700_000);
            world.tick().await;
        }
        exchange
            .withdraw_dispute(&rita, first.id, None)
            .await
            .unwrap();
        let made = exchange.balance(&otto).await.unwrap();
        assert_eq!(made.disputed, Amount::ZERO);
        assert_eq!(made.withdrawable, io(EARNED - second.set_aside.base()));
        in_order(&world).await;
    }
}

#[tokio::test]
async fn what_waited_for_its_hour_waits_again_after_a_dispute() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let day = "[limits]\nduration_seconds = 86400";
        let job = exchange.submit(&rita, spec(day), None, None).await;
        job.unwrap();
        let (lease, _) = worker.start(&world).await;
        worker.work(&world, 250).await;
        let books = async || {
            let made = exchange.balance(&otto).await.unwrap();
            let all = [made.earned, made.disputed, made.withdrawable];
            all.map(Amount::base)
        };
        let open = |seq| exchange.open_dispute(&rita, lease, seq, None, "slow", None);
        let [earned, ..] = books().await;
        assert_eq!(books().await, [earned, 0, 0]);

        // Taken back while the lease runs, it is earned and no more, as it was before.
        let first = open(1).await.unwrap();
        let aside = first.set_aside.base();
        assert_eq!(books().await, [earned - aside, aside, 0]);
        exchange
            .withdraw_dispute(&rita, first.id, None)
            .await
            .unwrap();
        assert_eq!(books().await, [earned, 0, 0]);

        // So does a ruling, with what it leaves.
        let second = open(2).await.unwrap();
        let half = io(second.claimed.base() / 2);
        exchange
            .rule(&one, second.id, half, "half", None)
            .await
            .unwrap();
        let left = earned - second.set_aside.base() / 2;
        assert_eq!(books().await, [left, 0, 0]);

        // Its hour comes while a third is open: with the rest of the hour it would have matured.
        let third = open(3).await.unwrap();
        while worker.runs[0].seconds < 3_600 {
            world.pass(200_000);
            let run = &mut worker.runs[0];
            run.seconds = run.funded.min(run.seconds + 200);
            worker.beat(&world).await;
            world.tick().await;
            worker.read();
        }
        worker.work(&world, 61).await;
        let [_, _, matured] = books().await;
        assert!(matured > left);
        exchange
            .withdraw_dispute(&rita, third.id, None)
            .await
            .unwrap();
        let [waits, _, free] = books().await;
        assert_eq!(free, matured + third.set_aside.base());

        // What is contested in the second hour, and has not matured when the lease ends, goes with its end.
        worker.work(&world, 70).await;
        let receipts = exchange.receipts(&rita, first.job.unwrap()).await;
        let posted = receipts.unwrap().into_iter().map(|view| view.receipt.seq);
        let fourth = open(posted.max().unwrap()).await.unwrap();
        let [earned, aside, _] = books().await;
        assert!(earned + aside > waits && aside > 0);
        worker.end(&world, FINISHED).await;
        exchange
            .withdraw_dispute(&rita, fourth.id, None)
            .await
            .unwrap();
        let [earned, aside, withdrawable] = books().await;
        assert_eq!([earned, aside], [0, 0]);
        assert!(withdrawable > free);
        in_order(&world).await;
    }
}

#[tokio::test]
async fn what_people_write_is_text() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let lease = worked(&world, &rita, &otto).await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        let field = |error: Error| error.problem().fields.first().map(|own| own.field.clone());
        let wrong = "a\0b";
        let opened = exchange.open_dispute(&rita, lease, 1, None, wrong, None);
        assert_eq!(
            opened.await.err().and_then(field).as_deref(),
            Some("reason")
        );
        let opened = exchange.open_dispute(&rita, lease, 1, None, "two\r\nlines", None);
        let dispute = opened.await.unwrap();
        let said = exchange.add_evidence(&otto, dispute.id, wrong).await;
        assert_eq!(said.err().and_then(field).as_deref(), Some("text"));
        let ruled = exchange
            .rule(&one, dispute.id, Amount::ZERO, wrong, None)
            .await;
        assert_eq!(ruled.err().and_then(field).as_deref(), Some("ruling"));
        let kept = exchange.dispute(&rita, dispute.id).await.unwrap();
        assert_eq!(kept.evidence[0].text, "two\nlines");
        let payout = exchange.request_payout(&otto, io(1_000_000), Some("0xabc"), None);
        let payout = payout.await.unwrap().id;
        let why = wrong.to_owned();
        let refused = exchange.move_payout(&one, payout, PayoutMove::Refuse { why }, None);
        assert_eq!(refused.await.err().and_then(field).as_deref(), Some("why"));
        let id = kernel::IncidentId::new(exchange.now(), [1; 10]);
        let closed = exchange.close_incident(&one, id, wrong).await;
        assert_eq!(closed.err().and_then(field).as_deref(), Some("note"));

        // Nor does a worker's reason bring any into the books.
        let mut worker = Worker::new(2, PRICE - 1);
        worker.join(&world, &otto).await;
        let job = exchange.submit(&rita, spec(""), None, None).await;
        let job = job.unwrap().summary.id;
        worker.read();
        worker.reject(&world, "no\0 room\u{1b}[2J").await;
        let events = exchange.job(&rita, job).await.unwrap().events;
        assert!(
            events
                .iter()
                .any(|event| event.detail.contains("no room[2J")),
            "{events:?}"
        );
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
        let keep = limits;
        exchange.set_limits(&rita, keep).await.unwrap();
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        exchange.submit(&rita, spec(""), None, None).await.unwrap();
        worker.start(&world).await;
        assert_eq!(worker.runs[0].funded, 300);
        worker.work(&world, 200).await;
        // What is kept makes nothing last.
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert_eq!(lasts.map(kernel::Seconds::get), Some(100));
        let day = exchange.limits(&rita).await.unwrap().today;
        let limits = |per_day| Limits {
            per_day,
            ..Limits::default()
        };
        let budget = day.checked_add(io(30 * 25_063)).unwrap();
        exchange
            .set_limits(&rita, limits(Some(budget)))
            .await
            .unwrap();
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert_eq!(
            lasts.map(kernel::Seconds::get),
            Some(130),
            "nor what is beyond the day's budget"
        );
        exchange.set_limits(&rita, limits(None)).await.unwrap();
        let lasts = exchange.meter(&rita).await.unwrap().runway;
        assert!(lasts.is_some_and(|lasts| lasts.get() > 3_000), "{lasts:?}");
        exchange.set_limits(&rita, keep).await.unwrap();
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
async fn what_comes_back_of_an_earlier_day_makes_no_room_today() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let one = admin(&world, "ann").await;
        world.fill_treasury(10_000_000).await;
        let exchange = &world.exchange;
        let first = worked(&world, &rita, &otto).await;
        world.pass(86_400_000);
        // Cheaper than the one of the day before.
        let mut worker = Worker::new(2, PRICE - 1);
        worker.join(&world, &otto).await;
        let job = exchange.submit(&rita, spec(""), None, None).await;
        job.unwrap();
        let (second, _) = worker.start(&world).await;
        worker.work(&world, 130).await;
        worker.end(&world, FINISHED).await;
        let give_back = async |lease| {
            let dispute = exchange
                .open_dispute(&rita, lease, 1, None, "slow", None)
                .await;
            let dispute = dispute.unwrap();
            let ruled = exchange.rule(&one, dispute.id, dispute.claimed, "so it was", None);
            ruled.await.unwrap();
            dispute.claimed.base()
        };
        let today = async || exchange.limits(&rita).await.unwrap().today;
        let spent = today().await;
        assert!(!spent.is_zero());
        give_back(first).await;
        assert_eq!(today().await, spent, "it was spent yesterday");
        let back = give_back(second).await;
        assert_eq!(today().await, io(spent.base() - back));
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
        // Nothing is said of what is still to come.
        let (now, later) = (world.exchange.now(), world.exchange.now().plus_millis(1));
        let at = world.exchange.statement(&rita, later).await;
        assert_eq!(code(at), Some(Code::Invalid));
        let to = world.exchange.statement_between(&rita, early, Some(later));
        assert_eq!(code(to.await), Some(Code::Invalid));
        assert!(world.exchange.statement(&rita, now).await.is_ok());
    }
}

#[tokio::test]
async fn periods_that_meet_have_each_transfer_once() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, _) = world.people("1").await;
        let begin = world.exchange.now();
        world.pass(1_000);
        let middle = world.exchange.now();
        world.make_withdrawable(&rita, 7).await;
        let exchange = &world.exchange;
        // At its very moment.
        let asked = exchange
            .request_payout(&rita, io(7), Some("0xabc"), None)
            .await;
        assert_eq!(code(asked), Some(Code::Invalid), "less than the least");
        exchange.convert_earnings(&rita, io(5), None).await.unwrap();
        world.pass(1_000);
        let end = exchange.now();
        let part = async |from, to| exchange.statement_between(&rita, from, to).await.unwrap();
        let first = part(begin, Some(middle)).await;
        let second = part(middle, Some(end)).await;
        let opening = second.period.clone().unwrap().opening;
        assert_eq!(first.books, opening, "one ends as the next begins");
        assert_eq!(first.books[0].balance, io(100_000_000));
        assert_eq!(second.books[0].balance, io(99_999_998));
        let export = exchange.ledger_export(&rita, Some(middle), Some(end)).await;
        assert_eq!(export.unwrap().entries.len(), 2);
        let came = first.period.unwrap().moved;
        assert_eq!(came.len(), 1, "the credit, at the first moment: {came:?}");
        // Up to now, what was posted in this millisecond among it.
        exchange.convert_earnings(&rita, io(2), None).await.unwrap();
        let so_far = part(end, None).await;
        assert_eq!((so_far.at, so_far.books[0].balance), (end, io(100_000_000)));
        assert_eq!(so_far.period.unwrap().opening, second.books);
    }
}

#[tokio::test]
async fn many_incidents_of_a_kind_hide_no_others() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        worked(&world, &rita, &otto).await;
        let one = admin(&world, "ann").await;
        let exchange = &world.exchange;
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&world.settings.database_url)
            .await
            .unwrap();
        pool.execute("UPDATE leases SET charged = charged + 7")
            .await
            .unwrap();
        assert_eq!(exchange.reconcile().await.unwrap(), 2);
        let rows: Vec<String> = (0..260)
            .map(|n| format!("('available:acc_{n:032x}', 1, 0)"))
            .collect();
        let insert = format!(
            "INSERT INTO books (id, balance, may_be_negative) VALUES {}",
            rows.join(", ")
        );
        pool.execute(sqlx::AssertSqlSafe(insert)).await.unwrap();
        for _ in 0..2 {
            // These, that the books do not sum to zero, and the two of before.
            assert_eq!(exchange.reconcile().await.unwrap(), 263);
            let open = exchange.incidents(&one).await.unwrap();
            let count = |kind| open.iter().filter(|own| own.kind == kind).count();
            assert_eq!(count(IncidentKind::BookBalance), 50);
            assert_eq!((count(IncidentKind::BooksSum), open.len()), (1, 53));
            assert!(open.iter().all(|own| own.gone_at.is_none()), "{open:?}");
        }
        pool.execute(
            "DELETE FROM books WHERE id < 'available:acc_00000000000000000000000000000032'",
        )
        .await
        .unwrap();
        assert_eq!(exchange.reconcile().await.unwrap(), 213);
        let open = exchange.incidents(&one).await.unwrap();
        let standing = open.iter().filter(|own| own.gone_at.is_none());
        assert_eq!(
            (open.len(), standing.count()),
            (103, 53),
            "the next come to light"
        );
        pool.close().await;
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
