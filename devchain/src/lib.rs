//! A development chain: it speaks the part of Aptos's REST that clients use and executes compiled Move modules in a real
//! Move VM, for demos and tests.
//!
//! It is not Aptos: one process decides alone, and gas is counted but not charged. See docs/devchain.md.

pub mod chain;
pub mod http;
pub mod package;
pub mod store;
pub mod transaction;
pub mod types;
pub mod value;
pub mod vm;

/// The chain id, that of a local Aptos network.
pub const CHAIN_ID: u8 = 4;

/// The secret of the development account. It is no secret: it signs for whoever has this source, on this chain only.
pub const DEVELOPMENT_KEY: [u8; 32] = *b"IOG development key, not secret!";

/// The development account's address, where the package is published.
pub const DEVELOPMENT_ADDRESS: &str =
    "0x7d4f89603f89f6eb34576e75d937a9b85c3802d760a86572f386d19e028f58df";

/// Said in the log, on the page and in the ledger's information.
pub const NOT_APTOS: &str = "This is not Aptos. It is the development chain of IOG: one process decides alone, there is no \
    consensus, gas is counted in this VM's own units and not charged, and nothing here has any worth.";
