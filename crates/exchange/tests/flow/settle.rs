//! What goes out and comes in over a chain. The chain is a double that forgets, delays, loses answers and fails.

use exchange::{Actor, Explorer, Network, PayoutMove};
use kernel::{PayoutId, Timestamp};
use protocol::money::{ChainReach, CodeState, DepositState, IncidentKind, PayoutState};
use settlement::{Address, ChainError, Tag};

use crate::double::{Double, Fault, dice, io};
use crate::world::{World, backends};

/// A round of both: the chain makes a block, the exchange looks. The chain may be away.
pub async fn round(world: &World, chain: &Double, millis: i64) {
    world.pass(millis);
    chain.block(millis);
    match world.exchange.settle(chain).await {
        Ok(()) | Err(exchange::Error::Chain(ChainError::Unreachable(_))) => {}
        Err(other) => panic!("{other}"),
    }
}

pub async fn in_order(world: &World, chain: &Double) {
    world.exchange.compare_vault(chain).await.unwrap();
    assert_eq!(world.sum_of_books().await, 0);
    assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
}

fn wallet(n: u64) -> String {
    format!("0x{:064x}", n + 1_000)
}

async fn ask(world: &World, owner: &Actor, to: u64, base: i64) -> PayoutId {
    let to = wallet(to);
    let asked = world
        .exchange
        .request_payout(owner, io(base), Some(&to), None);
    asked.await.unwrap().id
}

/// Somebody with so much to withdraw, which came in over the chain.
async fn owner(world: &World, chain: &Double, name: &str, base: i64) -> Actor {
    let owner = world.account(name, "0").await;
    chain.deposit(Some(Tag::of(owner.account)), base);
    round(world, chain, 1_000).await;
    world.make_withdrawable(&owner, base).await;
    owner
}

/// lago-api#5870: what came in over the chain is credited once, however often it is read and whoever dies.
#[tokio::test]
async fn fault_lago_5870_a_deposit_replayed_100_times_counts_once() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let chain = Double::new();
        let rita = world.account("rita", "0").await;
        let first = chain.deposit(Some(Tag::of(rita.account)), 500);
        for n in 0..100 {
            round(&world, &chain, 10).await;
            world.read_anew(&chain).await;
            if n % 10 == 0 {
                world.crash().await;
            }
        }
        assert_eq!(world.available(&rita).await, 500);
        // Two processes read the same events.
        chain.deposit(Some(Tag::of(rita.account)), 7);
        let other = world.beside().await;
        let (one, two) = tokio::join!(world.exchange.settle(&chain), other.exchange.settle(&chain));
        assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
        round(&world, &chain, 10).await;
        assert_eq!(world.available(&rita).await, 507);
        let deposits = world.exchange.deposits(&rita).await.unwrap();
        assert_eq!(deposits.len(), 2);
        assert!(
            deposits
                .iter()
                .all(|one| one.state == DepositState::Credited)
        );
        assert!(!first.to_string().is_empty());
        in_order(&world, &chain).await;
    }
}

#[tokio::test]
async fn what_comes_in_for_nobody_waits_for_an_admin_and_the_platforms_own_fills_the_treasury() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let (rita, admin) = (
            world.account("rita", "0").await,
            crate::payouts::admin(&world, "ann").await,
        );
        let stranger = kernel::AccountId::new(Timestamp::from_millis(5), [3; 10]);
        chain.deposit(Some(Tag::of(stranger)), 40);
        chain.deposit(None, 2);
        chain.deposit(Some(Tag::try_from([0_u8; 16].as_slice()).unwrap()), 1_000);
        round(&world, &chain, 10).await;
        world.exchange.compare_vault(&chain).await.unwrap();
        // Both stand as incidents until somebody says whose they are; the books and the vault agree all the same.
        assert_eq!(world.exchange.reconcile().await.unwrap(), 2);
        let incidents = world.exchange.incidents(&admin).await.unwrap();
        assert!(
            incidents
                .iter()
                .all(|one| one.kind == IncidentKind::OnChain)
        );
        let waiting = world.exchange.unclaimed_deposits(&admin).await.unwrap();
        assert_eq!(waiting.len(), 2);
        for one in &waiting {
            let email = "rita@example.org";
            let given = world
                .exchange
                .claim_deposit(&admin, one.id, email, None)
                .await;
            assert_eq!(given.unwrap().state, DepositState::Credited);
            let again = world
                .exchange
                .claim_deposit(&admin, one.id, email, None)
                .await;
            assert!(again.is_err());
        }
        assert_eq!(world.available(&rita).await, 42);
        in_order(&world, &chain).await;
    }
}

#[tokio::test]
async fn payouts_go_out_in_batches_and_come_back_when_the_chain_cannot_pay() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let admin = crate::payouts::admin(&world, "ann").await;
        let otto = owner(&world, &chain, "otto", 50_000_000).await;
        let ask = |n: u64| {
            let exchange = world.exchange.clone();
            let otto = otto.clone();
            async move {
                exchange
                    .request_payout(&otto, io(1_000_000), Some(&wallet(n)), None)
                    .await
            }
        };
        let mut payouts = Vec::new();
        for n in 0..5 {
            payouts.push(ask(n).await.unwrap().id);
        }
        // Nobody approved them.
        round(&world, &chain, 1_000).await;
        assert_eq!(chain.with(|ledger| ledger.submissions), 0);
        for id in &payouts[..4] {
            let approve = world
                .exchange
                .move_payout(&admin, *id, PayoutMove::Approve, None);
            approve.await.unwrap();
        }
        chain.with(|ledger| ledger.frozen.push(wallet(2).parse().unwrap()));
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        let state = |n: usize| {
            let exchange = world.exchange.clone();
            let (otto, id) = (otto.clone(), payouts[n]);
            async move { exchange.payout(&otto, id).await.unwrap() }
        };
        for n in [0, 1, 3] {
            let paid = state(n).await;
            assert_eq!(paid.state, PayoutState::Paid);
            assert!(paid.reference.unwrap().starts_with("0x"));
        }
        let back = state(2).await;
        assert_eq!(back.state, PayoutState::Failed);
        assert!(back.note.contains("reason 2"), "{}", back.note);
        assert_eq!(state(4).await.state, PayoutState::Requested);
        let left = world.exchange.balance(&otto).await.unwrap().withdrawable;
        assert_eq!(left.base(), 50_000_000 - 4_000_000);
        in_order(&world, &chain).await;
        // More than the vault holds waits, and is told.
        chain.with(|ledger| ledger.vault = 10);
        let last = world
            .exchange
            .move_payout(&admin, payouts[4], PayoutMove::Approve, None);
        last.await.unwrap();
        round(&world, &chain, 1_000).await;
        assert_eq!(state(4).await.state, PayoutState::Approved);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        chain.with(|ledger| ledger.vault = 47_000_000);
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        assert_eq!(state(4).await.state, PayoutState::Paid);
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        // Somebody took money out of the vault: the comparison says so until it is right again.
        chain.with(|ledger| ledger.vault -= 1);
        world.exchange.compare_vault(&chain).await.unwrap();
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        chain.with(|ledger| ledger.vault += 1);
        in_order(&world, &chain).await;
    }
}

/// What the chain cannot pay now is told as an incident, and not as a broken loop; it goes when the contract goes on.
#[tokio::test]
async fn a_contract_that_is_paused_is_an_incident_until_it_goes_on() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(2_000_000));
        })
        .await;
        let chain = Double::new();
        let admin = crate::payouts::admin(&world, "ann").await;
        let otto = owner(&world, &chain, "otto", 5_000_000).await;
        let id = ask(&world, &otto, 0, 1_000_000).await;
        chain.with(|ledger| ledger.paused = true);
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        assert_eq!(world.exchange.reconcile().await.unwrap(), 1);
        let incidents = world.exchange.incidents(&admin).await.unwrap();
        assert_eq!(incidents[0].kind, IncidentKind::OnChain);
        assert!(incidents[0].found.contains("E_PAUSED"), "{incidents:?}");
        let state = || async { world.exchange.payout(&otto, id).await.unwrap().state };
        assert_eq!(state().await, PayoutState::Approved);
        chain.with(|ledger| ledger.paused = false);
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        assert_eq!(state().await, PayoutState::Paid);
        in_order(&world, &chain).await;
        assert!(
            world.exchange.incidents(&admin).await.unwrap()[0]
                .gone_at
                .is_some()
        );
    }
}

/// A batch that lands after the events were read is out of the vault, and not yet out of what is under way.
#[tokio::test]
async fn a_batch_that_lands_in_between_is_not_counted_twice() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(5_000_000));
        })
        .await;
        let chain = Double::new();
        let otto = owner(&world, &chain, "otto", 5_000_000).await;
        ask(&world, &otto, 0, 3_000_000).await;
        world.exchange.settle(&chain).await.unwrap();
        let second = ask(&world, &otto, 1, 2_000_000).await;
        chain.with(|ledger| ledger.faults.push(Fault::Between));
        world.exchange.settle(&chain).await.unwrap();
        chain.with(|ledger| {
            assert_eq!((ledger.vault, ledger.faults.len()), (2_000_000, 0));
        });
        assert_eq!(world.exchange.reconcile().await.unwrap(), 0);
        let state = world.exchange.payout(&otto, second).await.unwrap().state;
        assert_eq!(state, PayoutState::Sent, "it did not wait for a round");
        // The comparison of vault and books meets the same.
        chain.with(|ledger| ledger.faults.push(Fault::Between));
        in_order(&world, &chain).await;
        assert_eq!(chain.with(|ledger| ledger.vault), 0);
    }
}

/// Everybody is shown what one reading told; what is old says so, and a chain that is away breaks no page.
#[tokio::test]
async fn the_chain_is_shown_as_it_was_read_last() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(5_000_000));
            settings.network = Some(Network {
                node: "http://127.0.0.1:8080".to_owned(),
                public_url: None,
                number: 4,
                contract: Address::from_bytes([9; 32]),
                explorer: Explorer::of(4, "http://127.0.0.1:8080"),
            });
        })
        .await;
        let chain = Double::new();
        let admin = crate::payouts::admin(&world, "ann").await;
        let look = async || {
            let seen = world.exchange.explorer().await.unwrap();
            (seen.chain.clone().unwrap(), seen)
        };
        let (told, _) = look().await;
        assert_eq!(told.reach, ChainReach::Unreached);
        assert_eq!((told.supply, told.vault), (None, None));
        assert_eq!(told.code.state, CodeState::NotCompared);

        let otto = owner(&world, &chain, "otto", 5_000_000).await;
        ask(&world, &otto, 0, 3_000_000).await;
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        // Sums over all that was paid are made anew twice a minute.
        world.pass(31_000);
        // A block lands while it is asked: vault and books are still of one moment.
        chain.deposit(Some(Tag::of(otto.account)), 7);
        chain.with(|ledger| ledger.faults.push(Fault::Between));
        world.exchange.watch_chain(&chain).await.unwrap();
        let (told, seen) = look().await;
        assert_eq!(told.reach, ChainReach::Fresh);
        assert_eq!(told.supply.unwrap().circulating, io(8_000_000));
        let vault = told.vault.unwrap();
        assert_eq!((vault.held, vault.owed), (io(2_000_007), io(2_000_007)));
        assert_eq!(told.code.state, CodeState::Same);
        assert_eq!(told.code.held.as_ref(), Some(&told.code.built));
        assert_eq!((seen.paid.payouts, seen.paid.amount), (1, io(3_000_000)));
        assert_eq!(seen.paid_day, seen.paid);
        let batch = &seen.batches[0];
        let hash = batch.transaction.clone().unwrap();
        let page = format!("http://127.0.0.1:8080/transaction/{hash}");
        assert_eq!(batch.transaction_url.as_ref(), Some(&page));

        // Newest first, page by page; and one of them with all that was signed for it.
        ask(&world, &otto, 1, 1_000_000).await;
        round(&world, &chain, 1_000).await;
        let exchange = &world.exchange;
        let first = exchange.batches(&admin, None, 1).await.unwrap();
        let after = first.next.clone().unwrap().parse().unwrap();
        let second = exchange.batches(&admin, Some(after), 1).await.unwrap();
        assert_eq!(second.items.first(), Some(batch));
        assert_eq!(first.items[0].settled_at, None);
        let id = batch.id.parse().unwrap();
        let detail = exchange.batch(&admin, id).await.unwrap();
        assert_eq!(detail.lines[0].address, wallet(0));
        assert_eq!(detail.lines[0].state, PayoutState::Paid);
        let carried = &detail.transactions[0];
        assert_eq!((&carried.hash, carried.state.as_str()), (&hash, "landed"));
        assert_eq!(carried.gas_used, Some(7));
        assert!(exchange.batches(&otto, None, 1).await.is_err());
        assert!(exchange.batch(&otto, id).await.is_err());
        assert!(exchange.settlement(&otto).is_err());

        // Away, and later again with another code.
        chain.with(|ledger| (ledger.away, ledger.other_code) = (true, true));
        world.pass(31_000);
        assert!(exchange.watch_chain(&chain).await.is_err());
        let (old, _) = look().await;
        assert_eq!((old.reach, old.vault), (ChainReach::Stale, told.vault));
        let trouble = exchange.settlement(&admin).unwrap().trouble;
        assert!(trouble.unwrap().contains("does not answer"));
        chain.with(|ledger| ledger.away = false);
        world.pass(600_000);
        exchange.watch_chain(&chain).await.unwrap();
        let (again, _) = look().await;
        assert_eq!(again.reach, ChainReach::Fresh);
        assert_eq!(again.code.state, CodeState::Different);
        assert_eq!(exchange.settlement(&admin).unwrap().trouble, None);
    }
}

#[tokio::test]
async fn transactions_are_looked_up_eight_at_once() {
    for backend in backends() {
        let world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(2_000_000));
            settings.payouts_open_max = 100;
        })
        .await;
        let chain = Double::new();
        chain.with(|ledger| ledger.most = 10);
        let otto = owner(&world, &chain, "otto", 30_000_000).await;
        for n in 0..12 {
            ask(&world, &otto, n, 1_000_000).await;
            // No block: each is a batch of its own, and all are under way.
            world.exchange.settle(&chain).await.unwrap();
        }
        assert_eq!(chain.with(|ledger| ledger.submissions), 12);
        assert_eq!(chain.with(|ledger| ledger.looking_most), 8);
        round(&world, &chain, 1_000).await;
        in_order(&world, &chain).await;
    }
}

/// console#3449, golem-js#735: each payout is paid once, whatever the chain loses, forgets, delays and refuses, and
/// whenever the process dies.
#[tokio::test]
async fn fault_console_3449_each_payout_is_paid_once_under_any_fault() {
    let count: u64 = std::env::var("IOG_SOAK_PAYOUTS").map_or(600, |text| text.parse().unwrap());
    for backend in backends() {
        let mut world = World::with(backend, |settings| {
            settings.payout_auto_max = Some(io(2_000_000));
            settings.payouts_open_max = u64::MAX >> 1;
        })
        .await;
        let chain = Double::new();
        let base = 1_000_000_i64 * i64::try_from(count).unwrap();
        let otto = owner(&world, &chain, "otto", base * 2).await;
        let (mut roll, faults) = (dice(1), Fault::ALL);
        let mut asked = 0;
        let mut rounds = 0_u64;
        loop {
            for _ in 0..roll(12) {
                if asked < count {
                    let amount = io(1_000_000 + i64::try_from(asked % 1_000).unwrap());
                    let to = wallet(asked);
                    world
                        .exchange
                        .request_payout(&otto, amount, Some(&to), None)
                        .await
                        .unwrap();
                    asked += 1;
                }
            }
            if asked < count && roll(2) == 0 {
                let fault = faults[usize::try_from(roll(6)).unwrap()];
                chain.with(|ledger| ledger.faults.push(fault));
            }
            if roll(7) == 0 {
                world.crash().await;
            }
            // Now and then so long that what was lost expires.
            let millis = if roll(5) == 0 { 70_000 } else { 1_000 };
            round(&world, &chain, millis).await;
            rounds += 1;
            if asked == count {
                chain.with(|ledger| ledger.faults.clear());
                let open = world.exchange.payouts_open(&otto).await.unwrap();
                if open == 0 {
                    break;
                }
            }
            assert!(rounds < 20_000, "it does not end");
        }
        let (lines, twice, sum) = chain.with(|ledger| {
            let sum: i64 = ledger.paid.values().sum();
            (ledger.paid.len(), ledger.signed, sum)
        });
        assert_eq!(u64::try_from(lines).unwrap(), count, "each line once");
        let expected: i64 = (0..count)
            .map(|n| 1_000_000 + i64::try_from(n % 1_000).unwrap())
            .sum();
        assert_eq!(sum, expected);
        let left = world.exchange.balance(&otto).await.unwrap().withdrawable;
        assert_eq!(left.base(), base * 2 - expected);
        println!("{backend}: {count} payouts, {rounds} rounds, {twice} transactions signed");
        in_order(&world, &chain).await;
    }
}
