//! What can be set. The server fills it from its configuration; docs/operations.md lists the names.

use std::path::PathBuf;

use kernel::{Amount, BasisPoints, Seconds};
use metering::Fees;
use settlement::tax::Rate;

use crate::network::Network;
use crate::proofs::Challenges;
use crate::templates::Templates;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Keys, bundles, artefacts, and the database when it is SQLite.
    pub data_dir: PathBuf,
    pub database_url: String,
    /// How people reach the portal; no slash at the end.
    pub public_url: String,
    /// Jobs' ports are reached at names below this one, a host with its port where it has one, `apps.example` or
    /// `localhost:3000`: each an origin of its own. `None`: only below the portal's address, for programs.
    pub ports_domain: Option<String>,
    /// Origins under which workers may dial this server, `public_url` among them.
    pub origins: Vec<String>,
    pub fee_requester: BasisPoints,
    pub fee_owner: BasisPoints,
    /// What an account may take once to try the system. `None` outside demos.
    pub demo_credit: Option<Amount>,
    /// What an account may ask of the faucet at once. `None` outside demos.
    pub faucet_max: Option<Amount>,
    /// A payout is at least this much.
    pub payout_min: Amount,
    /// Payouts up to this much need no admin. `None`: each waits for one.
    pub payout_auto_max: Option<Amount>,
    /// So long after it was asked for another payout address is in force.
    pub payout_address_delay: Seconds,
    /// What one IO is worth: noted with each payout when it arrives, for its owner's taxes. `None`: not known.
    pub io_rate: Option<Rate>,
    /// So many payouts of one account may be under way.
    pub payouts_open_max: u64,
    /// So long after it was posted a receipt may be contested.
    pub dispute_window: Seconds,
    /// So many disputes of one account may be open.
    pub disputes_open_max: u64,
    /// What one admin proposed is over after this, unless another confirms it.
    pub approval_ttl: Seconds,
    /// How often leases, receipts, holds and books are compared.
    pub reconcile_interval: Seconds,
    /// When so much of the platform's money was given back on one day (UTC), further refunds wait for the next.
    pub refunds_per_day: Amount,
    /// For so long a job's money is set aside ahead.
    pub escrow_window: Seconds,
    /// A job starts only if the balance pays for so long (or for its whole time limit, if that is less).
    pub escrow_minimum: Seconds,
    /// The requester is warned when the money lasts less than this.
    pub funds_low: Seconds,
    /// How often a receipt is countersigned and charged.
    pub receipt_interval: Seconds,
    pub heartbeat_ms: u64,
    /// A lease that is not renewed for so long is over for its worker.
    pub lease_ttl_ms: u64,
    /// So much later it is over for the exchange too.
    pub regrant_margin_ms: u64,
    /// After a start, leases are given this long for their workers to come back.
    pub startup_grace_ms: u64,
    /// So long a worker goes on while the server is down (refuses connections).
    pub server_down_grace_ms: u64,
    pub log_bytes_max: u64,
    /// A job that lost its node waits this long for another.
    pub requeue_patience: Seconds,
    /// From the notice that a spot job is taken back to its end by force.
    pub spot_notice: Seconds,
    pub session_ttl: Seconds,
    /// A quote binds its prices for so long.
    pub quote_ttl: Seconds,
    pub join_token_ttl: Seconds,
    /// What one account's bundles may take together, and how many they may be.
    pub bundle_quota_bytes: u64,
    pub bundle_files_max: u64,
    /// Uploads are refused while the disk has less than this free.
    pub disk_free_min_bytes: u64,
    /// The chain that pays and credits, as people are told of it. `None`: it is done by hand.
    pub network: Option<Network>,
    /// What people launch from.
    pub templates: Templates,
    /// Whether e-mails are sent.
    pub email: bool,
    /// How devices are asked to show what they are. `None`: they are not asked.
    pub challenges: Option<Challenges>,
    /// Whether GPUs may be hired that have not shown yet what they are.
    pub unproven_gpus: bool,
    /// Whether webhooks may lead to this machine, over plain HTTP too. Never where others have accounts.
    pub webhooks_local: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let quarter_percent = BasisPoints::try_new(25).unwrap_or_else(|_| unreachable!());
        Self {
            data_dir: "./data".into(),
            database_url: "sqlite://./data/iog.db".into(),
            public_url: "http://127.0.0.1:3000".into(),
            ports_domain: Some("localhost:3000".into()),
            origins: vec![
                "http://127.0.0.1:3000".into(),
                "http://localhost:3000".into(),
            ],
            fee_requester: quarter_percent,
            fee_owner: quarter_percent,
            demo_credit: None,
            faucet_max: None,
            payout_min: Amount::try_from_base(1_000_000).unwrap_or(Amount::ZERO),
            payout_auto_max: None,
            payout_address_delay: Seconds::new(86_400),
            io_rate: None,
            payouts_open_max: 10,
            dispute_window: Seconds::new(7 * 86_400),
            disputes_open_max: 20,
            approval_ttl: Seconds::DAY,
            reconcile_interval: Seconds::new(300),
            refunds_per_day: Amount::try_from_base(100_000_000_000).unwrap_or(Amount::ZERO),
            escrow_window: Seconds::new(600),
            escrow_minimum: Seconds::MINUTE,
            funds_low: Seconds::new(120),
            receipt_interval: Seconds::MINUTE,
            heartbeat_ms: 1_000,
            lease_ttl_ms: 6_000,
            regrant_margin_ms: 1_500,
            startup_grace_ms: 15_000,
            server_down_grace_ms: 60_000,
            log_bytes_max: 4 * 1_024 * 1_024,
            requeue_patience: Seconds::new(600),
            spot_notice: Seconds::new(30),
            session_ttl: Seconds::new(14 * 86_400),
            quote_ttl: Seconds::MINUTE,
            join_token_ttl: Seconds::HOUR,
            bundle_quota_bytes: 2 * 1_024 * 1_024 * 1_024,
            bundle_files_max: 64,
            disk_free_min_bytes: 1_024 * 1_024 * 1_024,
            network: None,
            templates: Templates::shipped(),
            email: false,
            challenges: Some(Challenges::default()),
            unproven_gpus: false,
            webhooks_local: false,
        }
    }
}

impl Settings {
    pub const fn fees(&self) -> Fees {
        Fees {
            requester: self.fee_requester,
            owner: self.fee_owner,
        }
    }

    /// From a renewal's answer to the moment when the lease may be given to another.
    pub(crate) fn lease_life_ms(&self) -> i64 {
        i64::try_from(self.lease_ttl_ms.saturating_add(self.regrant_margin_ms)).unwrap_or(i64::MAX)
    }
}
