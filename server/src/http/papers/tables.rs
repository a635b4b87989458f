//! What stands in which column. Sums are in IO, written out; times as everywhere.

use kernel::{Amount, Energy};
use protocol::audit::AuditEntry;
use protocol::invoice::{EarningsExport, Invoice, RefundCause};
use protocol::view::{Book, EntryView};

use super::csv::{Cell, Csv};

fn io(amount: Amount) -> Cell<'static> {
    Cell::Own(amount.to_io())
}

fn energy(energy: Option<Energy>) -> Cell<'static> {
    Cell::Own(energy.map_or_else(String::new, |energy| energy.millijoules().to_string()))
}

fn none() -> Cell<'static> {
    Cell::Own(String::new())
}

/// One row an entry; what is said beside its fields is JSON.
pub fn audit(entries: &[AuditEntry]) -> String {
    let mut csv = Csv::new([
        "position",
        "at",
        "actor_kind",
        "actor_account",
        "actor_id",
        "action",
        "subject_kind",
        "subject",
        "account",
        "detail",
        "previous",
        "hash",
    ]);
    let account = |id: Option<kernel::AccountId>| id.map_or_else(none, Cell::from);
    for entry in entries {
        let detail = entry.detail_text();
        csv.row(&[
            Cell::from(entry.position),
            Cell::from(entry.at),
            Cell::from(entry.actor.kind),
            account(entry.actor.account),
            Cell::from(&entry.actor.id),
            Cell::from(entry.action),
            Cell::from(entry.subject.kind),
            Cell::Theirs(&entry.subject.id),
            account(entry.account),
            Cell::Theirs(&detail),
            Cell::from(&entry.previous),
            Cell::from(&entry.hash),
        ]);
    }
    csv.finish()
}

/// One row a lease, one a refund, the totals last.
pub fn invoice(invoice: &Invoice) -> String {
    let mut csv = Csv::new([
        "invoice",
        "line",
        "job",
        "lease",
        "because",
        "model",
        "devices",
        "price_io_per_second",
        "fee_basis_points",
        "first_posted_at",
        "last_posted_at",
        "receipts",
        "seconds",
        "energy_mj",
        "gross_io",
        "fee_io",
        "charged_io",
        "refunded_io",
    ]);
    let number = || Cell::from(&invoice.number);
    for line in &invoice.leases {
        let posted = |receipt: Option<&protocol::invoice::SignedReceipt>| {
            receipt.map_or_else(none, |receipt| Cell::from(receipt.posted_at))
        };
        csv.row(&[
            number(),
            Cell::from("lease"),
            Cell::from(line.job),
            Cell::from(line.lease),
            none(),
            Cell::Theirs(&line.model),
            Cell::from(line.devices),
            io(line.price.per_second()),
            Cell::from(line.fee_basis_points),
            posted(line.receipts.first()),
            posted(line.receipts.last()),
            Cell::from(line.receipts.len()),
            Cell::from(line.seconds.get()),
            energy(line.energy_mj),
            io(line.gross),
            io(line.fee),
            io(line.charged),
            none(),
        ]);
    }
    for refund in &invoice.refunds {
        let (because, seconds) = match &refund.cause {
            RefundCause::Dispute { dispute, .. } => (Cell::from(*dispute), none()),
            RefundCause::Automatic { reason, seconds } => {
                (Cell::from(reason.as_str()), Cell::from(seconds.get()))
            }
        };
        csv.row(&[
            number(),
            Cell::from("refund"),
            none(),
            Cell::from(refund.lease),
            because,
            none(),
            none(),
            none(),
            none(),
            Cell::from(refund.at),
            Cell::from(refund.at),
            none(),
            seconds,
            none(),
            none(),
            none(),
            none(),
            io(refund.amount),
        ]);
    }
    let totals = &invoice.totals;
    csv.row(&[
        number(),
        Cell::from("total"),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
        Cell::from(totals.seconds.get()),
        none(),
        io(totals.gross),
        io(totals.fee),
        io(totals.charged),
        io(totals.refunded),
    ]);
    csv.finish()
}

/// One row a receipt, with all that is needed to check it.
pub fn earnings(export: &EarningsExport) -> String {
    let mut csv = Csv::new([
        "posted_at",
        "lease",
        "receipt",
        "node",
        "node_name",
        "device",
        "model",
        "devices",
        "price_io_per_second",
        "fee_basis_points",
        "seconds",
        "energy_mj",
        "gross_io",
        "fee_io",
        "earned_io",
        "worker_key",
        "platform_key",
        "bytes",
        "worker_signature",
        "platform_signature",
    ]);
    for one in &export.receipts {
        csv.row(&[
            Cell::from(one.receipt.posted_at),
            Cell::from(one.lease),
            Cell::from(one.seq),
            Cell::from(one.node),
            Cell::Theirs(&one.node_name),
            Cell::from(one.device),
            Cell::Theirs(&one.model),
            Cell::from(one.devices),
            io(one.price.per_second()),
            Cell::from(one.fee_basis_points),
            Cell::from(one.seconds.get()),
            energy(one.energy_mj),
            io(one.gross),
            io(one.fee),
            io(one.earned),
            Cell::from(&one.worker_key),
            Cell::from(&export.platform_key),
            Cell::from(&one.receipt.bytes),
            Cell::from(&one.receipt.worker_signature),
            Cell::from(&one.receipt.platform_signature),
        ]);
    }
    csv.finish()
}

/// One row a movement, oldest first.
pub fn ledger(entries: &[EntryView]) -> String {
    let mut csv = Csv::new(["at", "transfer", "kind", "amount_io", "from", "to", "job"]);
    for entry in entries {
        let book = |book: Option<Book>| Cell::from(book.map_or("", Book::as_str));
        csv.row(&[
            Cell::from(entry.at),
            Cell::from(entry.id),
            Cell::from(entry.kind.as_str()),
            io(entry.amount),
            book(entry.from),
            book(entry.to),
            entry.job.map_or_else(none, Cell::from),
        ]);
    }
    csv.finish()
}
