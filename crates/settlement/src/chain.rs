//! The port: what is asked of a chain, in words that fit any.
//!
//! A transaction is made in two steps, so that its bytes are in the database before anyone else has them: [`Chain::prepare`]
//! signs, [`Chain::submit`] hands over, as often as needed. What became of it is asked with [`Chain::look_up`], and what
//! happened on the chain with [`Chain::events`].

use async_trait::async_trait;
use kernel::{Amount, Timestamp};

use crate::batch::Batch;
use crate::code::Code;
use crate::digest::{Address, Digest, Tag};
use crate::gas::GasError;
use crate::outgoing::{Sender, Sighting};
use crate::report::Heading;
use crate::voucher::SignedVoucher;
use crate::week::Week;

/// Why the chain cannot be asked, or did not do what was asked. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(
        "the chain's node does not answer ({0}); it is tried again, and if it stays so, set another node's address"
    )]
    Unreachable(String),
    #[error(
        "the node serves chain {got}, and the configuration says {expected}; correct the chain's number or the node's address"
    )]
    WrongChain { expected: u8, got: u8 },
    #[error(
        "{address} does not hold IOG's contract ({why}); correct the contract's address, or publish the contract there"
    )]
    WrongContract { address: Address, why: String },
    #[error("{sender} may not do this on the chain: the contract's admin must make it a {role}")]
    NotAllowed { sender: Address, role: &'static str },
    #[error(
        "the chain refuses the transaction ({0}); it is looked up until it has landed or is proven absent, and then signed anew"
    )]
    Refused(String),
    #[error("a trial run fails: {why}; nothing was sent")]
    WouldFail {
        /// The contract's number for it, if it is the contract's.
        code: Option<u64>,
        why: String,
    },
    #[error(transparent)]
    Gas(#[from] GasError),
    #[error(
        "the node's answer cannot be understood ({0}); check that it is a node of this chain and not older than the contract"
    )]
    Answer(String),
    #[error(
        "the node no longer has version {0}; set the address of one that keeps the whole history"
    )]
    Pruned(u64),
    #[error("{0}")]
    Configuration(String),
    #[error("this is not a transaction that may be paid for ({0})")]
    NotOurs(String),
}

impl ChainError {
    /// The same may be tried again later, unchanged.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Gas(GasError::Price { .. })
        )
    }
}

/// What is to be done on the chain by the platform's own accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order<'a> {
    Pay(&'a Batch),
    Publish(&'a Heading),
    Redeem(&'a SignedVoucher),
}

/// What a person does with their own money; the platform may pay the fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Deposit {
        tag: Tag,
        amount: Amount,
    },
    Open {
        number: u64,
        voucher_key: [u8; 32],
        deposit: Amount,
    },
    TopUp {
        number: u64,
        amount: Amount,
    },
    StartClose {
        number: u64,
    },
    FinishClose {
        number: u64,
    },
    Redeem(SignedVoucher),
}

/// A transaction with its signature: to be stored before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub bytes: Vec<u8>,
    pub hash: Digest,
    pub sender: Address,
    /// By the chain's clock; later it cannot land.
    pub expires_at: Timestamp,
    /// The most that it can cost, in the chain's smallest coins.
    pub fee_max: u64,
}

/// A transaction that its sender's wallet has yet to sign; the platform pays its fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// To be given back to [`Chain::sponsor`] as it is.
    pub bytes: Vec<u8>,
    /// What the wallet's key signs.
    pub to_sign: Vec<u8>,
    pub fee_payer: Address,
    pub expires_at: Timestamp,
}

/// How far the chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub version: u64,
    /// The first version that the node still has.
    pub oldest: u64,
    pub at: Timestamp,
}

/// How a submission was answered. Neither says that it lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    Accepted,
    /// The chain knows it already, or its account has moved on; the look-up tells.
    Known,
}

/// What the contract holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balances {
    /// Deposits that have not gone out.
    pub vault: Amount,
    /// What each of the platform's accounts has left for fees, in the chain's smallest coins.
    pub fees: Vec<(Address, u64)>,
    /// What happened up to here is in it; perhaps what came just after it too.
    pub version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    pub supply: Amount,
    pub cap: Amount,
    pub circulating: Amount,
}

/// An escrow channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    pub renter: Address,
    /// Ed25519; it signs the channel's vouchers.
    pub voucher_key: [u8; 32],
    pub balance: Amount,
    /// Its rest was paid back; it does nothing more.
    pub is_closed: bool,
    /// Until when its owner waits for vouchers; absent while it is open.
    pub closing_until: Option<Timestamp>,
}

/// What happened on the chain, at its place: (version, index) is its natural key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub version: u64,
    /// Within its transaction.
    pub index: u64,
    pub transaction: Digest,
    pub at: Timestamp,
    pub kind: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Deposited {
        from: Address,
        /// As it was written; one that names no account is a deposit all the same.
        tag: Option<Tag>,
        amount: Amount,
    },
    Paid {
        batch: Digest,
        line: u64,
        payee: Address,
        amount: Amount,
    },
    Skipped {
        batch: Digest,
        line: u64,
        payee: Address,
        amount: Amount,
        reason: u64,
    },
    Settled {
        batch: Digest,
        paid: u64,
        skipped: u64,
        total: Amount,
    },
    Published(Heading),
    Opened {
        channel: Address,
        renter: Address,
        number: u64,
        voucher_key: [u8; 32],
        amount: Amount,
    },
    ToppedUp {
        channel: Address,
        renter: Address,
        amount: Amount,
    },
    Redeemed {
        channel: Address,
        payee: Address,
        cumulative: Amount,
        paid: Amount,
    },
    Closing {
        channel: Address,
        renter: Address,
        until: Timestamp,
    },
    Closed {
        channel: Address,
        renter: Address,
        returned: Amount,
    },
}

/// Events in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    pub events: Vec<Event>,
    /// Where to read on; stored in the transaction that stores what the events did, each of them counts once.
    pub next: u64,
    pub head: Head,
}

impl Events {
    /// Nothing more has happened up to now.
    pub const fn is_up_to_date(&self) -> bool {
        self.next > self.head.version
    }
}

/// A chain that carries IOG's contract.
#[async_trait]
pub trait Chain: Send + Sync {
    /// The chain's number, which vouchers and wallets name.
    fn number(&self) -> u8;

    /// Where the contract is.
    fn contract(&self) -> Address;

    /// The accounts that send payouts, and how many transactions each may have under way.
    fn senders(&self) -> Vec<Sender>;

    /// The account that publishes reports and hands in vouchers.
    fn reporter(&self) -> Option<Address> {
        self.senders().first().map(|sender| sender.address)
    }

    /// # Errors
    /// The node does not answer, or not as one of this chain.
    async fn head(&self) -> Result<Head, ChainError>;

    /// Tries the order, and signs it with a gas limit made of that. `sender` is one of [`Chain::senders`]; `random` keeps apart
    /// what is signed twice.
    ///
    /// # Errors
    /// The trial run fails; it costs more than the ceiling; the node does not answer.
    async fn prepare(
        &self,
        order: Order<'_>,
        sender: Address,
        random: [u8; 8],
    ) -> Result<Signed, ChainError>;

    /// Hands signed bytes over. Doing it again does no harm.
    ///
    /// # Errors
    /// [`ChainError::Refused`], or no answer: in either case only a look-up tells what became of it.
    async fn submit(&self, signed: &[u8]) -> Result<Submitted, ChainError>;

    /// # Errors
    /// The node does not answer.
    async fn look_up(&self, hash: Digest) -> Result<Sighting, ChainError>;

    /// All events of the contract from version `from` on, at most those of `versions_max` versions.
    ///
    /// # Errors
    /// The node does not answer, or no longer has that version.
    async fn events(&self, from: u64, versions_max: u16) -> Result<Events, ChainError>;

    /// # Errors
    /// The node does not answer.
    async fn balances(&self) -> Result<Balances, ChainError>;

    /// # Errors
    /// The node does not answer.
    async fn supply(&self) -> Result<Supply, ChainError>;

    /// The modules at the contract's address.
    ///
    /// # Errors
    /// The node does not answer, or not with modules.
    async fn code(&self) -> Result<Code, ChainError>;

    /// What a wallet holds of the token.
    ///
    /// # Errors
    /// The node does not answer.
    async fn holding(&self, of: Address) -> Result<Amount, ChainError>;

    /// Whether a batch was applied.
    ///
    /// # Errors
    /// The node does not answer.
    async fn is_settled(&self, batch: Digest) -> Result<bool, ChainError>;

    /// A published report; of the newest version if `version` is absent.
    ///
    /// # Errors
    /// The node does not answer.
    async fn report(&self, week: Week, version: Option<u64>)
    -> Result<Option<Heading>, ChainError>;

    /// The contract's vault, as a payee: what a channel pays to it is in the vault.
    ///
    /// # Errors
    /// The node does not answer.
    async fn vault(&self) -> Result<Address, ChainError>;

    /// The address of a renter's channel, whether it was opened or not.
    ///
    /// # Errors
    /// The node does not answer.
    async fn channel_address(&self, renter: Address, number: u64) -> Result<Address, ChainError>;

    /// # Errors
    /// The node does not answer.
    async fn channel(&self, channel: Address) -> Result<Option<Channel>, ChainError>;

    /// What a payee has taken out of a channel.
    ///
    /// # Errors
    /// The node does not answer.
    async fn redeemed(&self, channel: Address, payee: Address) -> Result<Amount, ChainError>;

    /// The hash of the key that signs for an address now; absent while the chain does not know the address, which then is
    /// the hash itself.
    ///
    /// # Errors
    /// The node does not answer.
    async fn key_of(&self, address: Address) -> Result<Option<Digest>, ChainError>;

    /// A transaction of a person's own, for their wallet to sign; the platform pays the fee.
    ///
    /// # Errors
    /// The trial run fails; it costs more than the ceiling; the node does not answer; no account is set to pay fees.
    async fn propose(
        &self,
        person: Address,
        deed: &Deed,
        random: [u8; 8],
    ) -> Result<Unsigned, ChainError>;

    /// Adds the platform's signature to what [`Chain::propose`] made and the wallet signed.
    ///
    /// # Errors
    /// [`ChainError::NotOurs`] when it is another transaction, or the wallet's signature does not fit.
    fn sponsor(&self, unsigned: &[u8], wallet: &[u8]) -> Result<Signed, ChainError>;
}
