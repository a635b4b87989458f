//! How a job stands, and how a device is offered, told to those who watch.

use protocol::live::{Live, Topic};
use protocol::view::{JobEvent, Kind};
use store::Balances;

use crate::desk::Exchange;
use crate::error::Error;
use crate::views::{meter, offer_view};

impl Exchange {
    /// Tells the watchers of a job and of its account how it stands.
    pub(crate) async fn publish_job(&self, id: kernel::JobId, event: Option<JobEvent>) {
        if let Err(error) = self.try_publish_job(id, event).await {
            tracing::error!(job = %id, %error, "a change of a job could not be told to its watchers");
        }
    }

    async fn try_publish_job(
        &self,
        id: kernel::JobId,
        event: Option<JobEvent>,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        let Some(job) = store.job(id).await? else {
            return Ok(());
        };
        let (topic, account) = (Topic::Job(id), Topic::Account(job.account));
        if self.live().watched(topic) || self.live().watched(account) {
            let leases = store.leases_of_job(id).await?;
            let Balances {
                available, held, ..
            } = store.balances(job.account).await?;
            let means = self.means(job.account, available, held).await?;
            let (summary, own, all) = {
                let memory = self.memory();
                let summary = self.summary(&memory, &job, &leases);
                let mut own = meter(memory.leases_of_job(id), means);
                own.spent = summary.spent;
                let all = meter(memory.leases_of_account(job.account), means);
                (summary, own, all)
            };
            let frame = |meter| Live::Job {
                job: Box::new(summary.clone()),
                event: event.clone(),
                meter,
            };
            self.live().publish(topic, frame(own));
            self.live().publish(account, frame(all));
        }
        let devices: Vec<_> = {
            let memory = self.memory();
            let leases = memory.leases_of_job(id);
            leases
                .flat_map(|live| live.lease.devices.iter().map(|(device, _)| *device))
                .collect()
        };
        for device in devices {
            self.publish_offer(device);
        }
        Ok(())
    }

    pub(crate) fn publish_offer(&self, device: kernel::DeviceId) {
        if !self.live().watched(Topic::Market) {
            return;
        }
        let frame = {
            let memory = self.memory();
            match memory.book.get(device) {
                Some(offer) => Live::Offer {
                    offer: Box::new(offer_view(&memory, &offer, Kind::OnDemand, self.fees())),
                },
                None => Live::OfferGone { device },
            }
        };
        self.live().publish(Topic::Market, frame);
    }
}
