//! The slots of the model: a real `market::Book` of a few devices.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::{AccountId, DeviceId, JobId, NodeId, PricePerSecond, Seconds, Timestamp};
use market::{Book, Offer, Request, Supply, Version};
use protocol::spec::DeviceClass;

use super::model::DEVICES;

/// Which job holds each device.
pub type Holders = [Option<u8>; DEVICES];

/// The real book, asked once for each question that can come up.
#[derive(Default)]
pub struct Shop {
    taken: HashMap<(Holders, [bool; DEVICES], usize), Option<usize>>,
    freed: HashMap<(Holders, usize, usize), bool>,
}

impl Shop {
    pub fn take(
        &mut self,
        holders: &mut Holders,
        linked: [bool; DEVICES],
        job: usize,
    ) -> Option<usize> {
        let key = (*holders, linked, job);
        let found = self.taken.entry(key).or_insert_with(|| {
            let mut book = book(*holders, linked);
            let best = book.best(&Request::default())?.device;
            assert!(book.take(best, job_id(job)), "what is chosen is free");
            assert_eq!(book.get(best).unwrap().holder, Some(job_id(job)));
            (0..DEVICES).find(|n| device_id(*n) == best)
        });
        let found = (*found)?;
        holders[found] = Some(number(job));
        Some(found)
    }

    pub fn free(&mut self, holders: &mut Holders, device: usize, job: usize) {
        let key = (*holders, device, job);
        let freed = *self.freed.entry(key).or_insert_with(|| {
            let mut book = book(*holders, [true; DEVICES]);
            book.free(device_id(device), job_id(job))
                && book.get(device_id(device)).unwrap().holder.is_none()
        });
        if freed {
            holders[device] = None;
        }
    }

    /// As `Book::set_holder` does, whoever had it.
    pub fn hold(holders: &mut Holders, device: usize, job: usize) {
        holders[device] = Some(number(job));
    }
}

fn device_id(n: usize) -> DeviceId {
    DeviceId::new(Timestamp::from_millis(1), [number(n); 10])
}

fn job_id(n: usize) -> JobId {
    JobId::new(Timestamp::from_millis(2), [number(n); 10])
}

fn book(holders: Holders, linked: [bool; DEVICES]) -> Book {
    let offer = |n: usize| Offer {
        device: device_id(n),
        node: NodeId::new(Timestamp::from_millis(3), [number(n); 10]),
        owner: AccountId::new(Timestamp::from_millis(4), [number(n); 10]),
        class: DeviceClass::Cpu,
        model: Arc::from("Test CPU"),
        device_memory_mib: 0,
        cards: 1,
        driver: Version::default(),
        cuda: Version::default(),
        cpus: 1,
        memory_mib: 1,
        disk_mib: 1,
        up_mbit: 0,
        down_mbit: 0,
        country: None,
        group: None,
        reputation: 50,
        verified: 0,
        watts: 0,
        min_duration: Seconds::ZERO,
        max_duration: None,
        price: PricePerSecond::default(),
        joined_at: Timestamp::from_millis(5),
        supply: if linked[n] {
            Supply::Offered
        } else {
            Supply::Down
        },
        holder: holders[n].map(|job| job_id(usize::from(job))),
    };
    (0..DEVICES).map(offer).collect()
}

fn number(n: usize) -> u8 {
    u8::try_from(n).unwrap()
}
