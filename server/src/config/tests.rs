use super::names::is_unknown;
use super::*;

fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_parts(BUILT_IN, &|name| {
        pairs
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

/// The table under `[[workspace.metadata.leptos]]`, as values.
fn leptos_table(text: &str) -> toml::Value {
    let whole: toml::Value = toml::from_str(text).expect("TOML");
    whole["workspace"]["metadata"]["leptos"][0].clone()
}

#[test]
fn leptos_toml_repeats_the_header_of_cargo_toml() {
    let cargo = include_str!("../../../Cargo.toml");
    assert_eq!(leptos_table(BUILT_IN), leptos_table(cargo));
}

#[test]
fn the_file_as_it_stands_is_what_the_code_defaults_to() {
    let config = with(&[]).expect("valid");
    let d = Settings::default();
    let s = config.settings;
    assert_eq!(
        (
            s.heartbeat_ms,
            s.lease_ttl_ms,
            s.regrant_margin_ms,
            s.startup_grace_ms,
            s.server_down_grace_ms
        ),
        (
            d.heartbeat_ms,
            d.lease_ttl_ms,
            d.regrant_margin_ms,
            d.startup_grace_ms,
            d.server_down_grace_ms
        )
    );
    assert_eq!(
        (
            s.escrow_window,
            s.escrow_minimum,
            s.funds_low,
            s.receipt_interval,
            s.session_ttl
        ),
        (
            d.escrow_window,
            d.escrow_minimum,
            d.funds_low,
            d.receipt_interval,
            d.session_ttl
        )
    );
    assert_eq!(
        (s.fee_requester, s.fee_owner),
        (d.fee_requester, d.fee_owner)
    );
    assert_eq!(s.log_bytes_max, d.log_bytes_max);
    assert_eq!((s.demo_credit, s.faucet_max), (None, None));
    assert_eq!(
        (s.payout_min, s.dispute_window, s.approval_ttl),
        (d.payout_min, d.dispute_window, d.approval_ttl)
    );
}

#[test]
fn each_bad_value_gets_its_own_line() {
    let error = with(&[
        ("IOG_LEASE_TTL_MS", "soon"),
        ("IOG_FEE_OWNER_BP", "10001"),
        ("IOG_DEMO_CREDIT_IO", "-1"),
        ("IOG_PUBLIC_URL", "iog.example/shop"),
        ("IOG_TRUST_FORWARDED", "perhaps"),
        ("IOG_LOG_FORMAT", "xml"),
        ("IOG_FAUCET_MAX_IO", "much"),
        ("IOG_PAYOUT_MIN_IO", "0"),
        ("IOG_DISPUTE_WINDOW_S", "0"),
        ("IOG_IO_RATE", "0.25 EUR"),
        ("IOG_DATABASE_URL", "mysql://secret@host"),
    ])
    .expect_err("bad values");
    let text = error.to_string();
    for name in [
        "IOG_LEASE_TTL_MS=soon: expected a whole number from",
        "IOG_FEE_OWNER_BP=10001",
        "IOG_DEMO_CREDIT_IO=-1",
        "IOG_PUBLIC_URL=iog.example/shop",
        "IOG_TRUST_FORWARDED=perhaps",
        "IOG_LOG_FORMAT=xml: expected text or json",
        "IOG_DATABASE_URL: expected",
        "IOG_FAUCET_MAX_IO=much: expected an amount of IO",
        "IOG_PAYOUT_MIN_IO=0: expected an amount of IO above zero",
        "IOG_DISPUTE_WINDOW_S=0: expected a whole number from 1",
        "IOG_IO_RATE=0.25 EUR: expected a currency and millionths of it",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert_eq!(error.0.len(), 11, "{text}");
    assert!(!text.contains("secret"), "a password must not be repeated");
}

#[test]
fn e_mail_needs_a_host_that_nobody_overhears_and_a_sender() {
    let from = ("IOG_MAIL_FROM", "IOG <noreply@iog.example>");
    for url in [
        "smtps://me:secret@mail.example",
        "smtp://me:secret@mail.example:587?tls=required",
        "smtp://127.0.0.1:2525",
    ] {
        let config = with(&[("IOG_SMTP_URL", url), from]).expect("valid");
        assert!(config.settings.email && config.mail.is_some(), "{url}");
        assert!(!format!("{config:?}").contains("secret"));
    }
    assert!(!with(&[]).expect("valid").settings.email);
    for url in [
        "smtp://me:secret@mail.example",
        "smtp://me:secret@mail.example?tls=opportunistic",
        "http://mail.example/secret",
        "secret",
    ] {
        let error = with(&[("IOG_SMTP_URL", url), from]).expect_err("refused");
        assert!(
            error.to_string().contains("IOG_SMTP_URL: expected"),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let sender = [
        ("IOG_SMTP_URL", "smtps://mail.example"),
        ("IOG_MAIL_FROM", "IOG"),
    ];
    let error = with(&sender).expect_err("no address");
    assert!(
        error.to_string().contains("IOG_MAIL_FROM=IOG: expected"),
        "{error}"
    );
    let error = with(&[from]).expect_err("no host");
    assert!(
        error.to_string().contains("set both, or neither"),
        "{error}"
    );
}

#[test]
fn a_misspelt_name_in_the_file_is_refused() {
    let text = BUILT_IN.replace("lease_ttl_ms", "lease_tll_ms");
    let error = Config::from_parts(&text, &|_| None).expect_err("misspelt");
    assert!(
        error.to_string().contains("[iog] lease_tll_ms: unknown"),
        "{error}"
    );
}

#[test]
fn a_misspelt_variable_is_noticed() {
    assert!(is_unknown("IOG_RECEIPT_INTERVAL_SECONDS"));
    assert!(!is_unknown("IOG_RECEIPT_INTERVAL_S") && !is_unknown("IOG_LOG_FORMAT"));
    assert!(!is_unknown("IOG_CONFIG") && !is_unknown("HOME"));
}

#[test]
fn a_lease_outlives_two_heartbeats() {
    let error =
        with(&[("IOG_HEARTBEAT_MS", "5000"), ("IOG_LEASE_TTL_MS", "6000")]).expect_err("too short");
    assert!(
        error
            .to_string()
            .contains("at least twice IOG_HEARTBEAT_MS"),
        "{error}"
    );
}

#[test]
fn a_public_site_does_not_trust_this_machines_own_pages() {
    let config = with(&[("IOG_PUBLIC_URL", "https://iog.example/")]).expect("valid");
    assert_eq!(config.settings.public_url, "https://iog.example");
    assert_eq!(config.settings.origins, ["https://iog.example"]);
    let local = with(&[]).expect("valid").settings.origins;
    for origin in [
        "http://127.0.0.1:3000",
        "http://localhost:3000",
        "http://[::1]:3000",
    ] {
        assert!(
            local.iter().any(|known| known == origin),
            "{origin} in {local:?}"
        );
    }
    assert!(
        is_loopback("http://[::1]:3000")
            && is_loopback("http://localhost")
            && !is_loopback("http://10.0.0.1")
    );
}

const CHAIN: [(&str, &str); 4] = [
    ("IOG_CHAIN_URL", "https://api.testnet.aptoslabs.com/v1/"),
    ("IOG_CHAIN_ID", "2"),
    (
        "IOG_CHAIN_CONTRACT",
        "0x7d4f89603f89f6eb34576e75d937a9b85c3802d760a86572f386d19e028f58df",
    ),
    (
        "IOG_CHAIN_SETTLER_KEYS",
        "494f4720646576656c6f706d656e74206b65792c206e6f742073656372657421 \
         ed25519-priv-0x494f47207365636f6e6420736574746c65722c206e6f74207365637265742121",
    ),
];

#[test]
fn a_chain_is_named_in_full_or_not_at_all() {
    assert!(with(&[]).expect("valid").chain.is_none());
    let config = with(&CHAIN).expect("valid");
    let chain = config.chain.as_ref().expect("a chain");
    assert_eq!(chain.aptos.url, "https://api.testnet.aptoslabs.com/v1");
    assert_eq!((chain.aptos.chain, chain.aptos.settlers.len()), (2, 2));
    let rate = with(&[("IOG_IO_RATE", "EUR 250000")])
        .expect("valid")
        .settings
        .io_rate;
    assert_eq!(rate.expect("a rate").to_decimal(), "0.25");
    assert_eq!(chain.interval, std::time::Duration::from_secs(1));
    assert_eq!(chain.compare, std::time::Duration::from_hours(1));
    assert!(
        !format!("{config:?}").contains("494f47"),
        "keys stay unseen"
    );
    for missing in 0..CHAIN.len() {
        let mut rest = CHAIN.to_vec();
        let (name, _) = rest.remove(missing);
        let error = with(&rest).expect_err("not all of it").to_string();
        assert!(error.contains(&format!("{name}: not set")), "{error}");
    }
    let error = with(&[("IOG_CHAIN_FEE_PAYER_KEY", "x")]).expect_err("alone");
    assert!(
        error.to_string().contains("IOG_CHAIN_URL: not set"),
        "{error}"
    );
}

#[test]
fn what_is_on_the_chain_is_linked_and_no_key_of_a_node_is_told() {
    let network = |more: &[(&str, &str)]| {
        let mut pairs = CHAIN.to_vec();
        pairs.retain(|(known, _)| more.iter().all(|(name, _)| name != known));
        pairs.extend(more);
        with(&pairs).expect("valid").settings.network
    };
    assert!(with(&[]).expect("valid").settings.network.is_none());
    let testnet = network(&[]).expect("a network");
    assert_eq!(testnet.node, "https://api.testnet.aptoslabs.com");
    let page = |kind: &str| format!("https://explorer.aptoslabs.com/{kind}?network=testnet");
    let explorer = testnet.explorer;
    assert_eq!(explorer.transaction, Some(page("txn/{hash}")));
    assert_eq!(explorer.account, Some(page("account/{address}")));
    let own = "https://scan.example/{hash}";
    let private = network(&[
        (
            "IOG_CHAIN_URL",
            "https://me:secret@node.example:8443/v2/secret/v1",
        ),
        ("IOG_CHAIN_ID", "77"),
        ("IOG_CHAIN_EXPLORER", own),
    ]);
    let private = private.expect("a network");
    assert_eq!(private.node, "https://node.example:8443");
    // Browsers ask the same node, unless its address may hold a key, or another one is named for them.
    assert_eq!(
        testnet.public_url.as_deref(),
        Some("https://api.testnet.aptoslabs.com/v1")
    );
    assert_eq!(private.public_url, None);
    let named = network(&[("IOG_CHAIN_PUBLIC_URL", "https://node.example/v1/")]);
    let named = named.expect("a network").public_url;
    assert_eq!(named.as_deref(), Some("https://node.example/v1"));
    assert_eq!(private.explorer.transaction.as_deref(), Some(own));
    assert_eq!(private.explorer.account, None);
}

#[test]
fn what_is_wrong_with_a_chain_is_said_without_its_keys() {
    let changed = |name: &str, value: &str| {
        let mut pairs = CHAIN.to_vec();
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        with(&pairs).map(|_| ()).map_err(|error| error.to_string())
    };
    for (name, value, words) in [
        (
            "IOG_CHAIN_URL",
            "api.testnet.aptoslabs.com",
            "expected a node's address",
        ),
        (
            "IOG_CHAIN_PUBLIC_URL",
            "https://node.example/v1; script-src *",
            "expected a node's address",
        ),
        ("IOG_CHAIN_ID", "256", "a whole number from 1 to 255"),
        (
            "IOG_CHAIN_CONTRACT",
            "0xnothing",
            "expected the contract's address",
        ),
        (
            "IOG_CHAIN_SETTLER_KEYS",
            "494f47secret",
            "expected secret keys",
        ),
        ("IOG_CHAIN_SETTLER_KEYS", ",", "expected secret keys"),
        (
            "IOG_CHAIN_SETTLER_KEYS",
            "file:/nowhere/at/all",
            "/nowhere/at/all: ",
        ),
        ("IOG_CHAIN_GAS_PRICE_MAX", "0", "a whole number from 1"),
        (
            "IOG_CHAIN_EXPLORER",
            "https://scan.example/",
            "a page's address that holds {hash}",
        ),
        (
            "IOG_CHAIN_EXPLORER_ACCOUNT",
            "https://scan.example/{hash}",
            "a page's address that holds {address}",
        ),
    ] {
        let error = changed(name, value).expect_err(name);
        assert!(error.contains(name) && error.contains(words), "{error}");
        assert!(
            !error.contains("secret keys of 494f47") && !error.contains("494f47secret"),
            "{error}"
        );
    }
    let two = CHAIN[3].1;
    let error = changed("IOG_CHAIN_FEE_PAYER_KEY", two).expect_err("two");
    assert!(error.contains("expected one key"), "{error}");
    let file = std::env::temp_dir().join(format!("iog-keys-{}", std::process::id()));
    std::fs::write(&file, two.replace(' ', "\n")).expect("a file");
    let named = format!("file:{}", file.display());
    let read = changed("IOG_CHAIN_SETTLER_KEYS", &named);
    _ = std::fs::remove_file(&file);
    assert_eq!(read, Ok(()));
}
