//! What a transaction of the double does: batches, deposits, escrow channels, as the contract has it.

use ed25519_dalek::VerifyingKey;
use kernel::{Amount, Timestamp};
use settlement::chain::{Channel, Deed, EventKind};
use settlement::report::Heading;
use settlement::{Address, Batch, ChainError, Digest, SignedVoucher};

use super::{Double, Ledger, io};

pub const VAULT: Address = Address::from_bytes([8; 32]);
/// The contract's challenge period.
const CHALLENGE_MS: i64 = 86_400_000;

#[derive(Debug, Clone)]
pub enum Act {
    Pay(Batch),
    Publish(Heading),
    Redeem(SignedVoucher),
    Deed(Address, Deed),
}

#[derive(Debug, Clone)]
pub struct Escrow {
    pub renter: Address,
    pub key: [u8; 32],
    pub balance: i64,
    pub closing_until: Option<i64>,
    pub closed: bool,
}

impl Escrow {
    pub fn told(&self) -> Channel {
        Channel {
            renter: self.renter,
            voucher_key: self.key,
            balance: io(self.balance),
            is_closed: self.closed,
            closing_until: self.closing_until.map(Timestamp::from_millis),
        }
    }
}

pub fn channel_address(renter: Address, number: u64) -> Address {
    let digest = Digest::of(&[b"channel", renter.as_bytes(), &number.to_be_bytes()]);
    Address::from_bytes(*digest.as_bytes())
}

type Ran = Result<(), &'static str>;

fn take(ledger: &mut Ledger, from: Address, amount: Amount) -> Ran {
    let wallet = ledger.wallets.entry(from).or_default();
    if amount.is_zero() || *wallet < amount.base() {
        return Err("the wallet holds less");
    }
    *wallet -= amount.base();
    Ok(())
}

impl Double {
    /// IO into a wallet, from nowhere.
    pub fn give(&self, to: Address, base: i64) {
        self.with(|ledger| *ledger.wallets.entry(to).or_default() += base);
    }

    pub fn holds(&self, address: Address) -> i64 {
        self.with(|ledger| ledger.wallets.get(&address).copied().unwrap_or(0))
    }

    pub(super) fn try_run(&self, act: &Act) -> Result<(), ChainError> {
        let mut trial = self.with(|ledger| ledger.clone());
        Self::run(&mut trial, Digest::of(&[b"trial"]), act).map_err(|why| ChainError::WouldFail {
            code: None,
            why: why.to_owned(),
        })
    }

    /// Somebody's own transaction, past the platform: an owner who redeems.
    pub fn alone(&self, act: &Act) -> Ran {
        self.with(|ledger| {
            ledger.version += 1;
            let hash = Digest::of(&[b"alone", &ledger.version.to_be_bytes()]);
            Self::run(ledger, hash, act)
        })
    }

    /// An event that nothing here did.
    pub fn happen(&self, kind: EventKind) {
        self.with(|ledger| {
            ledger.version += 1;
            let hash = Digest::of(&[b"happen", &ledger.version.to_be_bytes()]);
            Self::event(ledger, hash, 0, kind);
        });
    }

    pub(super) fn run(ledger: &mut Ledger, hash: Digest, act: &Act) -> Ran {
        match act {
            // A batch is applied once.
            Act::Pay(batch) if ledger.batches.contains(&batch.id()) => Err("batch known"),
            Act::Pay(batch) => {
                Self::apply(ledger, hash, batch);
                Ok(())
            }
            Act::Publish(heading) => publish(ledger, hash, *heading),
            Act::Redeem(signed) => redeem(ledger, hash, signed),
            Act::Deed(person, deed) => deed_of(ledger, hash, *person, deed),
        }
    }
}

fn publish(ledger: &mut Ledger, hash: Digest, heading: Heading) -> Ran {
    if !heading.week.is_over(Timestamp::from_millis(ledger.at)) {
        return Err("the week is not over");
    }
    if heading.version != ledger.latest(heading.week) + 1 {
        return Err("not the next version");
    }
    ledger
        .reports
        .insert((heading.week, heading.version), heading);
    Double::event(ledger, hash, 0, EventKind::Published(heading));
    Ok(())
}

fn redeem(ledger: &mut Ledger, hash: Digest, signed: &SignedVoucher) -> Ran {
    let voucher = signed.voucher;
    let (channel, payee) = (voucher.channel, voucher.payee);
    let state = ledger.channels.get_mut(&channel).ok_or("no channel")?;
    if state.closed {
        return Err("closed");
    }
    let key = VerifyingKey::from_bytes(&state.key).map_err(|_| "bad key")?;
    signed.verify(&key).map_err(|_| "bad signature")?;
    let had = ledger.redeemed.get(&(channel, payee)).copied().unwrap_or(0);
    let cumulative = voucher.cumulative.base();
    if cumulative < had {
        return Err("stale");
    }
    let paid = cumulative - had;
    if paid == 0 {
        return Ok(());
    }
    if paid > state.balance {
        return Err("short");
    }
    state.balance -= paid;
    ledger.redeemed.insert((channel, payee), cumulative);
    if payee == VAULT {
        ledger.vault += paid;
    } else {
        *ledger.wallets.entry(payee).or_default() += paid;
    }
    let kind = EventKind::Redeemed {
        channel,
        payee,
        cumulative: voucher.cumulative,
        paid: io(paid),
    };
    Double::event(ledger, hash, 0, kind);
    Ok(())
}

fn deed_of(ledger: &mut Ledger, hash: Digest, renter: Address, deed: &Deed) -> Ran {
    let kind = match deed {
        Deed::Deposit { tag, amount } => {
            take(ledger, renter, *amount)?;
            ledger.vault += amount.base();
            EventKind::Deposited {
                from: renter,
                tag: Some(*tag),
                amount: *amount,
            }
        }
        Deed::Open {
            number,
            voucher_key,
            deposit,
        } => {
            let channel = channel_address(renter, *number);
            if ledger.channels.contains_key(&channel) {
                return Err("number used");
            }
            take(ledger, renter, *deposit)?;
            let new = Escrow {
                renter,
                key: *voucher_key,
                balance: deposit.base(),
                closing_until: None,
                closed: false,
            };
            ledger.channels.insert(channel, new);
            EventKind::Opened {
                channel,
                renter,
                number: *number,
                voucher_key: *voucher_key,
                amount: *deposit,
            }
        }
        Deed::TopUp { number, amount } => {
            let channel = channel_address(renter, *number);
            let state = ledger.channels.get(&channel).ok_or("no channel")?;
            if state.closed || state.closing_until.is_some() {
                return Err("closing");
            }
            take(ledger, renter, *amount)?;
            ledger.channels.get_mut(&channel).unwrap().balance += amount.base();
            EventKind::ToppedUp {
                channel,
                renter,
                amount: *amount,
            }
        }
        Deed::StartClose { number } => {
            let channel = channel_address(renter, *number);
            let until = ledger.at + CHALLENGE_MS;
            let state = ledger.channels.get_mut(&channel).ok_or("no channel")?;
            if state.closed || state.closing_until.is_some() {
                return Err("closing");
            }
            state.closing_until = Some(until);
            EventKind::Closing {
                channel,
                renter,
                until: Timestamp::from_millis(until),
            }
        }
        Deed::FinishClose { number } => {
            let channel = channel_address(renter, *number);
            let at = ledger.at;
            let state = ledger.channels.get_mut(&channel).ok_or("no channel")?;
            if state.closed || state.closing_until.is_none_or(|until| at < until) {
                return Err("too early");
            }
            state.closed = true;
            let returned = std::mem::take(&mut state.balance);
            *ledger.wallets.entry(renter).or_default() += returned;
            EventKind::Closed {
                channel,
                renter,
                returned: io(returned),
            }
        }
        Deed::Redeem(signed) => return redeem(ledger, hash, signed),
    };
    Double::event(ledger, hash, 0, kind);
    Ok(())
}
