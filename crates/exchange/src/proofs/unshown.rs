//! A lease that was lost before its cards were measured at its end: what it earned since its last full hour waits until they have
//! shown themselves again, and they are not hired before. What does not pass, or does not come back, is not paid for that time.

use kernel::{LeaseId, Seconds, Timestamp};
use protocol::proof::{DeviceProof, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use store::{Device, Tx, Withheld};

use crate::desk::{Exchange, Memory};
use crate::error::Error;
use crate::refunds::missed;

/// A machine that broke down may be repaired within this.
const PATIENCE: Seconds = Seconds::new(7 * 86_400);
/// Of those whose time is over, so many are looked at in one round.
const AT_ONCE: u32 = 100;

impl Exchange {
    /// The cards of a live lease that delivered, and that did not show since its last second what they are.
    pub(crate) fn unshown(&self, memory: &Memory, lease: LeaseId) -> Vec<Device> {
        let Some(live) = memory.leases.get(&lease) else {
            return Vec::new();
        };
        let seconds = live.seconds();
        let owes = live.owes_measure(seconds) || memory.is_measured_now(lease);
        if self.inner.settings.challenges.is_none() || seconds == Seconds::ZERO || !owes {
            return Vec::new();
        }
        let own = live.lease.devices.iter();
        own.filter_map(|(id, _)| memory.device(*id).map(|(_, device)| device.clone()))
            .filter(|device| {
                let shown = matches!(device.proof.state, ProofState::Proven | ProofState::Suspect);
                let promised = live.lease.promised.iter();
                let was = promised
                    .filter(|one| one.proven)
                    .any(|one| one.device == device.id);
                device.class == DeviceClass::Gpu && (shown || was)
            })
            .collect()
    }

    /// Notes that a lost lease waits for these cards, and that they are to show themselves. Answers them as they stand now.
    pub(crate) async fn withhold_unshown(
        tx: &mut Tx,
        lease: LeaseId,
        mut devices: Vec<Device>,
        now: Timestamp,
    ) -> Result<Vec<Device>, Error> {
        for device in &mut devices {
            tx.withhold(lease, Withheld::Device(device.id), now).await?;
            if device.proof.state == ProofState::Proven {
                device.proof = DeviceProof {
                    state: ProofState::Claimed,
                    reason: Some(ProofReason::NoAnswer),
                    detail: "a lease was lost before it was measured at the end".to_owned(),
                    // At once, as soon as it is there.
                    challenged_at: None,
                    ..device.proof.clone()
                };
                tx.set_proof(device.id, &device.proof).await?;
            }
        }
        Ok(devices)
    }

    /// A card has shown itself: what waited for it alone is paid, if it is what was hired.
    pub(super) async fn card_shown(&self, tx: &mut Tx, device: &Device) -> Result<(), Error> {
        for id in tx.withheld_for(device.id).await? {
            let lease = self.inner.store.lease(id).await?;
            let mut promised = lease.iter().flat_map(|lease| &lease.promised);
            let promised = promised.find(|promised| promised.device == device.id);
            let lesser =
                promised.and_then(|promised| missed(promised, Some(device)).map(|_| promised));
            if let Some(promised) = lesser {
                let model = promised.model.clone();
                self.not_shown(tx, id, &model).await?;
                continue;
            }
            tx.release(id, Withheld::Device(device.id)).await?;
            self.mature(tx, id, self.now()).await?;
        }
        Ok(())
    }

    /// A lost lease whose card did not show itself: what has not matured goes back, that is all since its last full hour, less
    /// what the loss bound has given back of it already. The caller holds the desk.
    pub(super) async fn not_shown(
        &self,
        tx: &mut Tx,
        id: LeaseId,
        model: &str,
    ) -> Result<(), Error> {
        let Some(lease) = self.inner.store.lease(id).await? else {
            return Ok(());
        };
        let now = self.now();
        let job = tx.job(lease.job).await?;
        let job = job.ok_or(Error::NotFound("the job"))?;
        tx.release_devices(id).await?;
        let hours = lease.head.seconds.get() / Seconds::HOUR.get();
        let full = Seconds::new(hours.saturating_mul(Seconds::HOUR.get()));
        let why =
            format!("its {model} was lost in mid-run and did not show afterwards that it is one.");
        let seconds = lease.head.seconds.minus_or_zero(full);
        self.not_hired(tx, &job, &lease, seconds, &why).await?;
        self.mature(tx, id, now).await?;
        tracing::info!(lease = %id, "a lost lease was not shown afterwards");
        Ok(())
    }

    /// Those that did not come back in time.
    pub(crate) async fn give_up_unshown(&self) -> Result<(), Error> {
        let before = self.now().minus(PATIENCE);
        for lease in self.inner.store.never_shown(before, AT_ONCE).await? {
            let _turn = self.inner.desk.lock().await;
            let mut tx = self.inner.store.begin().await?;
            self.not_shown(&mut tx, lease, "card").await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
