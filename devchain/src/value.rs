//! Values in JSON, as people send them to a view, into BCS.

use serde_json::Value;

use crate::types::{Address, TypeTag};
use crate::vm::Vm;

/// A value of a type in BCS.
///
/// # Errors
/// The value is none of that type, in words for the one who sent it.
pub fn encode(vm: &mut Vm, tag: &TypeTag, value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(vm, tag, value, &mut out)?;
    Ok(out)
}

fn write(vm: &mut Vm, tag: &TypeTag, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || format!("{value} is no {tag}");
    match tag {
        TypeTag::Bool => out.push(u8::from(value.as_bool().ok_or_else(wrong)?)),
        TypeTag::U8 => out.push(integer(value).ok_or_else(wrong)?),
        TypeTag::U16 => out.extend(integer::<u16>(value).ok_or_else(wrong)?.to_le_bytes()),
        TypeTag::U32 => out.extend(integer::<u32>(value).ok_or_else(wrong)?.to_le_bytes()),
        TypeTag::U64 => out.extend(integer::<u64>(value).ok_or_else(wrong)?.to_le_bytes()),
        TypeTag::U128 => out.extend(integer::<u128>(value).ok_or_else(wrong)?.to_le_bytes()),
        TypeTag::U256 => {
            // Nobody here sends more than 128 bits; more is refused rather than cut.
            out.extend(integer::<u128>(value).ok_or_else(wrong)?.to_le_bytes());
            out.extend([0; 16]);
        }
        TypeTag::Address => out.extend(address(value).ok_or_else(wrong)?.0),
        TypeTag::Signer => return Err("a signer cannot be given as a value".into()),
        TypeTag::Vector(inner) => match value {
            Value::String(text) if **inner == TypeTag::U8 => {
                let bytes =
                    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| wrong())?;
                length(bytes.len(), out);
                out.extend(bytes);
            }
            Value::Array(values) => {
                length(values.len(), out);
                for value in values {
                    write(vm, inner, value, out)?;
                }
            }
            _ => return Err(wrong()),
        },
        TypeTag::Struct(structure) => {
            let framework = structure.address == Address::FRAMEWORK;
            match (
                framework,
                structure.module.as_str(),
                structure.name.as_str(),
            ) {
                (true, "string", "String") => {
                    let text = value.as_str().ok_or_else(wrong)?;
                    length(text.len(), out);
                    out.extend(text.as_bytes());
                }
                (true, "object", "Object") => {
                    let inner = value.get("inner").unwrap_or(value);
                    out.extend(address(inner).ok_or_else(wrong)?.0);
                }
                (true, "option", "Option") => {
                    let inner = structure.parameters.first().ok_or_else(wrong)?;
                    let held = match value {
                        Value::Null => None,
                        value => match value.get("vec").and_then(Value::as_array) {
                            Some(held) => held.first(),
                            None => Some(value),
                        },
                    };
                    length(usize::from(held.is_some()), out);
                    if let Some(held) = held {
                        write(vm, inner, held, out)?;
                    }
                }
                _ => {
                    let fields = vm
                        .fields(structure)
                        .ok_or_else(|| format!("the type {tag} is not known"))?;
                    for (name, tag) in fields {
                        let field = value.get(&name).ok_or_else(wrong)?;
                        write(vm, &tag, field, out)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn integer<T: std::str::FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn address(value: &Value) -> Option<Address> {
    value.as_str()?.parse().ok()
}

/// A length as BCS writes it: seven bits a byte, lowest first.
fn length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or_default());
}
