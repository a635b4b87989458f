//! What a lease earned and is withheld until something is shown.

use super::{EARNED, FINISHED, IO, PAID, PRICE, RITA, Street};
use crate::settle::in_order;
use crate::world::{Worker, backends};

const CHECKED: &str = "[recompute]\npercent = 100\nslices = 1\noutput = 'part-{slice}'\n[recompute.tolerance]\nkind = 'exact'";

#[tokio::test]
async fn what_is_withheld_does_not_leave_with_a_channel_that_closes() {
    for backend in backends() {
        let street = Street::new(backend).await;
        street.open(10 * IO).await;
        let mut worker = Worker::new(1, PRICE);
        worker.join(&street.world, &street.otto).await;
        street.submit(CHECKED).await;
        let (lease, _) = worker.start(&street.world).await;
        street.work(&mut worker, 130).await;
        let token = worker.runs[0].assignment.transfer_token.clone();
        let left = street
            .world
            .exchange
            .transfer_artefact(&token, lease, "part-0", &b"1"[..]);
        left.await.unwrap();
        worker.end(&street.world, FINISHED).await;
        assert!(street.vouchers().await.is_empty(), "it waits for the draw");
        street.close_for_good().await;
        assert_eq!(street.chain.holds(RITA), 100 * IO - PAID);
        in_order(&street.world, &street.chain).await;
        // Nobody else is there to compute it again: it is the owner's.
        for _ in 0..4 {
            street.world.pass(3_700_000);
            street.world.tick().await;
        }
        let made = street.world.exchange.balance(&street.otto).await.unwrap();
        assert_eq!(made.withdrawable.base(), EARNED);
        in_order(&street.world, &street.chain).await;
    }
}
