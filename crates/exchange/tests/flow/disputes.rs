//! Contested receipts, and what the sides of a dispute write.

use exchange::{Error, PayoutMove};
use kernel::Amount;
use protocol::money::{DisputeState, Party};
use protocol::notice::Notice;
use protocol::problem::Code;

use crate::payouts::{EARNED, FINISHED, PAID, PRICE, admin, code, in_order, io, told, worked};
use crate::world::{Worker, World, backends, spec};

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
