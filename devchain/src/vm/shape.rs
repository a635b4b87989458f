//! From the VM's JSON to that of Aptos's REST.
//!
//! The VM writes bytes as bare hexadecimal, an option as its value or null and an object as its address; Aptos writes
//! `0x…`, `{"vec": […]}` and `{"inner": …}`. Which is meant is known from the types in the modules' interfaces.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, Event, Vm};
use crate::types::{Address, ModuleId, StructTag, TypeTag};

/// The interfaces of modules that were asked for, kept until something is published.
#[derive(Default)]
pub struct Interfaces {
    known: BTreeMap<ModuleId, Option<Value>>,
}

impl Interfaces {
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

impl Vm {
    fn interface(&mut self, module: &ModuleId) -> Option<&Value> {
        if !self.interfaces.known.contains_key(module) {
            let abi = self.abi(module).ok().flatten();
            self.interfaces.known.insert(module.clone(), abi);
        }
        self.interfaces.known.get(module)?.as_ref()
    }

    /// The names and types of a struct's fields.
    pub(crate) fn fields(&mut self, tag: &StructTag) -> Option<Vec<(String, TypeTag)>> {
        let abi = self.interface(&ModuleId::new(tag.address, &tag.module))?;
        let found = abi["structs"]
            .as_array()?
            .iter()
            .find(|structure| structure["name"] == tag.name.as_str())?;
        found["fields"]
            .as_array()?
            .iter()
            .map(|field| {
                let name = field["name"].as_str()?.to_owned();
                Some((name, resolve(field["type"].as_str()?, &tag.parameters)?))
            })
            .collect()
    }

    /// The types of what a public function takes (`params`) or returns (`return`).
    pub(crate) fn signature(&mut self, call: &Call, part: &str) -> Option<Vec<String>> {
        let abi = self.interface(&call.module)?;
        let found = abi["exposed_functions"]
            .as_array()?
            .iter()
            .find(|function| function["name"] == call.function.as_str())?;
        found[part]
            .as_array()?
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect()
    }

    pub(super) fn shape_event(&mut self, event: &mut Event) {
        if let Ok(tag) = event.tag.parse::<TypeTag>() {
            let data = std::mem::take(&mut event.data);
            event.data = self.shape(&tag, data);
        }
    }

    pub(super) fn shape_returned(&mut self, call: &Call, value: Value) -> Vec<Value> {
        let types: Vec<TypeTag> = self
            .signature(call, "return")
            .unwrap_or_default()
            .iter()
            .filter_map(|text| resolve(text, &call.type_arguments))
            .collect();
        // One value comes bare, several as an array.
        let values = match value {
            Value::Array(values) if types.len() != 1 => values,
            single => vec![single],
        };
        values
            .into_iter()
            .enumerate()
            .map(|(index, value)| match types.get(index) {
                Some(tag) => self.shape(tag, value),
                None => value,
            })
            .collect()
    }

    fn shape(&mut self, tag: &TypeTag, value: Value) -> Value {
        match (tag, value) {
            (TypeTag::Vector(inner), Value::String(text)) if **inner == TypeTag::U8 => {
                Value::String(format!("0x{}", text.trim_start_matches("0x")))
            }
            (TypeTag::Vector(inner), Value::Array(values)) => values
                .into_iter()
                .map(|value| self.shape(inner, value))
                .collect(),
            (TypeTag::Struct(tag), value) if tag.address == Address::FRAMEWORK => {
                match (tag.module.as_str(), tag.name.as_str(), value) {
                    ("option", "Option", Value::Null) => json!({"vec": []}),
                    ("option", "Option", value)
                        if !value.is_object() || value.get("vec").is_none() =>
                    {
                        let inner = match tag.parameters.first() {
                            Some(inner) => self.shape(inner, value),
                            None => value,
                        };
                        json!({"vec": [inner]})
                    }
                    ("object", "Object", Value::String(address)) => json!({"inner": address}),
                    (_, _, value) => self.shape_fields(tag, value),
                }
            }
            (TypeTag::Struct(tag), value) => self.shape_fields(tag, value),
            (_, value) => value,
        }
    }

    fn shape_fields(&mut self, tag: &StructTag, value: Value) -> Value {
        let Value::Object(mut members) = value else {
            return value;
        };
        for (name, tag) in self.fields(tag).unwrap_or_default() {
            if let Some(member) = members.get_mut(&name) {
                let bare = member.take();
                *member = self.shape(&tag, bare);
            }
        }
        Value::Object(members)
    }
}

/// A type as an interface writes it, with `T0`, `T1`… replaced.
pub(crate) fn resolve(text: &str, parameters: &[TypeTag]) -> Option<TypeTag> {
    let mut whole = String::new();
    let mut word = String::new();
    let finish = |word: &mut String, whole: &mut String| {
        let parameter = word
            .strip_prefix('T')
            .and_then(|index| index.parse::<usize>().ok())
            .and_then(|index| parameters.get(index));
        match parameter {
            Some(tag) => whole.push_str(&tag.to_string()),
            None => whole.push_str(word),
        }
        word.clear();
    };
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            word.push(letter);
        } else {
            finish(&mut word, &mut whole);
            whole.push(letter);
        }
    }
    finish(&mut word, &mut whole);
    whole.trim_start_matches('&').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_put_in() {
        let resolved = resolve(
            "vector<0x1::object::Object<T1>>",
            &[TypeTag::U8, TypeTag::U64],
        );
        assert_eq!(
            resolved.map(|tag| tag.to_string()).as_deref(),
            Some("vector<0x1::object::Object<u64>>")
        );
        assert_eq!(resolve("T2", &[TypeTag::U8]), None);
    }
}
