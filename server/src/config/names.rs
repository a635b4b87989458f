//! What settings are called.

/// The names that the table `[iog]` and the environment (upper case, with `IOG_` in front) may hold.
pub const KEYS: [&str; 64] = [
    "data_dir",
    "worker_dir",
    "database_url",
    "worker_releases",
    "public_url",
    "ports_domain",
    "origins",
    "fee_requester_bp",
    "fee_owner_bp",
    "demo_credit_io",
    "faucet_max_io",
    "payout_min_io",
    "payouts_open_max",
    "payout_address_delay_s",
    "payout_auto_max_io",
    "io_rate",
    "chain_url",
    "chain_public_url",
    "chain_id",
    "chain_contract",
    "chain_settler_keys",
    "chain_reporter_key",
    "chain_fee_payer_key",
    "chain_gas_units_max",
    "chain_gas_price_max",
    "chain_explorer",
    "chain_explorer_account",
    "chain_interval_ms",
    "chain_compare_s",
    "dispute_window_s",
    "disputes_open_max",
    "approval_ttl_s",
    "reconcile_interval_s",
    "refunds_per_day_io",
    "escrow_window_s",
    "escrow_minimum_s",
    "funds_low_s",
    "receipt_interval_s",
    "heartbeat_ms",
    "lease_ttl_ms",
    "regrant_margin_ms",
    "startup_grace_ms",
    "server_down_grace_ms",
    "log_bytes_max",
    "requeue_patience_s",
    "spot_notice_s",
    "session_ttl_s",
    "quote_ttl_s",
    "join_token_ttl_s",
    "sign_in_per_minute",
    "requests_per_second",
    "trust_forwarded",
    "challenge_every_s",
    "unproven_gpus",
    "webhooks_local",
    "smtp_url",
    "mail_from",
    "bundle_quota_bytes",
    "bundle_files_max",
    "disk_free_min_bytes",
    "templates",
    "sockets_per_address",
    "sockets_max",
    "log",
];
pub(super) const LOG_FORMAT: &str = "log_format";

/// Of the house's scripts and of `--config`, besides the settings.
const OTHER_NAMES: [&str; 10] = [
    "IOG_CONFIG",
    "IOG_CACHE",
    "IOG_CLI_BIN",
    "IOG_DEVCHAIN_BIN",
    "IOG_MOVE_ABI",
    "IOG_MOVE_LIBS",
    "IOG_SEEDS",
    "IOG_SERVER_BIN",
    "IOG_WORKER_BIN",
    "IOG_TEST_POSTGRES",
];

pub(super) fn is_unknown(name: &str) -> bool {
    name.starts_with("IOG_")
        && !OTHER_NAMES.contains(&name)
        && name != variable(LOG_FORMAT)
        && !KEYS.iter().any(|key| variable(key) == name)
}

pub(super) fn variable(key: &str) -> String {
    format!("IOG_{}", key.to_uppercase())
}
