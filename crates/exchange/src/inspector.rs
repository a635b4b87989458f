//! What the ledger shows: statements of an account, the public proof, and to admins every book and transfer.

use ed25519_dalek::Signer;
use kernel::{AccountId, Amount, JobId, Timestamp, TransferId};
use ledger::BookId;
use protocol::money::{
    Book, BookBalance, BookView, ChainView, IncidentKind, PeriodView, ProofView, StatementView,
    TransferView,
};
use protocol::view::{Page, Scope};
use store::{EntryRow, Period};

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::payouts::page;

const SHOWN: u32 = 200;
const PROOF_KEPT_MS: i64 = 1_000;
const PROOF_DOMAIN: &[u8] = b"iog.ledger.v1\0";

fn transfer_view(row: EntryRow) -> TransferView {
    TransferView {
        seq: row.seq,
        id: row.id,
        at: row.at,
        key: row.key,
        from: row.from_book,
        to: row.to_book,
        amount: row.amount,
        kind: row.kind,
        job: row.job,
        from_after: row.from_after,
        to_after: row.to_after,
        hash: row.hash,
    }
}

impl Exchange {
    /// What the account's books held at a moment.
    ///
    /// # Errors
    /// The key lacks `read`; the moment is still to come.
    pub async fn statement(&self, actor: &Actor, at: Timestamp) -> Result<StatementView, Error> {
        actor.require(Scope::Read)?;
        if at > self.now() {
            return Err(Error::invalid("at", "is still to come"));
        }
        self.statement_of(actor.account, at).await
    }

    async fn statement_of(
        &self,
        account: AccountId,
        at: Timestamp,
    ) -> Result<StatementView, Error> {
        Ok(StatementView {
            at,
            seq: self.inner.store.seq_at(at).await?,
            books: self.books_at(account, at).await?,
            period: None,
        })
    }

    /// From a moment to before another, as all that is asked for a period: what the books held before the first, what moved, and
    /// what they held at the end. Up to now, if no end is named.
    ///
    /// # Errors
    /// The key lacks `read`; the end is before the beginning, or still to come.
    pub async fn statement_between(
        &self,
        actor: &Actor,
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<StatementView, Error> {
        actor.require(Scope::Read)?;
        let now = self.now();
        if to.is_some_and(|to| to > now) {
            return Err(Error::invalid("to", "is still to come"));
        }
        let until = to.unwrap_or_else(|| now.plus_millis(1));
        if until < from {
            return Err(Error::invalid("to", "not before from"));
        }
        let before = |at: Timestamp| at.plus_millis(-1);
        let account = actor.account;
        let mut statement = self.statement_of(account, before(until)).await?;
        // The period's end, which is no part of it.
        statement.at = to.unwrap_or(now);
        statement.period = Some(PeriodView {
            from,
            opening: self.books_at(account, before(from)).await?,
            moved: self
                .inner
                .store
                .moved(account, Period { from, until })
                .await?,
        });
        Ok(statement)
    }

    async fn books_at(&self, account: AccountId, at: Timestamp) -> Result<Vec<BookBalance>, Error> {
        let mut books = Vec::new();
        for (book, id) in Book::ALL.iter().zip(BookId::of(account)) {
            let held = self.inner.store.balance_at(id, at).await?;
            books.push(BookBalance {
                book: *book,
                balance: Amount::try_from_base(held)?,
            });
        }
        Ok(books)
    }

    /// All books together, signed. Public, so it is made once a second and no oftener: it reads every book, at the one
    /// connection that writes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ledger_proof(&self) -> Result<ProofView, Error> {
        let mut made = self.inner.proof.lock().await;
        let fresh = |proof: &&ProofView| self.now() < proof.at.plus_millis(PROOF_KEPT_MS);
        if let Some(proof) = made.as_ref().filter(fresh) {
            return Ok(proof.clone());
        }
        let proof = self.new_proof().await?;
        *made = Some(proof.clone());
        Ok(proof)
    }

    async fn new_proof(&self) -> Result<ProofView, Error> {
        let (totals, end) = self.inner.store.book_totals().await?;
        let now = self.now();
        let hash = end.hash.to_string();
        let mut bytes = PROOF_DOMAIN.to_vec();
        bytes.extend(end.seq.to_be_bytes());
        bytes.extend(hex::decode(&hash).unwrap_or_default());
        bytes.extend(now.millis().to_be_bytes());
        bytes.extend(totals.books.to_be_bytes());
        bytes.extend(totals.persons.to_be_bytes());
        bytes.extend(totals.platform.to_be_bytes());
        Ok(ProofView {
            seq: end.seq,
            hash,
            at: now,
            books: totals.books,
            persons: totals.persons,
            platform: totals.platform,
            sum: totals.persons.saturating_add(totals.platform),
            signature: hex::encode(self.inner.key.sign(&bytes).to_bytes()),
        })
    }

    /// For the ledger inspector: books whose name or owner's address begins with a text; the platform's without one.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn books(&self, actor: &Actor, search: &str) -> Result<Vec<BookView>, Error> {
        actor.require_admin()?;
        Ok(self.inner.store.find_books(search.trim(), SHOWN).await?)
    }

    /// For the ledger inspector: transfers of a book, of a job or under a key, newest first.
    ///
    /// # Errors
    /// Not an admin; no name of a book.
    pub async fn inspect(
        &self,
        actor: &Actor,
        book: Option<&str>,
        job: Option<JobId>,
        key: Option<&str>,
        before: Option<u64>,
    ) -> Result<Page<TransferView>, Error> {
        actor.require_admin()?;
        let book = book
            .filter(|text| !text.trim().is_empty())
            .map(|text| text.trim().parse::<BookId>())
            .transpose()
            .map_err(|error| Error::invalid("book", error.to_string()))?;
        let key = key.map(str::trim).filter(|key| !key.is_empty());
        let store = &self.inner.store;
        let rows = store.find_transfers(book, job, key, before, SHOWN).await?;
        let views = rows.into_iter().map(transfer_view).collect();
        Ok(page(views, SHOWN, |transfer| transfer.seq))
    }

    /// For the ledger inspector: one transfer.
    ///
    /// # Errors
    /// Not an admin; unknown.
    pub async fn transfer(&self, actor: &Actor, id: TransferId) -> Result<TransferView, Error> {
        actor.require_admin()?;
        let row = self.inner.store.transfer(id).await?;
        row.map(transfer_view)
            .ok_or(Error::NotFound("the transfer"))
    }

    /// For the ledger inspector: how far the chain goes and how far it was read.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn chain(&self, actor: &Actor) -> Result<ChainView, Error> {
        actor.require_admin()?;
        let store = &self.inner.store;
        // Read first: the chain only grows, so what was read is never past its end.
        let checked = store.ledger_checked().await?;
        let end = store.chain_end().await?;
        Ok(ChainView {
            seq: end.seq,
            hash: end.hash.to_string(),
            at: end.at,
            checked_seq: checked.seq,
            checked_hash: checked.hash.to_string(),
            breaks: store.count_open_incidents(IncidentKind::Chain).await?,
        })
    }
}
