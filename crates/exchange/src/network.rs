//! The chain as people are told of it: which one it is, and where its transactions and accounts can be looked at.

use settlement::{Address, Digest};

/// What stands in a template for the hash of a transaction, and for an address.
const HASH: &str = "{hash}";
const ADDRESS: &str = "{address}";

/// A chain's public names; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Scheme and host of its node: what comes after may hold a key.
    pub node: String,
    /// The whole address, with `/v1` and no slash at its end, of a node that browsers may ask. Absent: none is named for them.
    pub public_url: Option<String>,
    pub number: u8,
    pub contract: Address,
    pub explorer: Explorer,
}

impl Network {
    /// As wallets name the chain.
    pub const fn wallet_name(&self) -> &'static str {
        match self.number {
            1 => "aptos:mainnet",
            2 => "aptos:testnet",
            // As Aptos' own local node, and the development chain.
            4 => "aptos:localnet",
            _ => "aptos:devnet",
        }
    }
}

/// Pages that show what is on the chain, as templates. Absent: nothing is linked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explorer {
    /// With `{hash}`.
    pub transaction: Option<String>,
    /// With `{address}`.
    pub account: Option<String>,
}

impl Explorer {
    /// The one that everybody uses for this chain; for a chain of one's own (Aptos calls it 4), the page of its node, which the
    /// development chain has.
    pub fn of(number: u8, node: &str) -> Self {
        let public = |network: &str| {
            let page =
                |kind: &str| format!("https://explorer.aptoslabs.com/{kind}?network={network}");
            (
                page(&format!("txn/{HASH}")),
                page(&format!("account/{ADDRESS}")),
            )
        };
        let (transaction, account) = match number {
            1 => public("mainnet"),
            2 => public("testnet"),
            4 => (
                format!("{node}/transaction/{HASH}"),
                format!("{node}/account/{ADDRESS}"),
            ),
            _ => return Self::default(),
        };
        Self {
            transaction: Some(transaction),
            account: Some(account),
        }
    }

    /// Whether a text can be a template: a page of the web that names its hash, or its address, once.
    pub fn is_template(text: &str, account: bool) -> bool {
        let place = if account { ADDRESS } else { HASH };
        let filled = text.replacen(place, "0x0", 1);
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        is_web && filled != text && !filled.contains(['{', '}', ' ', '"', '<', '>', '\\'])
    }

    pub fn of_transaction(&self, hash: Digest) -> Option<String> {
        let template = self.transaction.as_ref()?;
        Some(template.replace(HASH, &hash.to_string()))
    }

    /// Of a reference as the chain's events write it: the hash, a colon and a place. What was written by hand may be no hash.
    pub fn of_reference(&self, reference: &str) -> Option<String> {
        let hash = reference.split(':').next()?;
        self.of_transaction(hash.parse().ok()?)
    }

    pub fn of_account(&self, address: Address) -> Option<String> {
        let template = self.account.as_ref()?;
        Some(template.replace(ADDRESS, &address.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_chain_has_its_page() {
        let hash = Digest::from_bytes([7; 32]);
        let address = Address::from_bytes([8; 32]);
        let of = |number| Explorer::of(number, "http://127.0.0.1:8080");
        assert_eq!(
            of(2).of_transaction(hash).unwrap_or_default(),
            format!("https://explorer.aptoslabs.com/txn/{hash}?network=testnet")
        );
        assert_eq!(
            of(1).of_account(address).unwrap_or_default(),
            format!("https://explorer.aptoslabs.com/account/{address}?network=mainnet")
        );
        assert_eq!(
            of(4).of_reference(&format!("{hash}:3")).unwrap_or_default(),
            format!("http://127.0.0.1:8080/transaction/{hash}")
        );
        assert_eq!(
            of(4).of_account(address).unwrap_or_default(),
            format!("http://127.0.0.1:8080/account/{address}")
        );
        // Written by an admin, and a network that nobody knows.
        assert_eq!(of(1).of_reference("bank 2026-11-02"), None);
        assert_eq!(of(7).of_transaction(hash), None);
    }

    #[test]
    fn a_template_is_a_page_with_one_place() {
        let good = "https://scan.example/tx/{hash}?net=2";
        assert!(Explorer::is_template(good, false));
        for bad in [
            "https://scan.example/tx/",
            "javascript:alert('{hash}')",
            "https://scan.example/{kind}/{hash}",
            "https://scan.example/{address}",
            "https://scan.example/{hash}/{hash}",
            "https://scan.example/\"{hash}",
        ] {
            assert!(!Explorer::is_template(bad, false), "{bad}");
        }
        assert!(Explorer::is_template("http://[::1]:1/{address}", true));
    }
}
