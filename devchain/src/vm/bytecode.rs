//! The little that must be read out of compiled modules: who they are and whom they use.

use std::collections::{BTreeMap, BTreeSet};

use super::VmError;
use crate::types::{Address, ModuleId};

const MAGIC: [u8; 4] = [0xa1, 0x1c, 0xeb, 0x0b];
const MODULE_HANDLES: u8 = 0x1;
const IDENTIFIERS: u8 = 0x7;
const ADDRESSES: u8 = 0x8;

/// A module's own name, and the modules it uses.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    pub id: ModuleId,
    pub uses: Vec<ModuleId>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// An unsigned number, seven bits a byte, lowest first.
    fn number(&mut self) -> Option<usize> {
        let mut value: u64 = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }
}

/// # Errors
/// The bytes are no compiled module.
pub fn header(module: &[u8]) -> Result<Header, VmError> {
    read(module).ok_or_else(|| VmError::Refused("these bytes are no compiled Move module".into()))
}

fn read(module: &[u8]) -> Option<Header> {
    let mut reader = Reader(module);
    if reader.take(4)? != MAGIC {
        return None;
    }
    reader.take(4)?;
    let mut tables = BTreeMap::new();
    let mut end = 0;
    for _ in 0..reader.number()? {
        let kind = reader.byte()?;
        let (offset, length) = (reader.number()?, reader.number()?);
        end = end.max(offset.checked_add(length)?);
        tables.insert(kind, (offset, length));
    }
    let contents = reader.0;
    let table = |kind: u8| -> Option<Reader<'_>> {
        let (offset, length) = tables.get(&kind).copied().unwrap_or_default();
        contents
            .get(offset..offset.checked_add(length)?)
            .map(Reader)
    };

    let mut names = Vec::new();
    let mut identifiers = table(IDENTIFIERS)?;
    while !identifiers.0.is_empty() {
        let length = identifiers.number()?;
        names.push(String::from_utf8(identifiers.take(length)?.to_vec()).ok()?);
    }
    let addresses: Vec<Address> = table(ADDRESSES)?
        .0
        .chunks_exact(32)
        .filter_map(|bytes| bytes.try_into().ok().map(Address))
        .collect();
    let mut modules = Vec::new();
    let mut handles = table(MODULE_HANDLES)?;
    while !handles.0.is_empty() {
        let (address, name) = (handles.number()?, handles.number()?);
        modules.push(ModuleId::new(*addresses.get(address)?, names.get(name)?));
    }
    // After the tables: which handle is the module itself.
    let own = Reader(contents.get(end..)?).number()?;
    if own >= modules.len() {
        return None;
    }
    let id = modules.remove(own);
    Some(Header { id, uses: modules })
}

/// The modules in an order in which each comes after those it uses.
///
/// # Errors
/// One of them is no compiled module, or they use one another in a circle.
pub fn in_order(modules: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, VmError> {
    let mut waiting = BTreeMap::new();
    for module in modules {
        let Header { id, uses } = header(&module)?;
        waiting.insert(id, (uses, module));
    }
    let inside: BTreeSet<ModuleId> = waiting.keys().cloned().collect();
    let mut placed = BTreeSet::new();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<ModuleId> = waiting
            .iter()
            .filter(|(_, (uses, _))| {
                uses.iter()
                    .all(|used| placed.contains(used) || !inside.contains(used))
            })
            .map(|(id, _)| id.clone())
            .collect();
        if ready.is_empty() {
            return Err(VmError::Refused(format!(
                "these modules use one another in a circle: {:?}",
                waiting.keys()
            )));
        }
        for id in ready {
            if let Some((_, module)) = waiting.remove(&id) {
                ordered.push(module);
            }
            placed.insert(id);
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_module_are_refused() {
        for bytes in [
            &b""[..],
            &MAGIC[..],
            b"\xa1\x1c\xeb\x0b\x07\0\0\x0a\x05\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01",
        ] {
            assert!(header(bytes).is_err(), "{bytes:?}");
        }
    }
}
