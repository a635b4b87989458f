//! What the worker signs, written and read; docs/receipts.md gives the fields in their order.

use kernel::{
    Amount, DeviceId, Energy, Epoch, JobId, LeaseId, NodeId, PricePerSecond, Seconds, Timestamp,
};
use protocol::view::Receipt;

use super::ReceiptError;

const WORKER_DOMAIN: &[u8] = b"iog.receipt.v1\0";
const WORKER_DOMAIN_2: &[u8] = b"iog.receipt.v2\0";

/// The bytes that the worker signs.
///
/// # Errors
/// [`ReceiptError::Previous`].
pub fn signed_bytes(receipt: &Receipt) -> Result<Vec<u8>, ReceiptError> {
    let mut previous = [0; 32];
    hex::decode_to_slice(&receipt.previous, &mut previous).map_err(|_| ReceiptError::Previous)?;
    let mut bytes = Vec::with_capacity(192);
    bytes.extend_from_slice(match receipt.energy_mj {
        None => WORKER_DOMAIN,
        Some(_) => WORKER_DOMAIN_2,
    });
    bytes.extend_from_slice(receipt.lease.as_bytes());
    bytes.extend_from_slice(receipt.job.as_bytes());
    bytes.extend_from_slice(receipt.node.as_bytes());
    bytes.extend_from_slice(receipt.device.as_bytes());
    bytes.extend_from_slice(&receipt.epoch.get().to_be_bytes());
    bytes.extend_from_slice(&receipt.seq.to_be_bytes());
    bytes.extend_from_slice(&receipt.seconds.get().to_be_bytes());
    bytes.extend_from_slice(&receipt.price.per_second().base().to_be_bytes());
    bytes.extend_from_slice(&receipt.amount.base().to_be_bytes());
    if let Some(energy) = receipt.energy_mj {
        bytes.extend_from_slice(&energy.millijoules().to_be_bytes());
    }
    bytes.push(u8::from(receipt.last));
    bytes.extend_from_slice(&receipt.issued_at.millis().to_be_bytes());
    bytes.extend_from_slice(&previous);
    Ok(bytes)
}

/// Reads what a worker signed; the signatures are the caller's to add.
///
/// # Errors
/// [`ReceiptError::Bytes`] when these are not the bytes of a receipt, to the last one.
pub fn from_bytes(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
    let mut reader = Reader { rest: bytes };
    let domain: [u8; 15] = reader.take()?;
    let tells_energy = match domain.as_slice() {
        WORKER_DOMAIN => false,
        WORKER_DOMAIN_2 => true,
        _ => return Err(ReceiptError::Bytes),
    };
    // Fields are read in the order in which they are written here.
    let receipt = Receipt {
        lease: LeaseId::from_bytes(reader.take()?),
        job: JobId::from_bytes(reader.take()?),
        node: NodeId::from_bytes(reader.take()?),
        device: DeviceId::from_bytes(reader.take()?),
        epoch: Epoch::new(reader.number()?),
        seq: reader.number()?,
        seconds: Seconds::new(reader.number()?),
        price: PricePerSecond::from_amount(reader.amount()?),
        amount: reader.amount()?,
        energy_mj: if tells_energy {
            let energy = Energy::try_new(reader.number()?).map_err(|_| ReceiptError::Bytes)?;
            Some(energy)
        } else {
            None
        },
        last: match reader.take()? {
            [0] => false,
            [1] => true,
            [_] => return Err(ReceiptError::Bytes),
        },
        issued_at: Timestamp::from_millis(i64::from_be_bytes(reader.take()?)),
        previous: hex::encode(reader.take::<32>()?),
        worker_signature: String::new(),
        platform_signature: None,
    };
    if reader.rest.is_empty() {
        Ok(receipt)
    } else {
        Err(ReceiptError::Bytes)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ReceiptError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ReceiptError::Bytes)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, ReceiptError> {
        self.take().map(u64::from_be_bytes)
    }

    fn amount(&mut self) -> Result<Amount, ReceiptError> {
        Amount::try_from_base(i64::from_be_bytes(self.take()?)).map_err(|_| ReceiptError::Bytes)
    }
}
