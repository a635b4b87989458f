//! The reconciler: compares leases, receipts, holds and books, reads the chain of transfers on, and reports each
//! difference as an incident with its ids. It mends nothing.

use std::collections::{BTreeMap, BTreeSet};

use kernel::IncidentId;
use ledger::{BookId, chain};
use protocol::audit::AuditAction;
use protocol::money::{IncidentKind, IncidentView};
use protocol::notice::Notice;
use protocol::view::Page;
use store::{ChainEnd, Difference, EntryRow};

use crate::actor::Actor;
use crate::audit::Act;
use crate::audit_check;
use crate::desk::Exchange;
use crate::error::Error;
use crate::payouts::page;
use crate::prose::prose;

/// Transfers of the chain that one look reads at most; the next goes on from there.
const CHAIN_AT_ONCE: u64 = 200_000;
const CHAIN_PAGE: u32 = 2_000;
/// So many incidents of a kind stand at most, so that a look that finds the world broken does not fill the database with it. What is
/// beyond them is in the log, and becomes an incident when one of these is gone.
const INCIDENTS_A_KIND: u32 = 50;
const NOTE_MAX: usize = 1_000;
const SHOWN: u32 = 200;

/// Reads the chain on, transfer by transfer.
struct ChainReader {
    end: ChainEnd,
    /// What the books that were met held after their last transfer.
    held: BTreeMap<String, i64>,
}

impl ChainReader {
    /// What is wrong with the next transfer, if anything.
    fn read(&mut self, row: &EntryRow) -> Option<Difference> {
        let subject = row.id.to_string();
        let differs = |expected: String, found: String| {
            (expected != found).then(|| Difference {
                kind: IncidentKind::Chain,
                subject: subject.clone(),
                expected,
                found,
            })
        };
        let number = self.end.seq.saturating_add(1);
        let hash = row
            .transfer()
            .ok()
            .map(|transfer| chain::hash(self.end.hash, number, row.at, row.id, &transfer));
        let expected = hash.map(|hash| hash.to_string()).unwrap_or_default();
        let mut found = differs(format!("number {number}"), format!("number {}", row.seq))
            .or_else(|| differs(expected, row.hash.clone()));
        let amount = row.amount.base();
        for (book, after, by) in [
            (&row.from_book, row.from_after, amount.saturating_neg()),
            (&row.to_book, row.to_after, amount),
        ] {
            let held = self.held.insert(book.clone(), after);
            let should = held.unwrap_or(0).saturating_add(by);
            found = found.or_else(|| {
                differs(
                    format!("{book} holds {should}"),
                    format!("{book} holds {after}"),
                )
            });
        }
        // What follows is read from what is stored, or one fault would be reported with each transfer after it.
        self.end.seq = row.seq;
        self.end.at = row.at;
        self.end.hash = chain::TransferHash::parse(&row.hash).unwrap_or(self.end.hash);
        found
    }
}

const fn is_of_chain(kind: IncidentKind) -> bool {
    matches!(kind, IncidentKind::Chain | IncidentKind::AuditChain)
}

pub(crate) fn told(incident: IncidentId, difference: &Difference) -> Notice {
    let Difference {
        kind,
        subject,
        expected,
        found,
    } = difference;
    Notice::IncidentOpened {
        incident,
        kind: *kind,
        detail: format!("{subject}: expected {expected}, found {found}"),
        account: subject.parse::<BookId>().ok().and_then(BookId::owner),
    }
}

impl Exchange {
    /// Looks once, and answers how many differences stand.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reconcile(&self) -> Result<usize, Error> {
        let _turn = self.inner.reconciling.lock().await;
        let store = &self.inner.store;
        let (mut found, end, chain_over) = self.read_chain().await?;
        found.extend(store.differences().await?);
        let audit = self.look_at_audit().await?;
        found.extend(audit.found);
        found.sort();
        found.dedup_by(|one, other| one.kind == other.kind && one.subject == other.subject);
        let now = self.now();
        let mut tx = store.begin().await?;
        let open = tx.open_incidents().await?;
        let admins = tx.admins().await?;
        let named: BTreeMap<(IncidentKind, &str), IncidentId> = open
            .iter()
            .map(|incident| ((incident.kind, incident.subject.as_str()), incident.id))
            .collect();
        let (mut standing, mut new) = (BTreeMap::<IncidentKind, u32>::new(), Vec::new());
        let mut stand = BTreeSet::new();
        for difference in &found {
            if let Some(known) = named.get(&(difference.kind, difference.subject.as_str())) {
                tx.see_incident(*known, Some(difference), now).await?;
                let count = standing.entry(difference.kind).or_default();
                *count = count.saturating_add(1);
                stand.insert(*known);
            } else {
                new.push(difference);
            }
        }
        for difference in new {
            tracing::error!(
                kind = difference.kind.as_str(),
                subject = difference.subject,
                expected = difference.expected,
                found = difference.found,
                "the books differ"
            );
            let count = standing.entry(difference.kind).or_default();
            // A chain is read past its break: who is not told now never is.
            if *count >= INCIDENTS_A_KIND && !is_of_chain(difference.kind) {
                continue;
            }
            *count = count.saturating_add(1);
            let id = IncidentId::new(now, self.random());
            tx.insert_incident(id, difference, now).await?;
            for admin in &admins {
                self.notify(&mut tx, *admin, told(id, difference)).await?;
            }
        }
        // A break in a chain was read past and does not heal; nor do slices that three machines computed in three ways.
        let healed = open.iter().filter(|incident| {
            !is_of_chain(incident.kind)
                && incident.kind != IncidentKind::Slices
                && !stand.contains(&incident.id)
        });
        for incident in healed {
            tx.see_incident(incident.id, None, now).await?;
        }
        tx.put_ledger_checked(&end).await?;
        tx.put_audit_checked(audit_check::ON, &audit.on).await?;
        tx.put_audit_checked(audit_check::AGAIN, &audit.again)
            .await?;
        tx.commit().await?;
        tracing::debug!(
            differences = found.len(),
            seq = end.seq,
            chain_over,
            "reconciled"
        );
        Ok(found.len())
    }

    async fn read_chain(&self) -> Result<(Vec<Difference>, ChainEnd, bool), Error> {
        let store = &self.inner.store;
        let end = store.ledger_checked().await?;
        let mut reader = ChainReader {
            end,
            held: BTreeMap::new(),
        };
        let (mut found, mut count, mut over) = (Vec::new(), 0_u64, false);
        while count < CHAIN_AT_ONCE {
            let page = store.transfers_after(reader.end.seq, CHAIN_PAGE).await?;
            over = page.is_empty();
            if over {
                break;
            }
            for row in &page {
                for book in [&row.from_book, &row.to_book] {
                    if !reader.held.contains_key(book) {
                        let before = store.balance_before(book, end.seq).await?;
                        reader.held.insert(book.clone(), before);
                    }
                }
                found.extend(reader.read(row));
                count = count.saturating_add(1);
            }
        }
        Ok((found, reader.end, over))
    }

    /// Looks now, for an admin who does not want to wait.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn reconcile_now(&self, actor: &Actor) -> Result<Vec<IncidentView>, Error> {
        actor.require_admin()?;
        self.reconcile().await?;
        self.incidents(actor).await
    }

    /// Open ones first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn incidents(&self, actor: &Actor) -> Result<Vec<IncidentView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.incidents(SHOWN).await?)
    }

    /// Newest first, page by page: those that nobody closed, those that are closed, or both.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn find_incidents(
        &self,
        actor: &Actor,
        open: Option<bool>,
        before: Option<IncidentId>,
        limit: u32,
    ) -> Result<Page<IncidentView>, Error> {
        actor.require_admin()?;
        let found = self.inner.store.find_incidents(open, before, limit).await?;
        Ok(page(found, limit, |incident| incident.id))
    }

    /// Closes an incident with what was found out. If the difference still stands, the next look opens another.
    ///
    /// # Errors
    /// Not an admin; unknown, or closed; without a reason.
    pub async fn close_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        note: &str,
    ) -> Result<(), Error> {
        actor.require_admin()?;
        let asked = format!("say what was found out, in at most {NOTE_MAX} characters");
        let note = prose("note", note, NOTE_MAX, &asked)?;
        let mut tx = self.inner.store.begin().await?;
        if !tx
            .close_incident(id, actor.account, &note, self.now())
            .await?
        {
            return Err(Error::NotFound("an open incident with this id"));
        }
        let act = Act::by_admin(actor, AuditAction::IncidentClosed, id, None);
        self.audit(&mut tx, act).await?;
        Ok(tx.commit().await?)
    }

    /// Earnings of leases that are over and have not matured: of versions before, and where a process died between.
    pub(crate) async fn mature_over(&self) -> Result<(), Error> {
        self.give_up_unshown().await?;
        loop {
            let leases = self.inner.store.leases_to_mature(500).await?;
            if leases.is_empty() {
                return Ok(());
            }
            let mut tx = self.inner.store.begin().await?;
            for lease in leases {
                self.mature(&mut tx, lease, self.now()).await?;
            }
            tx.commit().await?;
        }
    }
}
