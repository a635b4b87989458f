//! Everything the VM knows: modules, resources and table items, in memory, with the changes of the running call apart.

use std::collections::BTreeMap;

use super::ffi::Storage;
use crate::types::{Address, ModuleId, StructTag};

/// A key that was written, or removed (`None`).
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The second part of a key, after the address. The VM writes three more kinds: 1 is a module's checksum, 3 a table's item,
/// 4 a table.
const CODE: u8 = 0;
const RESOURCE: u8 = 2;

/// The state of a chain.
#[derive(Debug, Default, Clone)]
pub struct State {
    settled: BTreeMap<Vec<u8>, Vec<u8>>,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Storage for State {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.pending.get(key) {
            Some(change) => change.clone(),
            None => self.settled.get(key).cloned(),
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.pending.insert(key, Some(value));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.pending.insert(key, None);
    }
}

fn key(address: Address, kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = address.0.to_vec();
    key.push(kind);
    key.extend_from_slice(rest);
    key
}

fn resource_key(owner: Address, tag: &StructTag) -> Vec<u8> {
    // A struct tag of our own types always has a form in BCS.
    key(owner, RESOURCE, &bcs::to_bytes(tag).unwrap_or_default())
}

impl State {
    /// A state as it was stored.
    pub fn from_entries(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        Self {
            settled: entries.into_iter().collect(),
            pending: BTreeMap::new(),
        }
    }

    /// The waiting changes become the state; they are returned for whoever stores them.
    pub fn accept(&mut self) -> Vec<Change> {
        let changes: Vec<Change> = std::mem::take(&mut self.pending).into_iter().collect();
        for (key, value) in &changes {
            match value {
                Some(value) => self.settled.insert(key.clone(), value.clone()),
                None => self.settled.remove(key),
            };
        }
        changes
    }

    /// The waiting changes never were.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// Whether the waiting changes hold a module.
    pub fn publishes(&self) -> bool {
        self.pending.keys().any(|key| key.get(32) == Some(&CODE))
    }

    /// All of it, for whoever stores it the first time.
    pub fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.settled.iter()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.settled.len()
    }

    pub fn is_empty(&self) -> bool {
        self.settled.is_empty()
    }

    /// A resource's bytes.
    pub fn resource(&self, owner: Address, tag: &StructTag) -> Option<Vec<u8>> {
        self.get(&resource_key(owner, tag))
    }

    /// Writes a resource as the chain itself, past the VM; it waits like any change.
    pub fn put_resource(&mut self, owner: Address, tag: &StructTag, value: Vec<u8>) {
        self.set(resource_key(owner, tag), value);
    }

    /// The types of an address's resources.
    pub fn resources(&self, owner: Address) -> Vec<StructTag> {
        self.below(&key(owner, RESOURCE, &[]))
            .filter_map(|rest| bcs::from_bytes(rest).ok())
            .collect()
    }

    /// A module's bytecode.
    pub fn module(&self, module: &ModuleId) -> Option<Vec<u8>> {
        let name = bcs::to_bytes(&module.name).ok()?;
        self.get(&key(module.address, CODE, &name))
    }

    /// The names of an address's modules.
    pub fn modules(&self, owner: Address) -> Vec<String> {
        self.below(&key(owner, CODE, &[]))
            .filter_map(|rest| bcs::from_bytes(rest).ok())
            .collect()
    }

    fn below<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let prefix = prefix.to_vec();
        self.settled
            .range(prefix.clone()..)
            .map_while(move |(key, _)| key.strip_prefix(prefix.as_slice()))
    }
}
