//! Wallets: who signs in with one, and whose account it is.
//!
//! A wallet is asked to sign a message that was made for it and is remembered here; the answer takes the question out of the
//! database before it is looked at, so each is answered once, rightly or wrongly. What the message must say, and which
//! key signs for which address, is `settlement::sign_in`'s to judge; the chain says whether an address has another key by now.

use kernel::{AccountId, Seconds, Timestamp};
use protocol::audit::AuditAction;
use protocol::notice::Notice;
use protocol::view::{Role, Scope};
use protocol::wallet::{WalletAnswer, WalletQuestion, WalletSignInView, WalletSigned, WalletView};
use serde::{Deserialize, Serialize};
use settlement::sign_in::{
    Answer, Expected, Fields, PlainAnswer, Scheme, WalletKey, check, check_plain,
};
use settlement::{Address, Chain};
use store::{Account, Challenge, Tx, Wallet};

use crate::accounts::{SessionSecret, account_view};
use crate::actor::Actor;
use crate::audit::{Act, Subject};
use crate::desk::Exchange;
use crate::error::Error;

/// So long a question can be answered.
const ANSWERED_WITHIN: Seconds = Seconds::new(300);
const WALLETS_MAX: usize = 10;
const NAME_MAX: usize = 40;
const SIGN_IN: &str = "Sign in to IOG. This moves no money and costs nothing.";
/// Before the account's id.
const LINK: &str = "Let this wallet sign in to the IOG account";
/// Nobody says which key signs for an address, and nothing can be sent.
pub const NO_CHAIN: Error = Error::Unavailable(
    "this site is connected to no chain, so nothing can be done with wallets; sign in with an e-mail address",
);
/// Of a key or signature in hex.
const HEX_MAX: usize = 512;

/// What is remembered of a question.
#[derive(Serialize, Deserialize)]
struct Asked {
    domain: String,
    uri: String,
    statement: String,
    chain: String,
    issued_at: Timestamp,
}

impl Asked {
    fn expected(self, challenge: &Challenge) -> Expected {
        Expected {
            domain: self.domain,
            uri: self.uri,
            statement: self.statement,
            nonce: challenge.nonce.clone(),
            chain: self.chain,
            issued_at: self.issued_at,
            expires_at: challenge.expires_at,
        }
    }
}

/// What was signed, read.
enum Signed {
    SignIn(Box<Answer>),
    Plain(Box<PlainAnswer>),
}

fn hex_of(field: &str, text: &str) -> Result<Vec<u8>, Error> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (digits.len() <= HEX_MAX)
        .then(|| hex::decode(digits).ok())
        .flatten()
        .ok_or_else(|| Error::invalid(field, "hexadecimal digits"))
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Wallet(error.to_string())
}

fn read(answer: &WalletAnswer) -> Result<Signed, Error> {
    let key = hex_of("public_key", &answer.public_key)?;
    let signature = hex_of("signature", &answer.signature)?;
    Ok(match &answer.signed {
        WalletSigned::SignIn { input, scheme } => {
            let fields = serde_json::from_value::<Fields>(input.clone())
                .map_err(|error| Error::invalid("input", error.to_string()))?;
            let scheme = Scheme::from_name(scheme).map_err(refused)?;
            let key = WalletKey::from_bcs(scheme, &key).map_err(refused)?;
            Signed::SignIn(Box::new(Answer {
                fields,
                key,
                signature,
            }))
        }
        WalletSigned::Message { text } => {
            let key = WalletKey::from_bcs(Scheme::of_key(&key), &key).map_err(refused)?;
            Signed::Plain(Box::new(PlainAnswer {
                text: text.clone(),
                key,
                signature,
            }))
        }
    })
}

impl Signed {
    /// Whom it names; nothing is checked yet.
    fn address(&self) -> Result<Address, Error> {
        let named = match self {
            Self::SignIn(answer) => settlement::sign_in::account_address(&answer.fields.address),
            Self::Plain(answer) => answer.address(),
        };
        named.map_err(refused)
    }
}

fn view(wallet: &Wallet) -> WalletView {
    WalletView {
        address: wallet.address.to_string(),
        name: wallet.name.clone(),
        linked_at: wallet.linked_at,
        used_at: wallet.used_at,
    }
}

/// What a wallet calls itself is anybody's text.
fn wallet_name(text: &str) -> String {
    let name: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect();
    if name.is_empty() {
        "Wallet".to_owned()
    } else {
        name
    }
}

/// For a person to tell it from others: `0x1234…cdef`.
fn short(address: Address) -> String {
    let text = address.to_string();
    let end = text.len().saturating_sub(4);
    let (first, last) = (text.get(..6), text.get(end..));
    format!("{}…{}", first.unwrap_or_default(), last.unwrap_or_default())
}

async fn has_room(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    if tx.wallets(account).await?.len() < WALLETS_MAX {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "{WALLETS_MAX} wallets are linked already, as many as may be; unlink one first"
    )))
}

impl Exchange {
    /// What a wallet is to sign: to sign in, or to be linked to the account of `actor`. `origin` is the page that asks.
    ///
    /// # Errors
    /// No chain is connected; not with an API key; as many wallets as may be.
    pub async fn ask_wallet(
        &self,
        actor: Option<&Actor>,
        origin: Option<&str>,
    ) -> Result<WalletQuestion, Error> {
        if let Some(actor) = actor {
            actor.require_person()?;
        }
        let settings = &self.inner.settings;
        let chain = settings.network.as_ref().ok_or(NO_CHAIN)?;
        let known = origin.filter(|origin| settings.origins.iter().any(|ours| ours == origin));
        let uri = known.unwrap_or(&settings.public_url).to_owned();
        let domain = uri.split_once("://").map_or(uri.as_str(), |(_, host)| host);
        let statement = match actor {
            None => SIGN_IN.to_owned(),
            Some(actor) => format!("{LINK} {}.", actor.account),
        };
        let now = self.now();
        let asked = Asked {
            domain: domain.to_owned(),
            uri,
            statement,
            chain: chain.wallet_name().to_owned(),
            issued_at: now,
        };
        let challenge = Challenge {
            nonce: hex::encode(self.random::<16>()),
            account: actor.map(|actor| actor.account),
            expected: serde_json::to_string(&asked)
                .map_err(|error| Error::Internal(error.to_string()))?,
            expires_at: now.plus(ANSWERED_WITHIN),
        };
        let mut tx = self.inner.store.begin().await?;
        if let Some(actor) = actor {
            has_room(&mut tx, actor.account).await?;
        }
        tx.insert_challenge(&challenge, now).await?;
        tx.commit().await?;
        let fields = asked.expected(&challenge).fields();
        Ok(WalletQuestion {
            domain: fields.domain,
            uri: fields.uri.unwrap_or_default(),
            version: fields.version.unwrap_or_default(),
            statement: fields.statement.unwrap_or_default(),
            nonce: challenge.nonce,
            chain_id: fields.chain_id.unwrap_or_default(),
            issued_at: fields.issued_at.unwrap_or_default(),
            expiration_time: fields.expiration_time.unwrap_or_default(),
            chain_number: chain.number,
        })
    }

    /// Whose address it is. The question is over afterwards, whatever comes out.
    async fn answered(
        &self,
        chain: &dyn Chain,
        account: Option<AccountId>,
        answer: &WalletAnswer,
    ) -> Result<Address, Error> {
        let signed = read(answer)?;
        let mut tx = self.inner.store.begin().await?;
        let challenge = tx.take_challenge(&answer.nonce).await?;
        tx.commit().await?;
        let again = || {
            Error::Wallet(
                "this message was answered before, or is too old; sign in again".to_owned(),
            )
        };
        let challenge = challenge
            .filter(|challenge| challenge.account == account)
            .ok_or_else(again)?;
        let asked: Asked = serde_json::from_str(&challenge.expected)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let expected = asked.expected(&challenge);
        let key = chain.key_of(signed.address()?).await?;
        let now = self.now();
        match &signed {
            Signed::SignIn(answer) => check(&expected, answer, key, now),
            Signed::Plain(answer) => check_plain(&expected, chain.number(), answer, key, now),
        }
        .map_err(refused)
    }

    /// Signs in whoever holds the wallet; one that nobody linked gets an account of its own.
    ///
    /// # Errors
    /// The message is not the one that was asked for, was answered before, or is not signed by the wallet's key; the chain
    /// does not answer.
    pub async fn sign_in_by_wallet(
        &self,
        chain: &dyn Chain,
        answer: &WalletAnswer,
    ) -> Result<(WalletSignInView, SessionSecret), Error> {
        let address = self.answered(chain, None, answer).await?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let (account, is_new) = if let Some(wallet) = tx.wallet(address).await? {
            tx.touch_wallet(address, now).await?;
            (wallet.account, false)
        } else {
            let account = self.account_of_wallet(address);
            tx.insert_account(&account).await?;
            tx.insert_wallet(&Wallet {
                address,
                account: account.id,
                name: wallet_name(&answer.wallet),
                linked_at: now,
                used_at: now,
            })
            .await?;
            let act = Act::by_account(account.id, AuditAction::AccountCreated, account.id);
            self.audit(&mut tx, act.with("wallet", address)).await?;
            tracing::info!(account = %account.id, wallet = %address, "an account was made");
            (account.id, true)
        };
        tx.commit().await?;
        let account = self.inner.store.account(account).await?;
        let account = account.ok_or(Error::NotFound("the account"))?;
        let secret = self.open_session(&account, "wallet").await?;
        let account = account_view(&account);
        Ok((WalletSignInView { account, is_new }, secret))
    }

    /// It has no e-mail address; its wallet's stands in that place, which nobody can type when signing up. No password fits.
    fn account_of_wallet(&self, address: Address) -> Account {
        let now = self.now();
        Account {
            id: AccountId::new(now, self.random()),
            email: address.to_string(),
            name: short(address),
            password_hash: crate::accounts::NOBODY.to_owned(),
            roles: vec![Role::Requester, Role::Owner],
            created_at: now,
        }
    }

    /// Lets a wallet sign in to this account.
    ///
    /// # Errors
    /// As of [`Exchange::sign_in_by_wallet`]; it is another account's; not with an API key.
    pub async fn link_wallet(
        &self,
        chain: &dyn Chain,
        actor: &Actor,
        answer: &WalletAnswer,
    ) -> Result<WalletView, Error> {
        actor.require_person()?;
        let address = self.answered(chain, Some(actor.account), answer).await?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        match tx.wallet(address).await? {
            Some(wallet) if wallet.account == actor.account => return Ok(view(&wallet)),
            Some(_) => {
                return Err(Error::Conflict(
                    "this wallet signs in to another account; sign in there and unlink it first"
                        .into(),
                ));
            }
            // Several may have been asked when there still was.
            None => has_room(&mut tx, actor.account).await?,
        }
        let wallet = Wallet {
            address,
            account: actor.account,
            name: wallet_name(&answer.wallet),
            linked_at: now,
            used_at: now,
        };
        tx.insert_wallet(&wallet).await?;
        let notice = Notice::WalletLinked {
            address: address.to_string(),
            wallet: wallet.name.clone(),
        };
        self.notify(&mut tx, actor.account, notice).await?;
        let act = Act::by(actor, AuditAction::WalletLinked, Subject::wallet(address));
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        tracing::info!(account = %actor.account, wallet = %address, "a wallet was linked");
        Ok(view(&wallet))
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn wallets(&self, actor: &Actor) -> Result<Vec<WalletView>, Error> {
        actor.require(Scope::Read)?;
        let wallets = self.inner.store.wallets(actor.account).await?;
        Ok(wallets.iter().map(view).collect())
    }

    /// # Errors
    /// No such wallet of this account; it is the only way in; not with an API key.
    pub async fn unlink_wallet(&self, actor: &Actor, address: &str) -> Result<(), Error> {
        actor.require_person()?;
        let address: Address = address.parse().map_err(|_| Error::NotFound("the wallet"))?;
        let mut tx = self.inner.store.begin().await?;
        let wallets = tx.wallets(actor.account).await?;
        let is_last = wallets.len() == 1 && actor.has_wallet_alone();
        if is_last && wallets.iter().any(|wallet| wallet.address == address) {
            return Err(Error::Conflict(
                "this wallet is the only way into the account; link another one, or add an e-mail address and a password first"
                    .into(),
            ));
        }
        if !tx.delete_wallet(actor.account, address).await? {
            return Err(Error::NotFound("the wallet"));
        }
        let act = Act::by(actor, AuditAction::WalletUnlinked, Subject::wallet(address));
        self.audit(&mut tx, act).await?;
        Ok(tx.commit().await?)
    }

    /// An e-mail address and a password for an account that has a wallet alone.
    ///
    /// # Errors
    /// Bad fields are named; the account has them; a known e-mail address is a conflict; not with an API key.
    pub async fn add_password(
        &self,
        actor: &Actor,
        email: &str,
        password: &str,
    ) -> Result<(), Error> {
        actor.require_person()?;
        let (email, hash) = self.credentials(email, password, &actor.name).await?;
        let mut tx = self.inner.store.begin().await?;
        match tx.set_credentials(actor.account, &email, &hash).await {
            Ok(true) => {
                let act = Act::by(actor, AuditAction::PasswordChanged, actor.account);
                self.audit(&mut tx, act).await?;
                Ok(tx.commit().await?)
            }
            Ok(false) => Err(Error::Conflict(
                "this account has an e-mail address and a password".into(),
            )),
            Err(error) if error.is_conflict() => Err(Error::Conflict(
                "this e-mail address has an account; sign in there and link the wallet".into(),
            )),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wallet_calls_itself_is_one_short_line() {
        assert_eq!(wallet_name("  Petra "), "Petra");
        assert_eq!(wallet_name("a\nb\0"), "ab");
        assert_eq!(wallet_name(" \n"), "Wallet");
        assert_eq!(wallet_name(&"长".repeat(99)), "长".repeat(40));
    }

    #[test]
    fn an_address_is_told_by_its_ends() {
        let address = Address::from_bytes([0xab; 32]);
        assert_eq!(short(address), "0xabab…abab");
    }
}
