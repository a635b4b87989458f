//! Invoices that anyone can check, and what is exported.

use exchange::Error;
use kernel::{Amount, Energy, Seconds, Timestamp};
use metering::invoice::{check, month_of};
use protocol::invoice::{Invoice, Receipted, RefundCause, Subject, Summary};
use protocol::state::RunEnd;
use protocol::view::{Book, EntryKind};

use crate::world::{Worker, World, backends, spec};

const PRICE: i64 = 25_000;
const FINISHED: RunEnd = RunEnd::Exited { code: 0 };

/// As it is served, and as anyone checks it.
fn checked(world: &World, invoice: &Invoice) -> Summary {
    let text = serde_json::to_string(invoice).unwrap();
    let verdict = check(&text, Some(&world.exchange.platform_key()));
    assert_eq!(verdict.findings, []);
    verdict.summary.unwrap()
}

fn base(amount: i64) -> Amount {
    Amount::try_from_base(amount).unwrap()
}

#[tokio::test]
async fn a_jobs_invoice_can_be_checked_by_anyone() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut one = Worker::new(1, PRICE);
        one.watts = Some(300);
        one.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        let id = job.summary.id;
        let empty = world.exchange.job_invoice(&rita, id).await.unwrap();
        assert_eq!(checked(&world, &empty).totals.charged, Amount::ZERO);
        one.start(&world).await;
        one.work(&world, 70).await;
        let so_far = world.exchange.job_invoice(&rita, id).await.unwrap();
        assert!(!so_far.is_final);
        assert_eq!(checked(&world, &so_far).totals.seconds, Seconds::new(60));

        // The worker dies, and the job goes on elsewhere.
        one.disconnect(&world).await;
        for _ in 0..20 {
            world.pass(1_000);
            world.tick().await;
        }
        let mut two = Worker::new(2, PRICE);
        two.join(&world, &otto).await;
        world.pass(1_000);
        world.tick().await;
        two.start(&world).await;
        two.work(&world, 25).await;
        two.end(&world, FINISHED).await;

        let invoice = world.exchange.job_invoice(&rita, id).await.unwrap();
        assert!(invoice.is_final);
        assert_eq!(invoice.receipts, Receipted::All);
        let summary = checked(&world, &invoice);
        let view = world.exchange.job(&rita, id).await.unwrap();
        assert_eq!(summary.totals.charged, view.summary.spent);
        assert_eq!(summary.totals.seconds, view.summary.seconds);
        assert_eq!((summary.leases, summary.receipts), (2, 3));
        let leases = &invoice.leases;
        let energy = Energy::try_new(70 * 300_000).unwrap();
        assert_eq!(
            (leases[0].seconds, leases[0].energy_mj),
            (Seconds::new(70), Some(energy))
        );
        assert_eq!(
            (leases[1].seconds, leases[1].energy_mj),
            (Seconds::new(25), None)
        );
        // Only the requester's.
        for (who, month) in [(&otto, "2026-11"), (&rita, "2026-10")] {
            let other = world.exchange.month_invoice(who, month).await.unwrap();
            assert_eq!(checked(&world, &other).leases, 0);
        }
        let theirs = world.exchange.job_invoice(&otto, id).await;
        assert!(matches!(theirs, Err(Error::NotFound(_))), "{theirs:?}");
    }
}

#[tokio::test]
async fn a_lease_over_midnight_is_in_two_months_and_adds_up() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (_, december) = month_of("2026-11").unwrap();
        let (rita, otto) = world.people("10").await;
        world.pass(december.millis_since(Timestamp::from_millis(1_795_000_000_000)) - 70_000);
        let mut worker = Worker::new(1, PRICE);
        worker.watts = Some(100);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 130).await;
        worker.end(&world, FINISHED).await;

        let november = world
            .exchange
            .month_invoice(&rita, "2026-11")
            .await
            .unwrap();
        let december = world
            .exchange
            .month_invoice(&rita, "2026-12")
            .await
            .unwrap();
        let (first, second) = (checked(&world, &november), checked(&world, &december));
        assert!(first.is_final && !second.is_final);
        assert_eq!(
            (first.totals.seconds, second.totals.seconds),
            (Seconds::new(60), Seconds::new(70))
        );
        let energy = |wh: u64| Energy::try_new(wh * 100_000).ok();
        assert_eq!(
            (first.energy_mj, second.energy_mj),
            (energy(60), energy(70))
        );
        assert!(november.leases[0].opening.is_none());
        assert!(december.leases[0].opening.is_some());
        let spent = world
            .exchange
            .job(&rita, job.summary.id)
            .await
            .unwrap()
            .summary
            .spent;
        assert_eq!(
            first.totals.charged.checked_add(second.totals.charged),
            Ok(spent)
        );
        let Subject::Month { from, until, .. } = &december.subject else {
            panic!("{:?}", december.subject);
        };
        // What the owner earned in the same months adds up to what was earned.
        let earned = |export: &protocol::invoice::EarningsExport| export.earned.base();
        let exchange = &world.exchange;
        let before = exchange.earnings_export(&otto, None, Some(*from)).await;
        let after = exchange
            .earnings_export(&otto, Some(*from), Some(*until))
            .await;
        let (before, after) = (before.unwrap(), after.unwrap());
        assert_eq!((before.receipts.len(), after.receipts.len()), (1, 2));
        let all = world.exchange.earnings(&otto).await.unwrap().earned.base();
        assert_eq!(earned(&before) + earned(&after), all);
        assert_eq!(after.receipts[0].seconds, Seconds::new(60));
        assert_eq!(after.seconds, Seconds::new(70));

        for wrong in ["2026-13", "november", "2027-05"] {
            let refused = world.exchange.month_invoice(&rita, wrong).await;
            assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_spoils_no_invoice() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world.exchange.submit(&rita, spec(""), None, None).await;
        let job = job.unwrap().summary.id;
        for _ in 0..40 {
            world.pass(1_000);
            worker.beat(&world).await;
            world.tick().await;
        }
        worker.start(&world).await;
        worker.work(&world, 65).await;
        // A start on a machine whose clock is behind.
        world.pass(-20_000);
        world.crash().await;
        worker.connect(&world, None).await.unwrap();
        worker.end(&world, FINISHED).await;
        let view = world.exchange.job(&rita, job).await.unwrap();
        assert_eq!(view.summary.seconds, Seconds::new(65));
        for invoice in [
            world.exchange.job_invoice(&rita, job).await.unwrap(),
            world
                .exchange
                .month_invoice(&rita, "2026-11")
                .await
                .unwrap(),
        ] {
            assert_eq!(checked(&world, &invoice).receipts, 2);
        }
        let export = world.exchange.ledger_export(&rita, None, None).await;
        assert!(export.is_ok());
    }
}

#[tokio::test]
async fn a_month_is_final_when_nothing_of_it_can_come_any_more() {
    let world = World::new("sqlite").await;
    let (_, december) = month_of("2026-11").unwrap();
    let rita = world.account("rita", "1").await;
    world.pass(december.millis_since(world.exchange.now()));
    for (wait, is_final) in [(0, false), (59_999, false), (1, true)] {
        world.pass(wait);
        let invoice = world
            .exchange
            .month_invoice(&rita, "2026-11")
            .await
            .unwrap();
        assert_eq!(invoice.is_final, is_final, "{wait}");
    }
}

#[tokio::test]
async fn what_was_given_back_stands_on_the_invoice() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let admin = crate::payouts::admin(&world, "ann").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        let (lease, _) = worker.start(&world).await;
        worker.work(&world, 60).await;
        worker.end(&world, FINISHED).await;
        let opened = world
            .exchange
            .open_dispute(&rita, lease, 1, None, "slow", None)
            .await
            .unwrap();
        world
            .exchange
            .rule(
                &admin,
                opened.id,
                base(700_000),
                "half of it was slow",
                None,
            )
            .await
            .unwrap();
        world.pass(1_000);
        let invoice = world
            .exchange
            .job_invoice(&rita, job.summary.id)
            .await
            .unwrap();
        let summary = checked(&world, &invoice);
        assert_eq!(summary.totals.refunded, base(700_000));
        assert_eq!(
            invoice.refunds[0].cause,
            RefundCause::Dispute {
                dispute: opened.id,
                seq: 1
            }
        );
        let month = world
            .exchange
            .month_invoice(&rita, "2026-11")
            .await
            .unwrap();
        assert_eq!(checked(&world, &month).totals, summary.totals);
    }
}

#[tokio::test]
async fn the_ledger_is_exported_as_it_is_listed() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, otto) = world.people("10").await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&world, &otto).await;
        let middle = world.exchange.now();
        world.pass(1_000);
        world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        worker.start(&world).await;
        worker.work(&world, 60).await;
        worker.end(&world, FINISHED).await;
        let all = world
            .exchange
            .ledger_export(&rita, None, None)
            .await
            .unwrap();
        let mut listed = world
            .exchange
            .entries(&rita, None, 100)
            .await
            .unwrap()
            .items;
        listed.reverse();
        assert_eq!(all.entries, listed);
        assert_eq!(all.entries[0].to, Some(Book::Available));
        let part = |from, to| world.exchange.ledger_export(&rita, from, to);
        let late = part(Some(middle.plus_millis(1)), None).await.unwrap();
        let early = part(None, Some(middle.plus_millis(1))).await.unwrap();
        assert_eq!([early.entries, late.entries.clone()].concat(), listed);
        assert!(
            late.entries
                .iter()
                .any(|entry| entry.kind == EntryKind::Charge)
        );
        let backwards = part(Some(middle), Some(middle)).await;
        assert!(matches!(backwards, Err(Error::Invalid(_))), "{backwards:?}");
        // The owner's books are other books.
        let theirs = world
            .exchange
            .ledger_export(&otto, None, None)
            .await
            .unwrap();
        assert!(theirs.entries.iter().all(|entry| entry.job.is_none()));
    }
}
