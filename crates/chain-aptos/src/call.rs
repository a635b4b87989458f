//! Orders and deeds as calls of the contract.

use serde::Serialize;
use settlement::chain::{Deed, Order};
use settlement::{Address, ChainError, SignedVoucher};

use crate::bytes::{EntryFunction, ModuleId};

/// What people's own transactions may call at the platform's expense.
pub const OF_PEOPLE: [(&str, &str); 6] = [
    ("settlement", "deposit"),
    ("escrow", "open"),
    ("escrow", "top_up"),
    ("escrow", "start_close"),
    ("escrow", "finish_close"),
    ("escrow", "redeem"),
];

fn internal(error: &bcs::Error) -> ChainError {
    ChainError::NotOurs(format!("it cannot be written down: {error}"))
}

struct Arguments(Result<Vec<Vec<u8>>, bcs::Error>);

impl Arguments {
    fn new() -> Self {
        Self(Ok(Vec::new()))
    }

    fn with(mut self, argument: &(impl Serialize + ?Sized)) -> Self {
        self.0 = self.0.and_then(|mut arguments| {
            arguments.push(bcs::to_bytes(argument)?);
            Ok(arguments)
        });
        self
    }

    fn of(
        self,
        contract: Address,
        module: &str,
        function: &str,
    ) -> Result<EntryFunction, ChainError> {
        Ok(EntryFunction {
            module: ModuleId {
                address: *contract.as_bytes(),
                name: module.to_owned(),
            },
            function: function.to_owned(),
            type_arguments: Vec::new(),
            arguments: self.0.map_err(|error| internal(&error))?,
        })
    }
}

fn units(amount: kernel::Amount) -> u64 {
    amount.base().unsigned_abs()
}

fn redeem(contract: Address, signed: &SignedVoucher) -> Result<EntryFunction, ChainError> {
    let signature = signed
        .signature_bytes()
        .map_err(|error| ChainError::NotOurs(error.to_string()))?;
    Arguments::new()
        .with(signed.voucher.channel.as_bytes())
        .with(signed.voucher.payee.as_bytes())
        .with(&units(signed.voucher.cumulative))
        .with(signature.as_slice())
        .of(contract, "escrow", "redeem")
}

pub fn of_order(contract: Address, order: Order<'_>) -> Result<EntryFunction, ChainError> {
    match order {
        Order::Pay(batch) => {
            let lines = batch.lines();
            let payees: Vec<&[u8; 32]> = lines.iter().map(|line| line.payee.as_bytes()).collect();
            let amounts: Vec<u64> = lines.iter().map(|line| units(line.amount)).collect();
            Arguments::new()
                .with(batch.id().as_bytes().as_slice())
                .with(&payees)
                .with(&amounts)
                .of(contract, "settlement", "pay")
        }
        Order::Publish(heading) => Arguments::new()
            .with(&heading.week.day())
            .with(&heading.version)
            .with(heading.root.as_bytes().as_slice())
            .with(&units(heading.total))
            .with(&heading.owners)
            .of(contract, "reports", "publish"),
        Order::Redeem(signed) => redeem(contract, signed),
    }
}

/// What the contract's admin calls to give a role.
pub fn of_role(contract: Address, role: &str, to: Address) -> Result<EntryFunction, ChainError> {
    Arguments::new()
        .with(to.as_bytes())
        .of(contract, "roles", &format!("add_{role}"))
}

pub fn of_deed(contract: Address, deed: &Deed) -> Result<EntryFunction, ChainError> {
    let arguments = Arguments::new();
    match deed {
        Deed::Deposit { tag, amount } => arguments
            .with(tag.as_bytes().as_slice())
            .with(&units(*amount))
            .of(contract, "settlement", "deposit"),
        Deed::Open {
            number,
            voucher_key,
            deposit,
        } => arguments
            .with(number)
            .with(voucher_key.as_slice())
            .with(&units(*deposit))
            .of(contract, "escrow", "open"),
        Deed::TopUp { number, amount } => arguments
            .with(number)
            .with(&units(*amount))
            .of(contract, "escrow", "top_up"),
        Deed::StartClose { number } => arguments.with(number).of(contract, "escrow", "start_close"),
        Deed::FinishClose { number } => {
            arguments
                .with(number)
                .of(contract, "escrow", "finish_close")
        }
        Deed::Redeem(signed) => redeem(contract, signed),
    }
}
