//! An exchange whose database was copied goes on from there as if nothing had been.

use protocol::state::{JobState, RunEnd};
use store::{DatabaseCopy, copy_database};

use crate::world::{Worker, World, backends, spec};

#[tokio::test]
async fn a_job_in_mid_run_goes_on_over_the_copy() {
    for from in backends() {
        for to in backends() {
            let mut world = World::new(from).await;
            let (rita, otto) = world.people("10").await;
            let mut worker = Worker::new(1, 25_000);
            worker.join(&world, &otto).await;
            let submitted = world.exchange.submit(&rita, spec(""), None, None).await;
            let job = submitted.unwrap().summary.id;
            worker.start(&world).await;
            worker.work(&world, 70).await;
            let (before, entries) = (
                world.exchange.balance(&rita).await.unwrap(),
                world.exchange.entries(&rita, None, 100).await.unwrap(),
            );

            world.exchange.shutdown().await;
            // The other database is that of a world that nobody has entered.
            let elsewhere = World::new(to).await;
            elsewhere.exchange.shutdown().await;
            let plan = DatabaseCopy {
                from: world.settings.database_url.clone(),
                to: elsewhere.settings.database_url.clone(),
                of_a_running_server: false,
            };
            let copied = copy_database(&plan, |_| {}).await;
            copied.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
            world.settings.database_url = elsewhere.settings.database_url.clone();
            world.crash().await;

            let after = world.exchange.balance(&rita).await.unwrap();
            assert_eq!(
                (after.available, after.held),
                (before.available, before.held)
            );
            let moved = world.exchange.entries(&rita, None, 100).await.unwrap();
            assert_eq!(format!("{moved:?}"), format!("{entries:?}"));
            worker.session = None;
            worker.connect(&world, None).await.unwrap();
            worker.beat(&world).await;
            worker.work(&world, 60).await;
            worker.end(&world, RunEnd::Exited { code: 0 }).await;
            let view = world.exchange.job(&rita, job).await.unwrap();
            assert_eq!(
                (view.summary.state, view.summary.seconds.get()),
                (JobState::Finished, 130),
                "{from} to {to}: {:?}",
                view.events
            );
            // 130 s × 25,000 and the fee, once.
            assert_eq!(view.summary.spent.base(), 3_258_125);
            assert_eq!(world.sum_of_books().await, 0);
        }
    }
}
