//! How many sockets may be open at once. Each costs memory and a file for as long as its client likes, so they are counted
//! before the upgrade.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Code;

use crate::http::problem::Refused;

/// Browsers' and workers' sockets together.
#[derive(Clone)]
pub struct Sockets {
    open: Arc<Mutex<Open>>,
    per_address: usize,
    overall: usize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One open socket; dropping it makes room for another.
#[derive(Debug)]
pub struct Seat {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

impl Sockets {
    pub fn new(per_address: usize, overall: usize) -> Self {
        Self {
            open: Arc::default(),
            per_address,
            overall,
        }
    }

    /// A place for one more socket. This machine itself is bounded by the whole number alone: it is a proxy, behind
    /// which many clients look like one.
    ///
    /// # Errors
    /// `too_many_requests` for the address, `unavailable` when there is no place for anybody.
    pub fn seat(&self, address: IpAddr) -> Result<Seat, Refused> {
        let mut open = lock(&self.open);
        if open.total >= self.overall {
            return Err(Refused::new(
                Code::Unavailable,
                "Too many connections are open at the moment. Try again in a minute.",
            ));
        }
        let own = open.by_address.get(&address).copied().unwrap_or_default();
        if own >= self.per_address && !address.is_loopback() {
            return Err(Refused::new(
                Code::TooManyRequests,
                format!(
                    "At most {} connections may be open from one address.",
                    self.per_address
                ),
            ));
        }
        open.by_address.insert(address, own.saturating_add(1));
        open.total = open.total.saturating_add(1);
        Ok(Seat {
            open: self.open.clone(),
            address,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.total = open.total.saturating_sub(1);
        if let Some(own) = open.by_address.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_bounded_for_an_address_and_for_all() {
        let sockets = Sockets::new(2, 4);
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let first = sockets.seat(a).expect("room");
        let _second = sockets.seat(a).expect("room");
        let refused = sockets.seat(a).expect_err("two already");
        assert_eq!(refused.0.code, Code::TooManyRequests);
        let _others = [sockets.seat(b), sockets.seat(b)].map(|seat| seat.expect("room"));
        let refused = sockets
            .seat(IpAddr::from([127, 0, 0, 1]))
            .expect_err("full");
        assert_eq!(refused.0.code, Code::Unavailable);
        drop(first);
        assert!(sockets.seat(a).is_ok());
        assert_eq!(lock(&sockets.open).by_address.len(), 2);
    }
}
