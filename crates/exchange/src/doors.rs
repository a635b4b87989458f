//! Ways into a running job: who may, and where to. What is said through them the server carries; here it is noted, in the
//! job's own history and in the audit log, that they were opened and closed, by whom, for how long and how much went through.

use kernel::{AccountId, Epoch, JobId, LeaseId, NodeId};
use protocol::audit::{ActorKind, AuditAction};
use protocol::mesh::Mesh;
use protocol::state::LeaseState;
use protocol::tunnel::{COMMAND_BYTES_MAX, Door, Shell, TunnelOrder};
use protocol::view::{JobEvent, JobEventKind, Scope};
use protocol::worker::ToWorker;
use store::Lease;

use crate::actor::{Actor, Via};
use crate::audit::Act;
use crate::desk::Exchange;
use crate::error::Error;
use crate::passes::PortAt;
use crate::recordings::{Recorder, recorded};

/// Where a job runs at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub job: JobId,
    pub member: u32,
    pub lease: LeaseId,
    epoch: Epoch,
    node: NodeId,
}

impl Place {
    const fn of(lease: &Lease) -> Self {
        Self {
            job: lease.job,
            member: lease.member,
            lease: lease.id,
            epoch: lease.epoch,
            node: lease.node,
        }
    }
}

/// What somebody reaches in a job, of which one entry an hour is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// A port, through its address in a browser or for programs.
    Port(PortAt),
    /// The same through the owner's own machine (`iog port-forward`).
    Forwarded(PortAt),
    FilesRead(JobId, u32),
    FilesStored(JobId, u32),
}

impl Reach {
    const fn place(self) -> (JobId, u32) {
        match self {
            Self::Port(at) | Self::Forwarded(at) => (at.job, at.member),
            Self::FilesRead(job, member) | Self::FilesStored(job, member) => (job, member),
        }
    }
}

/// Who reached what in which hour (since 1970): a note of what is in the log already.
pub(crate) type Reached = std::collections::HashSet<(Option<AccountId>, Reach, i64)>;

/// More than these are not remembered; what is forgotten is noted twice.
const REACHED_MAX: usize = 50_000;
const HOUR_MS: i64 = 3_600_000;

const AWAY: Error = Error::Unavailable(
    "the job's machine is not connected at the moment; try again in a few seconds",
);
const BUSY: Error = Error::Busy(
    "the job's machine is asked for too much at the moment; try again in a few seconds",
);

/// What went through a shell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub seconds: u64,
    pub typed: u64,
    pub shown: u64,
}

impl Exchange {
    /// Where one of the actor's jobs runs, for those who may work in it.
    ///
    /// # Errors
    /// Not this account's job, it does not run, or slices of it are computed again.
    pub async fn job_place(
        &self,
        actor: &Actor,
        job: JobId,
        member: u32,
        scope: Scope,
    ) -> Result<Place, Error> {
        let of = self.own_job(actor, job, scope).await?;
        let checked = of.spec.recompute.as_ref().is_some_and(|of| of.percent > 0);
        if checked || self.memory().apart.contains_key(&job) {
            return Err(Error::Conflict(
                "nobody works in a job whose slices are computed again: what it delivers is held against its machine".into(),
            ));
        }
        self.place_of(job, member).ok_or_else(|| {
            Error::Conflict(if of.state.is_final() {
                format!("this job has ended: it is {}", of.state)
            } else if member == 0 {
                format!("this job does not run yet: it is {}", of.state)
            } else {
                format!("machine {member} of this job does not run")
            })
        })
    }

    /// The same where somebody else has decided that they may.
    pub fn place_of(&self, job: JobId, member: u32) -> Option<Place> {
        let memory = self.memory();
        let live = memory
            .leases_of_job(job)
            .find(|live| live.lease.member == member && live.lease.state == LeaseState::Active)?;
        Some(Place::of(&live.lease))
    }

    /// The jobs whose machines reach each other, with those that run at this moment.
    pub fn meshes(&self) -> Vec<(Mesh, Place)> {
        let memory = self.memory();
        let running = memory.leases.values();
        let running = running.filter(|live| live.lease.state == LeaseState::Active);
        running
            .filter_map(|live| Some((live.spec.mesh(live.lease.member)?, Place::of(&live.lease))))
            .collect()
    }

    /// A new ticket for one tunnel.
    pub fn tunnel_ticket(&self) -> String {
        hex::encode(self.random::<32>())
    }

    /// Asks the job's machine to dial with the ticket.
    ///
    /// # Errors
    /// The machine is not connected at this moment, or has too many such questions before it.
    pub fn knock(&self, place: &Place, ticket: &str, door: Door) -> Result<(), Error> {
        let order = TunnelOrder {
            lease: place.lease,
            epoch: place.epoch,
            ticket: ticket.to_owned(),
            door,
        };
        let memory = self.memory();
        let node = memory.nodes.get(&place.node);
        let link = node.and_then(|node| node.link.as_ref()).ok_or(AWAY)?;
        // Not by `send`: whoever may ask into one job must not end the node's line for all by asking often. Half of the queue stays
        // free for what the node has to be told.
        if link.sender.capacity() <= link.sender.max_capacity() / 2 {
            return Err(BUSY);
        }
        let sent = link.sender.try_send(ToWorker::Tunnel(order));
        sent.map_err(|_| AWAY)?;
        Ok(())
    }

    /// Notes that somebody is in the job, and begins to record what the shell shows.
    ///
    /// # Errors
    /// The database.
    pub async fn shell_opened(
        &self,
        actor: &Actor,
        place: &Place,
        shell: &Shell,
    ) -> Result<Recorder, Error> {
        // Arguments may hold what nobody else is to read.
        let program: String = shell.command.first().map_or("", String::as_str).into();
        let program: String = program.chars().take(80).collect();
        let (by, on) = (by(actor), on(place));
        let what = if program.is_empty() {
            String::new()
        } else {
            format!(" Command: {program}.")
        };
        let event = self.event(
            JobEventKind::ShellOpened,
            format!("Opened{on} by {by}.{what}"),
        );
        let recording = self.new_recording(actor, (place.job, place.member), &program);
        let act = Act::by(actor, AuditAction::ShellOpened, place.job)
            .with("member", place.member)
            .with("program", program)
            .with("recording", recording.id);
        let mut tx = self.inner.store.begin().await?;
        tx.add_event(place.job, &event).await?;
        tx.insert_recording(&recording).await?;
        let kept = tx
            .recorded_bytes(place.job, protocol::audit::RECORDING_BYTES_MAX)
            .await?;
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        self.publish_job(place.job, Some(event)).await;
        Ok(self.record(&recording, shell, kept).await)
    }

    /// Notes that they are gone.
    ///
    /// # Errors
    /// The database.
    pub async fn shell_closed(
        &self,
        actor: &Actor,
        place: &Place,
        traffic: Traffic,
        mut recorder: Recorder,
    ) -> Result<(), Error> {
        let Traffic {
            seconds,
            typed,
            shown,
        } = traffic;
        let (by, on) = (by(actor), on(place));
        let detail = format!(
            "Closed{on} by {by} after {seconds} s; {typed} bytes went in and {shown} came out."
        );
        let event = self.event(JobEventKind::ShellClosed, detail);
        let end = self.end_of_recording(&mut recorder).await;
        let act = Act::by(actor, AuditAction::ShellClosed, place.job)
            .with("member", place.member)
            .with("seconds", seconds)
            .with("typed_bytes", typed)
            .with("shown_bytes", shown);
        let mut tx = self.inner.store.begin().await?;
        tx.add_event(place.job, &event).await?;
        tx.end_recording(recorder.id(), &end).await?;
        self.audit(&mut tx, recorded(act, recorder.id(), &end))
            .await?;
        tx.commit().await?;
        self.publish_job(place.job, Some(event)).await;
        Ok(())
    }

    /// Notes that somebody reaches into a job, the first time of an hour. `who`: one of its owner's, or (`None`) whoever has a
    /// link. Called before it happens.
    ///
    /// # Errors
    /// The database.
    pub async fn reached(&self, who: Option<&Actor>, what: Reach) -> Result<(), Error> {
        let hour = self.now().millis().div_euclid(HOUR_MS);
        let once = (who.map(|actor| actor.account), what, hour);
        {
            let mut reached = self.reached_lately();
            if reached.contains(&once) {
                return Ok(());
            }
            if reached.len() >= REACHED_MAX {
                reached.clear();
            }
            reached.retain(|(_, _, of)| *of == hour);
        }
        let (job, member) = what.place();
        let action = match what {
            Reach::Port(_) | Reach::Forwarded(_) => AuditAction::PortConnected,
            Reach::FilesRead(..) => AuditAction::FilesRead,
            Reach::FilesStored(..) => AuditAction::FilesStored,
        };
        let act = if let Some(actor) = who {
            Act::by(actor, action, job)
        } else {
            let owner = self.owner_of(job).await?;
            Act::by_other(ActorKind::Link, "", action, job, owner)
        };
        let act = act.with("member", member);
        let act = match what {
            Reach::Port(at) => act.with("port", at.port),
            Reach::Forwarded(at) => act.with("port", at.port).with("by", "port-forward"),
            Reach::FilesRead(..) | Reach::FilesStored(..) => act,
        };
        self.audit_alone(act).await?;
        self.reached_lately().insert(once);
        Ok(())
    }

    fn reached_lately(&self) -> std::sync::MutexGuard<'_, Reached> {
        let reached = self.inner.reached.lock();
        reached.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes that a file was put into the job.
    ///
    /// # Errors
    /// The database.
    pub async fn file_stored(
        &self,
        actor: &Actor,
        place: &Place,
        path: &str,
        size: u64,
    ) -> Result<(), Error> {
        self.reached(Some(actor), Reach::FilesStored(place.job, place.member))
            .await?;
        let (by, on) = (by(actor), on(place));
        let detail = format!("{path}, {size} bytes{on}, by {by}.");
        self.note(place.job, JobEventKind::FileStored, detail).await
    }

    fn event(&self, kind: JobEventKind, detail: String) -> JobEvent {
        tracing::info!(kind = kind.as_str(), detail, "work in a job");
        JobEvent {
            at: self.now(),
            kind,
            detail,
        }
    }

    async fn note(&self, job: JobId, kind: JobEventKind, detail: String) -> Result<(), Error> {
        let event = self.event(kind, detail);
        let mut tx = self.inner.store.begin().await?;
        tx.add_event(job, &event).await?;
        tx.commit().await?;
        self.publish_job(job, Some(event)).await;
        Ok(())
    }
}

fn by(actor: &Actor) -> String {
    match &actor.via {
        Via::Key { id, .. } => format!("{} with key {id}", actor.email),
        Via::Session(_) | Via::System => actor.email.clone(),
    }
}

fn on(place: &Place) -> String {
    if place.member == 0 {
        String::new()
    } else {
        format!(" on machine {}", place.member)
    }
}

/// # Errors
/// What is wrong with a shell that somebody wants.
pub fn check_shell(shell: &Shell) -> Result<(), Error> {
    let bytes: usize = shell.command.iter().map(String::len).sum();
    let fits = bytes <= COMMAND_BYTES_MAX
        && shell.command.len() <= protocol::spec::ARGS_MAX
        && shell.command.iter().all(|word| !word.contains('\0'))
        && shell.command.first().is_none_or(|word| !word.is_empty());
    if fits {
        Ok(())
    } else {
        Err(Error::invalid(
            "command",
            format!("a program and its arguments, at most {COMMAND_BYTES_MAX} bytes together"),
        ))
    }
}
