//! What the exchange is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use exchange::{Challenges, Settings, Templates};
use kernel::Seconds;
use settlement::tax::Rate;

use super::origins::{origins, ports_domain, public_url};
use super::reader::Reader;

/// `0`: devices are not asked.
fn challenges(read: &mut Reader, default: Option<Challenges>) -> Option<Challenges> {
    let default = default.unwrap_or_default();
    let every = read.seconds("challenge_every_s", 0, 604_800, default.every);
    (every > Seconds::ZERO).then_some(Challenges { every, ..default })
}

/// A currency and millionths of it for one IO.
fn rate(read: &mut Reader) -> Option<Rate> {
    let text = read.text("io_rate")?;
    let mut words = text.split_whitespace();
    let rate = match (words.next(), words.next(), words.next()) {
        (Some(currency), Some(millionths), None) => millionths
            .parse()
            .ok()
            .and_then(|millionths| Rate::try_new(currency, millionths).ok()),
        _ => None,
    };
    if rate.is_none() {
        let expected =
            "a currency and millionths of it for one IO, such as EUR 250000 for 0.25 EUR";
        read.wrong("io_rate", &text, expected);
    }
    rate
}

/// The shipped templates and those of a folder of one's own.
fn templates(read: &mut Reader) -> Templates {
    let Some(folder) = read.text("templates") else {
        return Templates::shipped();
    };
    Templates::with_folder(std::path::Path::new(&folder)).unwrap_or_else(|problems| {
        let told = problems.into_iter();
        read.problems
            .extend(told.map(|problem| format!("IOG_TEMPLATES: {problem}")));
        Templates::shipped()
    })
}

pub(super) fn settings(read: &mut Reader, site: SocketAddr) -> Settings {
    let d = Settings::default();
    let data_dir = read.text("data_dir").map_or(d.data_dir, PathBuf::from);
    let database_url = read
        .text("database_url")
        .unwrap_or_else(|| format!("sqlite://{}/iog.db", data_dir.display()));
    if !["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| database_url.starts_with(scheme))
    {
        // The address may hold a password: it is not repeated.
        read.problems.push(
            "IOG_DATABASE_URL: expected sqlite://path or postgres://user:password@host/name"
                .to_owned(),
        );
    }
    let public_url = public_url(read, site);
    let extra = read.text("origins").unwrap_or_default();
    let settings = Settings {
        data_dir,
        database_url,
        origins: origins(&public_url, site, &extra),
        ports_domain: ports_domain(read, &public_url),
        public_url,
        fee_requester: read.share("fee_requester_bp", d.fee_requester),
        fee_owner: read.share("fee_owner_bp", d.fee_owner),
        demo_credit: read.amount("demo_credit_io"),
        faucet_max: read.amount("faucet_max_io"),
        payout_min: read.amount_above_zero("payout_min_io", d.payout_min),
        payout_auto_max: read.amount("payout_auto_max_io"),
        payout_address_delay: read.seconds(
            "payout_address_delay_s",
            0,
            2_592_000,
            d.payout_address_delay,
        ),
        io_rate: rate(read),
        payouts_open_max: read.number("payouts_open_max", 1, 1_000, d.payouts_open_max),
        dispute_window: read.seconds("dispute_window_s", 1, 31_536_000, d.dispute_window),
        disputes_open_max: read.number("disputes_open_max", 1, 1_000, d.disputes_open_max),
        approval_ttl: read.seconds("approval_ttl_s", 60, 2_592_000, d.approval_ttl),
        reconcile_interval: read.seconds("reconcile_interval_s", 1, 86_400, d.reconcile_interval),
        refunds_per_day: read
            .amount("refunds_per_day_io")
            .unwrap_or(d.refunds_per_day),
        escrow_window: read.seconds("escrow_window_s", 1, 86_400, d.escrow_window),
        escrow_minimum: read.seconds("escrow_minimum_s", 1, 86_400, d.escrow_minimum),
        funds_low: read.seconds("funds_low_s", 1, 86_400, d.funds_low),
        receipt_interval: read.seconds("receipt_interval_s", 1, 3_600, d.receipt_interval),
        heartbeat_ms: read.number("heartbeat_ms", 100, 60_000, d.heartbeat_ms),
        lease_ttl_ms: read.number("lease_ttl_ms", 500, 600_000, d.lease_ttl_ms),
        regrant_margin_ms: read.number("regrant_margin_ms", 100, 60_000, d.regrant_margin_ms),
        startup_grace_ms: read.number("startup_grace_ms", 0, 600_000, d.startup_grace_ms),
        server_down_grace_ms: read.number(
            "server_down_grace_ms",
            0,
            3_600_000,
            d.server_down_grace_ms,
        ),
        log_bytes_max: read.number("log_bytes_max", 1_024, 1 << 30, d.log_bytes_max),
        requeue_patience: read.seconds("requeue_patience_s", 1, 604_800, d.requeue_patience),
        spot_notice: read.seconds("spot_notice_s", 1, 600, d.spot_notice),
        session_ttl: read.seconds("session_ttl_s", 60, 31_536_000, d.session_ttl),
        quote_ttl: read.seconds("quote_ttl_s", 1, 3_600, d.quote_ttl),
        join_token_ttl: read.seconds("join_token_ttl_s", 1, 604_800, d.join_token_ttl),
        bundle_quota_bytes: read.number("bundle_quota_bytes", 0, 1 << 50, d.bundle_quota_bytes),
        bundle_files_max: read.number("bundle_files_max", 0, 1_000_000, d.bundle_files_max),
        disk_free_min_bytes: read.number("disk_free_min_bytes", 0, 1 << 50, d.disk_free_min_bytes),
        challenges: challenges(read, d.challenges),
        unproven_gpus: read.boolean("unproven_gpus"),
        // Told by the chain's own settings.
        network: None,
        templates: templates(read),
        // With whoever carries them.
        email: false,
        webhooks_local: read.boolean("webhooks_local"),
    };
    if settings.lease_ttl_ms < settings.heartbeat_ms.saturating_mul(2) {
        read.problems.push(format!(
            "IOG_LEASE_TTL_MS={}: at least twice IOG_HEARTBEAT_MS ({}), or one lost heartbeat ends a job",
            settings.lease_ttl_ms, settings.heartbeat_ms
        ));
    }
    if settings.escrow_minimum > settings.escrow_window {
        read.problems
            .push("IOG_ESCROW_MINIMUM_S: at most IOG_ESCROW_WINDOW_S".to_owned());
    }
    settings
}
