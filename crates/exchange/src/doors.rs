//! Ways into a running job: who may, and where to. What is said through them the server carries; here it is only noted, in the
//! job's own history, that they were opened and closed, by whom, for how long and how much went through.

use kernel::{Epoch, JobId, LeaseId, NodeId};
use protocol::mesh::Mesh;
use protocol::state::LeaseState;
use protocol::tunnel::{COMMAND_BYTES_MAX, Door, Shell, TunnelOrder};
use protocol::view::{JobEvent, JobEventKind, Scope};
use protocol::worker::ToWorker;
use store::Lease;

use crate::actor::{Actor, Via};
use crate::desk::Exchange;
use crate::error::Error;

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
    /// Not this account's job, or it does not run.
    pub async fn job_place(
        &self,
        actor: &Actor,
        job: JobId,
        member: u32,
        scope: Scope,
    ) -> Result<Place, Error> {
        let of = self.own_job(actor, job, scope).await?;
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
    /// The machine is not connected at this moment.
    pub fn knock(&self, place: &Place, ticket: &str, door: Door) -> Result<(), Error> {
        let mut memory = self.memory();
        let linked = memory
            .nodes
            .get(&place.node)
            .is_some_and(|node| node.link.is_some());
        if !linked {
            return Err(Error::Unavailable(
                "the job's machine is not connected at the moment; try again in a few seconds",
            ));
        }
        let order = TunnelOrder {
            lease: place.lease,
            epoch: place.epoch,
            ticket: ticket.to_owned(),
            door,
        };
        memory.send(place.node, ToWorker::Tunnel(order));
        Ok(())
    }

    /// Notes that somebody is in the job.
    ///
    /// # Errors
    /// The database.
    pub async fn shell_opened(
        &self,
        actor: &Actor,
        place: &Place,
        shell: &Shell,
    ) -> Result<(), Error> {
        let by = by(actor);
        let on = on(place);
        let what = match shell.command.first() {
            None => String::new(),
            Some(program) => {
                let program: String = program.chars().take(80).collect();
                format!(" Command: {program}.")
            }
        };
        let detail = format!("Opened{on} by {by}.{what}");
        self.note(place.job, JobEventKind::ShellOpened, detail)
            .await
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
        self.note(place.job, JobEventKind::ShellClosed, detail)
            .await
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
        let (by, on) = (by(actor), on(place));
        let detail = format!("{path}, {size} bytes{on}, by {by}.");
        self.note(place.job, JobEventKind::FileStored, detail).await
    }

    async fn note(&self, job: JobId, kind: JobEventKind, detail: String) -> Result<(), Error> {
        let event = JobEvent {
            at: self.now(),
            kind,
            detail,
        };
        tracing::info!(%job, kind = kind.as_str(), detail = event.detail, "work in a job");
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
