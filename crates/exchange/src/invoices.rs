//! Invoices of a job and of a month, and what an owner's devices earned, receipt by receipt.
//!
//! All are made anew from the posted receipts each time they are asked for; nothing of them is kept.

use std::collections::HashMap;

use kernel::{Amount, BASE_UNITS_PER_IO, Energy, JobId, LeaseId, Seconds, Timestamp};
use metering::invoice;
use protocol::invoice::{
    Currency, Customer, ENTRIES_MAX, EarnedReceipt, EarningsExport, FORMAT, Invoice, InvoiceLease,
    LEASES_MAX, LedgerExport, RECEIPTS_MAX, Receipted, Subject, Totals,
};
use protocol::view::{Receipt, Scope};
use store::{LeaseRow, Period, PostedReceipt, ReceiptsOf};
use tokio::sync::SemaphorePermit;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;
use crate::money::entry_view;

impl Exchange {
    /// What a job cost, with all that is needed to check it offline.
    ///
    /// # Errors
    /// Not this account's job; the key lacks `read`.
    pub async fn job_invoice(&self, actor: &Actor, id: JobId) -> Result<Invoice, Error> {
        let job = self.own_job(actor, id, Scope::Read).await?;
        let subject = Subject::Job {
            job: id,
            name: job.spec.name.clone(),
            state: job.state,
        };
        let of = ReceiptsOf::Job(id);
        self.invoice(actor, of, Period::ALWAYS, subject, job.state.is_final())
            .await
    }

    /// What the account's jobs cost in a month (`2026-11`, UTC).
    ///
    /// # Errors
    /// It is no month, or has not begun; the key lacks `read`.
    pub async fn month_invoice(&self, actor: &Actor, month: &str) -> Result<Invoice, Error> {
        actor.require(Scope::Read)?;
        let (from, until) = invoice::month_of(month)
            .ok_or_else(|| Error::invalid("month", "is not a month; write it as 2026-11"))?;
        let now = self.now();
        if from > now {
            return Err(Error::invalid("month", "has not begun"));
        }
        let subject = Subject::Month {
            month: month.to_owned(),
            from,
            until,
        };
        let of = ReceiptsOf::Requester(actor.account);
        // A receipt of its last moment may be written a moment later.
        let is_final = now >= until.plus(Seconds::MINUTE);
        self.invoice(actor, of, Period { from, until }, subject, is_final)
            .await
    }

    async fn invoice(
        &self,
        actor: &Actor,
        of: ReceiptsOf,
        period: Period,
        subject: Subject,
        is_final: bool,
    ) -> Result<Invoice, Error> {
        let store = &self.inner.store;
        let account = store
            .account(actor.account)
            .await?
            .ok_or(Error::Unauthenticated)?;
        let _turn = self.exporting().await?;
        let (count, leases) = store.count_receipts(of, period).await?;
        if leases > LEASES_MAX {
            return Err(Error::invalid(
                "month",
                format!(
                    "these are {leases} leases, and {LEASES_MAX} are the most on one invoice: ask for the invoices of the jobs"
                ),
            ));
        }
        let receipts = if count > RECEIPTS_MAX {
            Receipted::Ends
        } else {
            Receipted::All
        };
        let posted = store
            .receipts_in(of, period, receipts == Receipted::Ends)
            .await?;
        // After the receipts: their leases are there then.
        let leases = store.receipted_leases(of, period).await?;
        let refunds = store.refunds_in(of, period).await?;
        // The clock may have been put back since; what is written stands before what it is written in.
        let times = posted.iter().map(|one| one.posted_at);
        let times = times.chain(refunds.iter().map(|one| one.at));
        let issued_at = times.fold(self.now(), Timestamp::max);
        let mut by_lease = grouped(posted);
        let lines = leases
            .iter()
            .filter_map(|row| Some((row, by_lease.remove(&row.lease.id)?)))
            .map(|(row, posted)| line(row, &posted, period))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut invoice = Invoice {
            format: FORMAT.to_owned(),
            number: number(&subject, &actor.account.to_string()),
            subject,
            issued_at,
            is_final,
            customer: Customer {
                account: account.id,
                name: account.name,
                email: account.email,
            },
            currency: Currency {
                code: "IO".to_owned(),
                base_units: BASE_UNITS_PER_IO.unsigned_abs(),
            },
            platform_key: self.platform_key(),
            receipts,
            leases: lines,
            refunds,
            totals: Totals::default(),
            signature: String::new(),
        };
        invoice.totals = invoice::sum(&invoice).ok_or(kernel::MoneyError::TooLarge)?;
        invoice::sign(invoice, &self.inner.key)
            .map_err(|error| Error::Internal(format!("an invoice cannot be signed: {error}")))
    }

    /// What the account's devices earned in a period, by receipts, oldest first.
    ///
    /// # Errors
    /// The period holds more receipts than one answer takes; the key lacks `read`.
    pub async fn earnings_export(
        &self,
        actor: &Actor,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<EarningsExport, Error> {
        actor.require(Scope::Read)?;
        let period = self.period(from, to)?;
        let store = &self.inner.store;
        let of = ReceiptsOf::Owner(actor.account);
        let _turn = self.exporting().await?;
        let (count, _) = store.count_receipts(of, period).await?;
        if count > RECEIPTS_MAX {
            return Err(Error::invalid(
                "from",
                format!(
                    "these are {count} receipts; {RECEIPTS_MAX} at most are given at once: choose a shorter period"
                ),
            ));
        }
        let posted = store.receipts_in(of, period, false).await?;
        let leases = store.receipted_leases(of, period).await?;
        let mut by_lease = grouped(posted);
        let mut receipts = Vec::new();
        for row in &leases {
            if let Some(posted) = by_lease.remove(&row.lease.id) {
                earned(row, &posted, period, &mut receipts)?;
            }
        }
        receipts.sort_by_key(|one| (one.receipt.posted_at, one.lease, one.seq));
        let (mut seconds, mut total) = (Seconds::ZERO, Amount::ZERO);
        for one in &receipts {
            seconds = seconds.plus(one.seconds);
            total = total.checked_add(one.earned)?;
        }
        Ok(EarningsExport {
            from: period.from,
            to: period.until,
            platform_key: self.platform_key(),
            seconds,
            earned: total,
            receipts,
        })
    }

    /// What moved in the account's books in a period, oldest first.
    ///
    /// # Errors
    /// The period holds more movements than one answer takes; the key lacks `read`.
    pub async fn ledger_export(
        &self,
        actor: &Actor,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<LedgerExport, Error> {
        actor.require(Scope::Read)?;
        let period = self.period(from, to)?;
        let _turn = self.exporting().await?;
        let one_more = ENTRIES_MAX.saturating_add(1);
        let rows = self
            .inner
            .store
            .entries_in(actor.account, period, one_more)
            .await?;
        if rows.len() > usize::try_from(ENTRIES_MAX).unwrap_or(usize::MAX) {
            return Err(Error::invalid(
                "from",
                format!(
                    "these are more than {ENTRIES_MAX} movements, which is the most that is given at once: choose a shorter period"
                ),
            ));
        }
        Ok(LedgerExport {
            from: period.from,
            to: period.until,
            entries: rows
                .iter()
                .map(|row| entry_view(actor.account, row))
                .collect(),
        })
    }

    /// A turn for a document that may hold tens of thousands of lines in memory.
    async fn exporting(&self) -> Result<SemaphorePermit<'_>, Error> {
        let turn = self.inner.exporting.acquire().await;
        turn.map_err(|error| Error::Internal(error.to_string()))
    }

    /// From a moment to before another; all there is, if none is named.
    pub(crate) fn period(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Period, Error> {
        let period = Period {
            from: from.unwrap_or(Period::ALWAYS.from),
            until: to.unwrap_or_else(|| self.now().plus_millis(1)),
        };
        if period.from >= period.until {
            return Err(Error::invalid("to", "is not after `from`"));
        }
        let ever = Period::ALWAYS;
        if period.from < ever.from || period.until > ever.until {
            return Err(Error::invalid("from", "is not a moment of these times"));
        }
        Ok(period)
    }
}

fn number(subject: &Subject, account: &str) -> String {
    match subject {
        Subject::Job { job, .. } => format!("IOG-{job}"),
        Subject::Month { month, .. } => format!("IOG-{month}-{account}"),
    }
}

fn grouped(posted: Vec<PostedReceipt>) -> HashMap<LeaseId, Vec<PostedReceipt>> {
    let mut by_lease: HashMap<LeaseId, Vec<PostedReceipt>> = HashMap::new();
    for one in posted {
        by_lease.entry(one.receipt.lease).or_default().push(one);
    }
    by_lease
}

/// The receipt before the period, if there is one, and those within it.
fn parts(posted: &[PostedReceipt], period: Period) -> (Option<&PostedReceipt>, &[PostedReceipt]) {
    match posted.split_first() {
        Some((first, rest)) if first.posted_at < period.from => (Some(first), rest),
        _ => (None, posted),
    }
}

fn line(row: &LeaseRow, posted: &[PostedReceipt], period: Period) -> Result<InvoiceLease, Error> {
    let lease = &row.lease;
    let carried = |one: &PostedReceipt, charged: Amount| {
        invoice::carried(&one.receipt, charged, one.posted_at)
            .map_err(|error| Error::Internal(format!("a stored receipt of {}: {error}", lease.id)))
    };
    let (opening, within) = parts(posted, period);
    let worker_key = posted.first().map(|one| one.worker_key.clone());
    let end = within.last().map(|one| &one.receipt);
    let from = opening.map(|one| &one.receipt);
    let seconds = |receipt: Option<&Receipt>| receipt.map_or(Seconds::ZERO, |one| one.seconds);
    let gross = |receipt| lease.price.times(seconds(receipt));
    let cost = |receipt| lease.fees.charge(lease.price, seconds(receipt));
    let gross = gross(end)?.checked_sub(gross(from)?)?;
    let charged = cost(end)?.since(cost(from)?)?.requester_pays;
    // Of the ends alone, the last one stands for all between.
    let alone = from.map_or(0, |one| one.seq);
    let is_whole =
        end.is_none_or(|end| u64::try_from(within.len()).ok() == end.seq.checked_sub(alone));
    let receipts = within
        .iter()
        .map(|one| carried(one, if is_whole { one.charged } else { charged }))
        .collect::<Result<Vec<_>, Error>>()?;
    let energy = |receipt: Option<&Receipt>| receipt.and_then(|one| one.energy_mj);
    Ok(InvoiceLease {
        lease: lease.id,
        job: lease.job,
        epoch: lease.epoch,
        node: lease.node,
        device: lease.device,
        model: row.device_model.clone(),
        devices: u32::try_from(lease.devices.len()).unwrap_or(u32::MAX),
        worker_key: worker_key.unwrap_or_default(),
        price: lease.price,
        fee_basis_points: lease.fees.requester.get(),
        opening: opening.map(|one| carried(one, Amount::ZERO)).transpose()?,
        receipts,
        seconds: seconds(end).minus_or_zero(seconds(from)),
        gross,
        fee: charged.checked_sub(gross)?,
        charged,
        energy_mj: used(energy(from), energy(end)),
    })
}

fn used(from: Option<Energy>, to: Option<Energy>) -> Option<Energy> {
    to.map(|to| to.minus_or_zero(from.unwrap_or_default()))
}

/// What each receipt of a lease within the period brought its owner.
fn earned(
    row: &LeaseRow,
    posted: &[PostedReceipt],
    period: Period,
    into: &mut Vec<EarnedReceipt>,
) -> Result<(), Error> {
    let lease = &row.lease;
    let (opening, within) = parts(posted, period);
    let mut before = opening.map(|one| &one.receipt);
    for one in within {
        let receipt = &one.receipt;
        let had = before.map_or(Seconds::ZERO, |before| before.seconds);
        let part = lease
            .fees
            .charge(lease.price, receipt.seconds)?
            .since(lease.fees.charge(lease.price, had)?)?;
        let gross = lease
            .price
            .times(receipt.seconds)?
            .checked_sub(lease.price.times(had)?)?;
        let energy = before.and_then(|before| before.energy_mj);
        into.push(EarnedReceipt {
            lease: lease.id,
            node: lease.node,
            node_name: row.node_name.clone(),
            device: lease.device,
            model: row.device_model.clone(),
            devices: u32::try_from(lease.devices.len()).unwrap_or(u32::MAX),
            price: lease.price,
            fee_basis_points: lease.fees.owner.get(),
            seq: receipt.seq,
            seconds: receipt.seconds.minus_or_zero(had),
            gross,
            fee: gross.checked_sub(part.owner_gets)?,
            earned: part.owner_gets,
            energy_mj: used(energy, receipt.energy_mj),
            worker_key: one.worker_key.clone(),
            receipt: invoice::carried(receipt, one.charged, one.posted_at).map_err(|error| {
                Error::Internal(format!("a stored receipt of {}: {error}", lease.id))
            })?,
        });
        before = Some(receipt);
    }
    Ok(())
}
