//! Addresses and Move types, in their text forms and their bytes (BCS), exactly Aptos's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no address, type or name of a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// An account's or object's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub [u8; 32]);

impl Address {
    /// 0x1, where the framework lives.
    pub const FRAMEWORK: Self = Self::small(1);

    /// An address such as 0x1 or 0xa.
    pub const fn small(last: u8) -> Self {
        let mut bytes = [0; 32];
        bytes[31] = last;
        Self(bytes)
    }

    /// All 64 digits.
    pub fn long(&self) -> String {
        format!("0x{}", hex::encode(self.0))
    }

    /// 0x0 to 0xf, which are written short.
    pub fn is_special(&self) -> bool {
        self.0[..31].iter().all(|byte| *byte == 0) && self.0[31] < 16
    }
}

impl fmt::Display for Address {
    /// As Aptos's REST writes it: without leading zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let short = digits.trim_start_matches('0');
        write!(f, "0x{}", if short.is_empty() { "0" } else { short })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() || digits.len() > 64 {
            return Err(ParseError::new(format!(
                "{text:?} is no address: 1 to 64 hexadecimal digits after 0x are wanted"
            )));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes)
            .map_err(|_| ParseError::new(format!("{text:?} is no address: not hexadecimal")))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// A module's address and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId {
    pub address: Address,
    pub name: String,
}

impl ModuleId {
    pub fn new(address: Address, name: &str) -> Self {
        Self {
            address,
            name: name.into(),
        }
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.address, self.name)
    }
}

impl fmt::Debug for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ModuleId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (address, name) = text
            .split_once("::")
            .ok_or_else(|| ParseError::new(format!("{text:?} is no module: address::name")))?;
        Ok(Self::new(address.parse()?, identifier(name)?))
    }
}

fn identifier(text: &str) -> Result<&str, ParseError> {
    let mut letters = text.chars();
    let first = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text)
    } else {
        Err(ParseError::new(format!("{text:?} is no name in Move")))
    }
}

/// The order of the variants is their number in BCS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TypeTag {
    Bool,
    U8,
    U64,
    U128,
    Address,
    Signer,
    Vector(Box<TypeTag>),
    Struct(Box<StructTag>),
    U16,
    U32,
    U256,
}

/// A struct's type with its parameters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StructTag {
    pub address: Address,
    pub module: String,
    pub name: String,
    pub parameters: Vec<TypeTag>,
}

impl StructTag {
    /// A struct without parameters.
    pub fn plain(address: Address, module: &str, name: &str) -> Self {
        Self {
            address,
            module: module.into(),
            name: name.into(),
            parameters: Vec::new(),
        }
    }
}

impl fmt::Display for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::U8 => f.write_str("u8"),
            Self::U16 => f.write_str("u16"),
            Self::U32 => f.write_str("u32"),
            Self::U64 => f.write_str("u64"),
            Self::U128 => f.write_str("u128"),
            Self::U256 => f.write_str("u256"),
            Self::Address => f.write_str("address"),
            Self::Signer => f.write_str("signer"),
            Self::Vector(inner) => write!(f, "vector<{inner}>"),
            Self::Struct(tag) => write!(f, "{tag}"),
        }
    }
}

impl fmt::Display for StructTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}::{}", self.address, self.module, self.name)?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            write!(f, "{}{parameter}", if index == 0 { "<" } else { ", " })?;
        }
        if !self.parameters.is_empty() {
            f.write_str(">")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for StructTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// No type that people write is nested deeper.
const DEEPEST: usize = 8;

impl FromStr for TypeTag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (tag, rest) = tag(text, 0)?;
        if rest.trim().is_empty() {
            Ok(tag)
        } else {
            Err(ParseError::new(format!(
                "{text:?} is no type: {rest:?} is left over"
            )))
        }
    }
}

impl FromStr for StructTag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse()? {
            TypeTag::Struct(tag) => Ok(*tag),
            _ => Err(ParseError::new(format!("{text:?} is no struct type"))),
        }
    }
}

fn tag(text: &str, depth: usize) -> Result<(TypeTag, &str), ParseError> {
    if depth > DEEPEST {
        return Err(ParseError::new("the type is nested too deeply"));
    }
    let text = text.trim_start();
    let end = text.find(['<', '>', ',']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let word = word.trim_end();
    let tag = match word {
        "bool" => TypeTag::Bool,
        "u8" => TypeTag::U8,
        "u16" => TypeTag::U16,
        "u32" => TypeTag::U32,
        "u64" => TypeTag::U64,
        "u128" => TypeTag::U128,
        "u256" => TypeTag::U256,
        "address" => TypeTag::Address,
        "signer" => TypeTag::Signer,
        "vector" => {
            let (mut inner, rest) = parameters(rest, depth)?;
            let (Some(inner), true) = (inner.pop(), inner.is_empty()) else {
                return Err(ParseError::new("a vector has one parameter"));
            };
            return Ok((TypeTag::Vector(Box::new(inner)), rest));
        }
        path => {
            let mut parts = path.split("::");
            let (Some(address), Some(module), Some(name), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(ParseError::new(format!("{word:?} is no type")));
            };
            let (parameters, rest) = parameters(rest, depth)?;
            let tag = StructTag {
                address: address.parse()?,
                module: identifier(module)?.into(),
                name: identifier(name)?.into(),
                parameters,
            };
            return Ok((TypeTag::Struct(Box::new(tag)), rest));
        }
    };
    Ok((tag, rest))
}

fn parameters(text: &str, depth: usize) -> Result<(Vec<TypeTag>, &str), ParseError> {
    let mut found = Vec::new();
    let Some(mut rest) = text.strip_prefix('<') else {
        return Ok((found, text));
    };
    loop {
        let (parameter, after) = tag(rest, depth + 1)?;
        found.push(parameter);
        let after = after.trim_start();
        if let Some(after) = after.strip_prefix(',') {
            rest = after;
        } else if let Some(after) = after.strip_prefix('>') {
            return Ok((found, after));
        } else {
            return Err(ParseError::new("a type's parameters end with >"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_short_and_long_and_writes_without_leading_zeros() {
        assert_eq!("0x1".parse(), Ok(Address::FRAMEWORK));
        assert_eq!(Address::FRAMEWORK.long().parse(), Ok(Address::FRAMEWORK));
        assert_eq!(Address::FRAMEWORK.to_string(), "0x1");
        assert_eq!(Address::default().to_string(), "0x0");
        assert_eq!("cafe".parse::<Address>().unwrap().to_string(), "0xcafe");
        for bad in ["", "0x", "0xg", &"1".repeat(65)] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_type_is_the_same_after_text_and_after_bytes() {
        for text in [
            "u64",
            "vector<vector<u8>>",
            "0x1::object::Object<0x1::fungible_asset::Metadata>",
            "0x1::table::Table<address, vector<0xcafe::m::S<bool, u256>>>",
        ] {
            let tag: TypeTag = text.parse().unwrap();
            assert_eq!(tag.to_string(), text);
            let bytes = bcs::to_bytes(&tag).unwrap();
            assert_eq!(bcs::from_bytes::<TypeTag>(&bytes).unwrap(), tag);
        }
        let deep = format!("{}u8{}", "vector<".repeat(50), ">".repeat(50));
        for bad in [
            "",
            "u65",
            "vector",
            "vector<u8",
            "vector<u8>>",
            "0x1::a",
            "0x1::a::B<>",
            "0x1::a b::C",
            &deep,
        ] {
            assert!(bad.parse::<TypeTag>().is_err(), "{bad}");
        }
    }
}
