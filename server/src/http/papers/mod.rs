//! Invoices and exports as files: CSV for spreadsheets, PDF for people. JSON is the original; both others are copies.

mod csv;
mod pdf;
mod tables;

pub use pdf::invoice as invoice_pdf;
pub use tables::{
    audit as audit_csv, earnings as earnings_csv, invoice as invoice_csv, ledger as ledger_csv,
};
