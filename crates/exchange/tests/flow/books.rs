//! What the books held at any moment, and what the reconciler finds in them.

use kernel::Amount;
use protocol::money::IncidentKind;
use protocol::notice::Notice;
use protocol::problem::Code;
use sqlx::Executor;

use crate::payouts::{PAID, admin, code, in_order, io, told, worked};
use crate::world::{World, backends};

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
