//! Whether the contract that a chain holds is the one that was compiled for this program.
//!
//! A module's hash is over its bytecode as a chain runs it: without the table in which compilers note themselves and an interface
//! for tools, and with the contract's own address left open, since each network has another.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::{Address, Digest, HexError};

/// What the build carries: a line for each module, its name and its hash. A test of `chain-aptos` compiles the contracts and
/// compares.
const BUILT: &str = include_str!("../../../contracts/code.txt");
const DOMAIN: &[u8] = b"IOG_CODE::";
const MAGIC: [u8; 4] = [0xa1, 0x1c, 0xeb, 0x0b];
/// The table that changes nothing of what is run.
const METADATA: u8 = 0x10;

/// Why a code cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("the bytes of module {0} are no compiled Move module")]
    Module(String),
    #[error("a line of the compiled code is not a name and a hash: {0}")]
    Line(#[from] HexError),
}

/// The modules of a contract, each by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(BTreeMap<String, Digest>);

impl Code {
    /// What was compiled for this program.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn built() -> Result<Self, CodeError> {
        let lines = BUILT.lines().filter(|line| !line.trim().is_empty());
        let modules = lines.map(|line| {
            let (name, hash) = line.split_once(' ').ok_or(HexError::Digest)?;
            Ok((name.to_owned(), hash.trim().parse()?))
        });
        Ok(Self(modules.collect::<Result<_, CodeError>>()?))
    }

    /// Of all modules at a contract's address: one more than was compiled is another code, since modules of a package trust one
    /// another.
    ///
    /// # Errors
    /// Bytes that are no module.
    pub fn of<'a>(
        modules: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        contract: Address,
    ) -> Result<Self, CodeError> {
        let hashed = modules.into_iter().map(|(name, bytes)| {
            let hash = hash(bytes, contract).ok_or_else(|| CodeError::Module(name.to_owned()))?;
            Ok((name.to_owned(), hash))
        });
        Ok(Self(hashed.collect::<Result<_, CodeError>>()?))
    }

    /// Over the names and hashes of all modules.
    pub fn hash(&self) -> Digest {
        Digest::of(&[DOMAIN, self.to_string().as_bytes()])
    }
}

/// The lines of the file that a build carries.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, hash) in &self.0 {
            writeln!(f, "{name} {hash}")?;
        }
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// An unsigned number, seven bits a byte, lowest first.
    fn number(&mut self) -> Option<usize> {
        let mut value: u64 = 0;
        for shift in (0_u32..63).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }
}

fn hash(module: &[u8], contract: Address) -> Option<Digest> {
    let mut reader = Reader(module);
    if reader.take(4)? != MAGIC {
        return None;
    }
    let version = reader.take(4)?;
    let mut tables = BTreeMap::new();
    let mut end = 0_usize;
    for _ in 0..reader.number()? {
        let kind = *reader.take(1)?.first()?;
        let (offset, length) = (reader.number()?, reader.number()?);
        let behind = offset.checked_add(length)?;
        end = end.max(behind);
        if tables.insert(kind, offset..behind).is_some() {
            return None;
        }
    }
    let contents = reader.0;
    tables.remove(&METADATA);
    let mut out = version.to_vec();
    for (kind, range) in tables {
        let (bytes, places) = open_address(contents.get(range)?, contract);
        out.push(kind);
        let numbers = [&[bytes.len(), places.len()], places.as_slice()].concat();
        for number in numbers {
            out.extend(u64::try_from(number).ok()?.to_le_bytes());
        }
        out.extend(bytes);
    }
    // After the tables: which of its handles is the module itself.
    out.extend(contents.get(end..)?);
    Some(Digest::of(&[DOMAIN, &out]))
}

/// The bytes with zeros where the address stood, and where that was.
fn open_address(bytes: &[u8], contract: Address) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut places) = (Vec::with_capacity(bytes.len()), Vec::new());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(contract.as_bytes().as_slice()) {
            places.push(out.len());
            out.extend([0; 32]);
            rest = behind;
        } else {
            out.push(*first);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    (out, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module of three tables: addresses, code, and what the compiler noted.
    fn module(address: [u8; 32], code: &[u8], noted: &[u8]) -> Vec<u8> {
        let mut tables = Vec::new();
        let mut contents = Vec::new();
        for (kind, bytes) in [(0x8, address.as_slice()), (0xc, code), (METADATA, noted)] {
            tables.push(kind);
            tables.push(u8::try_from(contents.len()).expect("small"));
            tables.push(u8::try_from(bytes.len()).expect("small"));
            contents.extend_from_slice(bytes);
        }
        [&MAGIC[..], &[7, 0, 0, 0], &[3], &tables, &contents, &[0]].concat()
    }

    fn of(bytes: &[u8], address: u8) -> Digest {
        Code::of([("token", bytes)], Address::from_bytes([address; 32]))
            .expect("a module")
            .hash()
    }

    #[test]
    fn the_same_code_at_another_address_is_the_same() {
        let one = of(&module([5; 32], b"pay", b"compiler 1"), 5);
        assert_eq!(
            one,
            of(&module([6; 32], b"pay", b"compiler 2, with more"), 6)
        );
        assert_ne!(one, of(&module([5; 32], b"say", b"compiler 1"), 5));
        // An address that is not the contract's is part of the code.
        assert_ne!(one, of(&module([6; 32], b"pay", b"compiler 1"), 5));
        // Nor can zeros stand in for it.
        assert_ne!(one, of(&module([0; 32], b"pay", b"compiler 1"), 5));
    }

    #[test]
    fn one_more_module_is_another_code() {
        let bytes = module([5; 32], b"pay", b"");
        let contract = Address::from_bytes([5; 32]);
        let one = Code::of([("token", bytes.as_slice())], contract).expect("a module");
        let two = [("token", bytes.as_slice()), ("more", bytes.as_slice())];
        assert_ne!(one, Code::of(two, contract).expect("modules"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let whole = module([5; 32], b"pay", b"");
        let contract = Address::from_bytes([5; 32]);
        for bytes in [&whole[..20], &whole[..3], b"", &[0; 64]] {
            let error = Code::of([("token", bytes)], contract);
            assert_eq!(error, Err(CodeError::Module("token".to_owned())));
        }
    }

    #[test]
    fn what_the_build_carries_can_be_read() {
        let built = Code::built().expect("a code");
        assert_eq!(built.to_string(), BUILT);
        assert_eq!(built.0.len(), 5);
    }
}
