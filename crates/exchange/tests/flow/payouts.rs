//! Money that goes out and comes in.

use exchange::{Actor, Error, PayoutMove};
use kernel::{Amount, LeaseId};
use protocol::money::{ApprovalAction, DepositState, PayoutState};
use protocol::notice::Notice;
use protocol::problem::Code;
use protocol::state::RunEnd;
use protocol::view::Role;

use crate::world::{Worker, World, backends, spec};

pub const PRICE: i64 = 25_000;
pub const FINISHED: RunEnd = RunEnd::Exited { code: 0 };
/// 130 s at the price; the owner's fee is a quarter of a percent.
pub const EARNED: i64 = 3_241_875;
pub const PAID: i64 = 3_258_125;

pub fn io(base: i64) -> Amount {
    Amount::try_from_base(base).unwrap()
}

pub fn code<T>(result: Result<T, Error>) -> Option<Code> {
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
pub async fn told(world: &World, who: &Actor) -> Vec<Notice> {
    let page = world.exchange.notices(who, None, 200).await.unwrap();
    page.items.into_iter().map(|view| view.notice).collect()
}

/// A job of 130 s that is over and paid.
pub async fn worked(world: &World, rita: &Actor, otto: &Actor) -> LeaseId {
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

pub async fn in_order(world: &World) {
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
