//! Which chain pays and credits.

use std::time::Duration;

use chain_aptos::{Settings, secret_key};
use ed25519_dalek::SigningKey;
use exchange::{Explorer, Network};
use settlement::Address;

use super::reader::Reader;

/// What names the chain: all of it, or nothing.
const NEEDED: [&str; 4] = [
    "chain_url",
    "chain_id",
    "chain_contract",
    "chain_settler_keys",
];
/// Of no use without a chain.
const MORE: [&str; 7] = [
    "chain_public_url",
    "chain_reporter_key",
    "chain_fee_payer_key",
    "chain_gas_units_max",
    "chain_gas_price_max",
    "chain_explorer",
    "chain_explorer_account",
];
/// Before a file's path, where a key could stand.
const FILE: &str = "file:";
const KEYS_EXPECTED: &str = "secret keys of Ed25519, each 64 digits 0-9 a-f, separated by spaces, or file: and the path of a file that \
     holds them, one a line";

/// The chain and how often it is asked.
#[derive(Clone)]
pub struct Chain {
    /// It holds secret keys.
    pub aptos: Settings,
    /// What people are told of it.
    pub network: Network,
    /// From one round of settlement to the next.
    pub interval: Duration,
    /// From one comparison of vault and books to the next.
    pub compare: Duration,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings {
            chain, contract, ..
        } = &self.aptos;
        write!(f, "Chain {chain}, contract {contract}")
    }
}

/// Absent: everything goes out and comes in by hand.
pub(super) fn chain(read: &mut Reader) -> Option<Chain> {
    let interval = read.number("chain_interval_ms", 50, 3_600_000, 1_000);
    let compare = read.number("chain_compare_s", 1, 86_400, 3_600);
    let is_set =
        |read: &mut Reader, names: &[&str]| names.iter().any(|name| read.text(name).is_some());
    if !is_set(read, &NEEDED) {
        if is_set(read, &MORE) {
            read.problems.push(
                "IOG_CHAIN_URL: not set, while other names of the chain are; set it, or none of them"
                    .to_owned(),
            );
        }
        return None;
    }
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|name| read.text(name).is_none())
        .collect();
    for name in &missing {
        read.problems.push(format!(
            "{}: not set, while other names of the chain are; set it, or none of them",
            super::names::variable(name)
        ));
    }
    if !missing.is_empty() {
        return None;
    }
    let url = node(read, "chain_url");
    let number = read.number("chain_id", 1, u8::MAX, 1);
    let contract = contract(read);
    let settlers = keys(read, "chain_settler_keys").unwrap_or_default();
    let (reporter, fee_payer) = (
        one_key(read, "chain_reporter_key"),
        one_key(read, "chain_fee_payer_key"),
    );
    let (url, contract) = (url?, contract?);
    let network = network(read, &url, number, contract);
    let mut aptos = Settings::new(url, number, contract);
    aptos.settlers = settlers;
    aptos.reporter = reporter;
    aptos.fee_payer = fee_payer;
    let ceiling = &mut aptos.ceiling;
    ceiling.units = read.number("chain_gas_units_max", 1, 2_000_000, ceiling.units);
    ceiling.price = read.number("chain_gas_price_max", 1, 1_000_000, ceiling.price);
    Some(Chain {
        aptos,
        network,
        interval: Duration::from_millis(interval),
        compare: Duration::from_secs(compare),
    })
}

fn node(read: &mut Reader, name: &str) -> Option<String> {
    let text = read.text(name)?;
    let uri = text.parse::<http::Uri>().ok();
    let plain = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.query().is_none()
            // It also stands in the policy of pages, where these would begin something else.
            && !text.contains([';', ',', ' '])
    });
    if !plain {
        let expected = "a node's address such as https://api.testnet.aptoslabs.com/v1";
        read.wrong(name, &text, expected);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// What is public of it. A node's path may hold a key.
fn network(read: &mut Reader, url: &str, number: u8, contract: Address) -> Network {
    let uri = url.parse::<http::Uri>().unwrap_or_default();
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.authority());
    // And so may what stands before the host.
    let host = host.map_or("", |host| {
        host.as_str().rsplit('@').next().unwrap_or_default()
    });
    let node = format!("{scheme}://{host}");
    let public_url = match read.text("chain_public_url") {
        Some(_) => self::node(read, "chain_public_url"),
        // One with nothing in it that could be a key.
        None => Some(url.to_owned()).filter(|url| *url == format!("{node}/v1")),
    };
    let mut explorer = Explorer::of(number, &node);
    if let Some(set) = template(read, "chain_explorer", false) {
        explorer.transaction = Some(set);
    }
    if let Some(set) = template(read, "chain_explorer_account", true) {
        explorer.account = Some(set);
    }
    Network {
        node,
        public_url,
        number,
        contract,
        explorer,
    }
}

fn template(read: &mut Reader, name: &str, account: bool) -> Option<String> {
    let text = read.text(name)?;
    if !Explorer::is_template(&text, account) {
        let expected = if account {
            "a page's address that holds {address}, such as https://explorer.aptoslabs.com/account/{address}?network=testnet"
        } else {
            "a page's address that holds {hash}, such as https://explorer.aptoslabs.com/txn/{hash}?network=testnet"
        };
        read.wrong(name, &text, expected);
        return None;
    }
    Some(text)
}

fn contract(read: &mut Reader) -> Option<Address> {
    let text = read.text("chain_contract")?;
    let address = text.parse().ok();
    if address.is_none() {
        let expected = "the contract's address, 0x and 64 digits 0-9 a-f";
        read.wrong("chain_contract", &text, expected);
    }
    address
}

/// At least one. No value is repeated, not even one that is no key: it may be most of one.
fn keys(read: &mut Reader, name: &str) -> Option<Vec<SigningKey>> {
    let text = read.text(name)?;
    let variable = super::names::variable(name);
    let held = match text.strip_prefix(FILE) {
        None => text,
        Some(path) => match std::fs::read_to_string(path.trim()) {
            Ok(held) => held,
            Err(error) => {
                read.problems
                    .push(format!("{variable}: {}: {error}", path.trim()));
                return None;
            }
        },
    };
    let words = held.split([' ', ',', '\n', '\r', '\t']);
    let keys: Result<Vec<SigningKey>, _> = words
        .filter(|word| !word.is_empty())
        .map(secret_key)
        .collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Some(keys),
        _ => {
            read.problems
                .push(format!("{variable}: expected {KEYS_EXPECTED}"));
            None
        }
    }
}

fn one_key(read: &mut Reader, name: &str) -> Option<SigningKey> {
    let mut keys = keys(read, name)?;
    if keys.len() > 1 {
        let variable = super::names::variable(name);
        read.problems.push(format!("{variable}: expected one key"));
    }
    keys.pop()
}
