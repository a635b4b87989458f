//! Slices of a job's work are computed again on other owners' machines: drawn when the job is over, compared, judged. The numbers are
//! the crate `proof`'s; docs/proof.md has the argument.
//!
//! Each step is one transaction that takes a check from one state to the next, so that a process which stops between two goes on with
//! the next one, and no slice is checked twice.

mod again;

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::Signer;
use kernel::{IncidentId, JobId, LeaseId, NodeId, Timestamp};
use proof::slices::{self, Alone, Compared};
use protocol::JobSpec;
use protocol::money::IncidentKind;
use protocol::proof::{DeviceProof, ProofReason, ProofState};
use protocol::recompute::{CHECKS_MAX, CheckState, CheckView, Recompute, Tolerance};
use protocol::state::{JobState, RunEnd};
use protocol::view::Scope;
use sha2::{Digest, Sha256};
use store::{Device, Difference, Job, Lease, LeaseRow, Tx, Withheld};

use crate::actor::Actor;
use crate::desk::{Exchange, file_error};
use crate::error::Error;
use crate::reconcile::told;

use again::{Sent, is_where};

/// Between two looks at what is to be drawn or compared.
const LOOK_MS: i64 = 2_000;
/// In one look.
const DRAWS_AT_ONCE: u32 = 20;
const CHECKS_AT_ONCE: u32 = 200;
/// Checks of a node that its owner is shown.
const SHOWN: u32 = 100;
/// A check that brings no result is tried on so many other owners' machines, its second and its third together.
pub(crate) const TRIED_AGAIN: usize = 2;

/// Whether a lease's slices may be drawn when its job is over.
pub(crate) fn is_drawn_later(spec: &JobSpec, lease: &Lease) -> bool {
    let some = |recompute: &Recompute| recompute.percent > 0;
    spec.recompute.as_ref().is_some_and(some)
        && lease.owner != lease.account
        && !lease.charged.is_zero()
}

impl Exchange {
    /// Draws, sends, compares: whatever is to be done of it now. Apart from [`Exchange::tick`], which does not wait for pictures.
    ///
    /// # Errors
    /// The database failed, or a result cannot be read; what was reached stays.
    pub async fn look_after_checks(&self) -> Result<(), Error> {
        {
            let now = self.now();
            let mut memory = self.memory();
            if now.millis_since(memory.checked_at) < LOOK_MS {
                return Ok(());
            }
            memory.checked_at = now;
        }
        let mut outcome = Ok(());
        for job in self.inner.store.jobs_to_draw(DRAWS_AT_ONCE).await? {
            outcome = outcome.and(self.draw(job).await);
        }
        for check in self.inner.store.due_checks(CHECKS_AT_ONCE).await? {
            outcome = outcome.and(self.next_step(check).await);
        }
        outcome
    }

    /// The draw of a job that is over. What it delivered cannot change any more.
    async fn draw(&self, id: JobId) -> Result<(), Error> {
        let store = &self.inner.store;
        let job = store.job(id).await?.ok_or(Error::NotFound("the job"))?;
        let mut drawn = Vec::new();
        if let (Some(recompute), JobState::Finished) = (&job.spec.recompute, job.state) {
            drawn = self.drawn(&job, recompute).await?;
        }
        let now = self.now();
        let _turn = self.inner.desk.lock().await;
        let mut tx = store.begin().await?;
        for lease in tx.undrawn(id).await? {
            tx.release(lease, Withheld::Draw).await?;
            if drawn.iter().any(|check| check.lease == lease) {
                tx.withhold(lease, Withheld::Check, now).await?;
            } else {
                self.mature(&mut tx, lease, now).await?;
            }
        }
        for check in &drawn {
            tx.insert_check(check).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The slices of a job that are computed again: it follows from the platform's signatures over what was delivered.
    async fn drawn(&self, job: &Job, recompute: &Recompute) -> Result<Vec<CheckView>, Error> {
        let leases = self.inner.store.leases_of_job(job.id).await?;
        let may = |row: &&LeaseRow| is_drawn_later(&job.spec, &row.lease);
        let paid: BTreeSet<LeaseId> = leases.iter().filter(may).map(|row| row.lease.id).collect();
        // What was left twice counts as it was left last.
        let mut newest = BTreeMap::new();
        for file in self.inner.store.artefacts(job.id).await? {
            let lease = file.lease;
            let known = newest
                .entry(file.path.clone())
                .or_insert_with(|| file.clone());
            if known.lease < lease {
                *known = file;
            }
        }
        let now = self.now();
        let mut drawn: Vec<(u64, CheckView)> = Vec::new();
        for slice in recompute.numbers() {
            let path = recompute.path(slice);
            let Some(file) = newest.get(&path).filter(|file| paid.contains(&file.lease)) else {
                continue;
            };
            let bytes = slices::draw_bytes(job.id, slice, &file.sha256);
            let signature = self.inner.key.sign(&bytes).to_bytes();
            let draw = slices::draw_of(&signature);
            if slices::is_drawn(draw, recompute.percent) {
                let check = CheckView {
                    job: job.id,
                    slice,
                    lease: file.lease,
                    path,
                    sha256: file.sha256.clone(),
                    draw: hex::encode(signature),
                    drawn_at: now,
                    state: CheckState::Drawn,
                    second: None,
                    third: None,
                    detail: String::new(),
                    ended_at: None,
                };
                drawn.push((draw, check));
            }
        }
        drawn.sort_by_key(|(draw, _)| *draw);
        drawn.truncate(CHECKS_MAX);
        Ok(drawn.into_iter().map(|(_, check)| check).collect())
    }

    async fn next_step(&self, check: CheckView) -> Result<(), Error> {
        let store = &self.inner.store;
        let job = store.job(check.job).await?;
        let job = job.ok_or(Error::NotFound("the job"))?;
        let Some(recompute) = job.spec.recompute.clone() else {
            return Err(Error::Internal(
                "a job without slices has one checked".into(),
            ));
        };
        let again = match check.state {
            CheckState::Drawn => {
                return self.send_check(check, &job, &recompute, Sent::Next).await;
            }
            CheckState::Second => check.second,
            CheckState::Third => check.third,
            _ => return Ok(()),
        };
        let again = again.ok_or_else(|| Error::Internal("a check without a job".into()))?;
        let ran = store.job(again).await?;
        let ran = ran.ok_or(Error::NotFound("the check's job"))?;
        if !ran.state.is_final() {
            return Ok(());
        }
        let undecided = |why: String| (CheckState::Undecided, why);
        if ran.state != JobState::Finished {
            if is_machines(&ran) && self.may_try_again(&check).await? {
                return self.send_check(check, &job, &recompute, Sent::Again).await;
            }
            let why = ran.end.map(|end| end.sentence()).unwrap_or_default();
            let (state, why) = undecided(format!("it could not be computed again: {why}"));
            return self.conclude_check(check, state, why).await;
        }
        let first = self
            .result_of(check.job, Some(check.lease), &check.path)
            .await?
            // What it was drawn by, and nothing else.
            .filter(|bytes| hex::encode(Sha256::digest(bytes)) == check.sha256);
        let new = self.result_of(again, None, &check.path).await?;
        if first.is_some() && new.is_none() && self.may_try_again(&check).await? {
            return self.send_check(check, &job, &recompute, Sent::Again).await;
        }
        let (Some(first), Some(new)) = (first, new) else {
            let (state, why) = undecided("a result is missing or too large".to_owned());
            return self.conclude_check(check, state, why).await;
        };
        if check.state == CheckState::Second {
            return match compared(first, new, recompute.tolerance).await? {
                Compared::Same => {
                    self.conclude_check(check, CheckState::Same, String::new())
                        .await
                }
                Compared::Differ(why) | Compared::Unreadable(why) => {
                    let check = CheckView {
                        detail: why,
                        ..check
                    };
                    self.send_check(check, &job, &recompute, Sent::Next).await
                }
            };
        }
        let second = match check.second {
            Some(second) => self.result_of(second, None, &check.path).await?,
            None => None,
        };
        let Some(second) = second else {
            let (state, why) = undecided("a result is missing or too large".to_owned());
            return self.conclude_check(check, state, why).await;
        };
        let one = compared(first, new.clone(), recompute.tolerance).await?;
        let other = compared(second, new, recompute.tolerance).await?;
        let state = match slices::judge(&one, &other) {
            Alone::First => CheckState::FirstAlone,
            Alone::Second => CheckState::SecondAlone,
            Alone::Nobody => CheckState::Undecided,
            Alone::All => CheckState::AllDiffer,
        };
        let why = match (&one, &other) {
            (Compared::Differ(why), _) | (_, Compared::Differ(why) | Compared::Unreadable(why)) => {
                why
            }
            _ => "the third is between the two",
        };
        let why = why.to_owned();
        if state != CheckState::AllDiffer && !self.is_judged(&job.spec) {
            let why = format!(
                "two machines agree against one, but the program is the requester's own: {why}"
            );
            return self.conclude_check(check, CheckState::Undecided, why).await;
        }
        self.conclude_check(check, state, why).await
    }

    /// Whether a check that brought no result may be tried on one more owner's machine.
    async fn may_try_again(&self, check: &CheckView) -> Result<bool, Error> {
        let store = &self.inner.store;
        let failed = store.failed_checks(check.job, check.slice).await?;
        Ok(failed.len() < TRIED_AGAIN)
    }

    /// Whether machines are held to what a job's program makes of a slice. A requester's own program sees that it is checked (the
    /// slice is in its environment), and could answer then what no honest machine has delivered.
    fn is_judged(&self, spec: &JobSpec) -> bool {
        self.own_program(spec).is_some()
    }

    /// What the template says whose program a job runs.
    fn own_program(&self, spec: &JobSpec) -> Option<JobSpec> {
        let templates = self.settings().templates.all();
        templates
            .iter()
            .find_map(|template| template.own_program(spec))
    }

    /// What a job left under a name; of one lease, or the newest. `None`: nothing, or more than is compared.
    async fn result_of(
        &self,
        job: JobId,
        lease: Option<LeaseId>,
        path: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let files = self.inner.store.artefacts(job).await?;
        let own = files
            .iter()
            .filter(|file| file.path == path && lease.is_none_or(|lease| file.lease == lease));
        let Some(file) = own.max_by_key(|file| file.lease) else {
            return Ok(None);
        };
        if file.size_bytes > slices::BYTES_MAX {
            return Ok(None);
        }
        let path = self.artefact_path(job, file.id);
        match tokio::fs::read(&path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file_error("reading a result", &path, source)),
        }
    }

    /// Writes what came of a check: who is to blame gives back and is not hired, and what waited for it is paid.
    async fn conclude_check(
        &self,
        before: CheckView,
        state: CheckState,
        detail: String,
    ) -> Result<(), Error> {
        let _turn = self.inner.desk.lock().await;
        let now = self.now();
        let blamed = match (state, before.second) {
            (CheckState::FirstAlone, _) => Some(before.lease),
            (CheckState::SecondAlone, Some(second)) => self.finisher(second).await?,
            _ => None,
        };
        let blamed = match blamed {
            Some(lease) => self.inner.store.lease(lease).await?,
            None => None,
        };
        let mut tx = self.inner.store.begin().await?;
        let stored = tx.check(before.job, before.slice).await?;
        if stored.is_none_or(|stored| !is_where(&stored, &before)) {
            return Ok(());
        }
        let check = CheckView {
            state,
            detail,
            ended_at: Some(now),
            ..before
        };
        tx.put_check(&check).await?;
        let mut failed = Vec::new();
        if let Some(lease) = &blamed {
            failed = self.blame(&mut tx, lease, &check, now).await?;
        }
        if !tx.is_checked(check.lease).await? {
            tx.release(check.lease, Withheld::Check).await?;
            self.mature(&mut tx, check.lease, now).await?;
        }
        if state == CheckState::AllDiffer {
            let incident = Difference {
                kind: IncidentKind::Slices,
                subject: format!("{}:{}", check.job, check.slice),
                expected: "1".to_owned(),
                found: "3".to_owned(),
            };
            let id = IncidentId::new(now, self.random());
            tx.insert_incident(id, &incident, now).await?;
            for admin in tx.admins().await? {
                self.notify(&mut tx, admin, told(id, &incident)).await?;
            }
        }
        tx.commit().await?;
        tracing::info!(job = %check.job, slice = check.slice, lease = %check.lease, state = state.as_str(), detail = check.detail, "a slice was checked");
        {
            let mut memory = self.memory();
            for job in check.second.iter().chain(&check.third) {
                memory.apart.remove(job);
            }
            for device in &failed {
                memory.stands(device.node, device.id, &device.proof);
            }
        }
        for node in failed
            .iter()
            .map(|device| device.node)
            .collect::<BTreeSet<_>>()
        {
            self.publish_node(node);
        }
        self.publish_job(check.job, None).await;
        Ok(())
    }

    /// The lease that finished a job of one member.
    async fn finisher(&self, job: JobId) -> Result<Option<LeaseId>, Error> {
        let rows = self.inner.store.leases_of_job(job).await?;
        let done = rows.iter().map(|row| &row.lease);
        let done = done.filter(|lease| matches!(lease.end, Some(RunEnd::Exited { code: 0 })));
        Ok(done.map(|lease| lease.id).max())
    }

    /// A lease whose result stands alone: all of it goes back, as of a lesser card than was promised, and its devices have failed.
    async fn blame(
        &self,
        tx: &mut Tx,
        lease: &Lease,
        check: &CheckView,
        now: Timestamp,
    ) -> Result<Vec<Device>, Error> {
        let job = tx.job(lease.job).await?;
        let job = job.ok_or(Error::NotFound("the job"))?;
        let reason = format!(
            "two other machines computed slice {} of {} again, and agree on something else: {}.",
            check.slice, check.job, check.detail
        );
        self.not_computed(tx, &job, lease, &reason).await?;
        let end = RunEnd::SpecMissed { reason };
        tx.found_wrong(lease.id, &end).await?;
        let mut failed: Vec<Device> = {
            let memory = self.memory();
            let own = lease.devices.iter();
            own.filter_map(|(id, _)| memory.device(*id).map(|(_, device)| device.clone()))
                .collect()
        };
        for device in &mut failed {
            device.proof = DeviceProof {
                state: ProofState::Failed,
                reason: Some(ProofReason::WrongSlice),
                detail: check.detail.clone(),
                challenged_at: Some(now),
                proven_since: None,
                strikes: 0,
            };
            tx.set_proof(device.id, &device.proof).await?;
        }
        Ok(failed)
    }

    /// The checks of what an own node delivered, the newest first.
    ///
    /// # Errors
    /// Not this account's node.
    pub async fn checks_of_node(
        &self,
        actor: &Actor,
        node: NodeId,
    ) -> Result<Vec<CheckView>, Error> {
        actor.require(Scope::Read)?;
        self.own_node(actor.account, node).await?;
        Ok(self.inner.store.checks_of_node(node, SHOWN).await?)
    }
}

/// Whether a check's job ended by what happened on its machine. Its requester could end it, or leave it without money, wherever it does
/// not like who computes: that is no reason to draw another.
fn is_machines(ran: &Job) -> bool {
    !ran.stop_requested
        && !matches!(
            ran.end,
            None | Some(RunEnd::NoCapacity { .. } | RunEnd::StoppedByUser | RunEnd::OutOfFunds)
        )
}

/// A picture takes a while: apart from what answers.
async fn compared(first: Vec<u8>, again: Vec<u8>, tolerance: Tolerance) -> Result<Compared, Error> {
    tokio::task::spawn_blocking(move || slices::compare(&first, &again, tolerance))
        .await
        .map_err(|error| Error::Internal(format!("a comparison: {error}")))
}
