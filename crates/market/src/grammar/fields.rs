//! The table of fields: what they are called, what can be said about them.

use super::lexer::Op;
use super::{Fault, suggest};
use crate::filter::Number;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Gpu,
    Class,
    Country,
    Region,
    Group,
    Number(Number),
    /// The job's length, which an offer must take.
    Duration,
    Count,
    Nodes,
    Near,
    Spread,
    Kind,
}

impl Field {
    /// What can be said but once.
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Self::Duration | Self::Count | Self::Nodes | Self::Near | Self::Spread | Self::Kind
        )
    }
}

/// A field as people are told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHelp {
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// The operators that it takes, with blanks between.
    pub operators: &'static str,
    /// Units or values, and what a bare number means.
    pub unit: &'static str,
    pub example: &'static str,
    pub(super) field: Field,
}

impl FieldHelp {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    pub(super) fn allows(&self, op: Op) -> bool {
        self.operators
            .split(' ')
            .any(|symbol| symbol == op.symbol())
    }

    pub(super) fn not_allowed(&self) -> Fault {
        let Self {
            name,
            operators,
            example,
            ..
        } = self;
        let fault = Fault::new(format!(
            "`{name}` takes only {operators}; write it like `{example}`"
        ));
        if self.field == Field::Count {
            return fault.hint("for nodes that have at least 2 cards write `cards>=2`");
        }
        fault
    }

    /// A list of this field's values.
    pub(super) const fn list_example(&self) -> &'static str {
        match self.field {
            Field::Gpu => "gpu in [rtx_4090, h100]",
            Field::Number(Number::Vram) => "vram in [24, 48]",
            _ => "country in [de, fr]",
        }
    }
}

/// Every field that a query can name.
pub const fn fields() -> &'static [FieldHelp] {
    &FIELDS
}

/// The field of words that stand alone.
pub(super) const fn of_models() -> &'static FieldHelp {
    let [models, ..] = &FIELDS;
    models
}

/// Upper and lower case, `-` and `_` are the same.
pub(super) fn find(written: &str) -> Option<&'static FieldHelp> {
    let name = written.to_lowercase().replace('-', "_");
    FIELDS
        .iter()
        .find(|help| help.names().any(|known| known == name))
}

pub(super) fn unknown(written: &str) -> Fault {
    if written.starts_with(|c: char| c.is_ascii_digit()) {
        return Fault::new(format!(
            "`{written}` is no field; the field stands first, as in `vram>=24`"
        ));
    }
    let names: Vec<&str> = FIELDS.iter().map(|help| help.name).collect();
    let near = suggest::nearest(written, FIELDS.iter().flat_map(FieldHelp::names));
    Fault::new(format!(
        "there is no field `{written}`; the fields are {}",
        names.join(", ")
    ))
    .did_you_mean(near)
}

const ORDERED: &str = "= != >= <= > < in notin";
const NAMED: &str = "= != in notin";
const ONE: &str = "=";

const fn field(
    field: Field,
    name: &'static str,
    aliases: &'static [&'static str],
    operators: &'static str,
    unit: &'static str,
    example: &'static str,
) -> FieldHelp {
    FieldHelp {
        name,
        aliases,
        operators,
        unit,
        example,
        field,
    }
}

const fn number(
    number: Number,
    aliases: &'static [&'static str],
    unit: &'static str,
    example: &'static str,
) -> FieldHelp {
    field(
        Field::Number(number),
        number.name(),
        aliases,
        ORDERED,
        unit,
        example,
    )
}

const SIZE: &str = "GiB or GB (also without a unit), MiB, TiB";
const RATE: &str = "Mbit/s (also without a unit), Gbit/s, kbit/s";
const VERSION: &str = "a version; a major number alone is all of its versions";
const LENGTH: &str = "s, m, h, d, w";

static FIELDS: [FieldHelp; 26] = [
    field(
        Field::Gpu,
        "gpu",
        &["model", "name"],
        NAMED,
        "a model or a part of its name",
        "gpu=rtx_4090",
    ),
    field(Field::Class, "class", &[], ONE, "gpu, cpu", "class=gpu"),
    number(
        Number::Vram,
        &["device_memory", "gpu_ram"],
        SIZE,
        "vram>=24",
    ),
    number(
        Number::Cards,
        &["gpus_in_node", "num_gpus", "gpus"],
        "devices of the model in the node",
        "cards>=4",
    ),
    number(Number::Driver, &[], VERSION, "driver>=550.54"),
    number(Number::Cuda, &[], VERSION, "cuda>=12.4"),
    number(Number::Cpus, &["cores", "cpu"], "cores", "cpus>=16"),
    number(Number::Memory, &["ram", "mem"], SIZE, "memory>=64"),
    number(Number::Disk, &["storage"], SIZE, "disk>=500"),
    number(Number::Up, &["upload", "inet_up"], RATE, "up>=100"),
    number(
        Number::Down,
        &["download", "inet_down"],
        RATE,
        "down>=1Gbit/s",
    ),
    number(Number::Reputation, &["rep"], "0 to 100", "reputation>=90"),
    number(
        Number::Verified,
        &[],
        "0 to 3: claimed, seen, challenged, proven",
        "verified>=challenged",
    ),
    number(
        Number::Watts,
        &["power"],
        "W (also without a unit), kW",
        "watts<=450",
    ),
    number(
        Number::Price,
        &["price_per_hour", "dph"],
        "IO per hour, all-in, for one device; with /s or /d a second's or a day's",
        "price<=0.9/h",
    ),
    number(Number::MinDuration, &[], LENGTH, "min_duration<=1h"),
    number(Number::MaxDuration, &[], LENGTH, "max_duration>=2d"),
    field(Field::Duration, "duration", &[], ONE, LENGTH, "duration=6h"),
    field(
        Field::Country,
        "country",
        &[],
        NAMED,
        "two letters, or an English name",
        "country notin [de, fr]",
    ),
    field(
        Field::Region,
        "region",
        &[],
        NAMED,
        "AF, AS, EU, NA, OC, SA, or the English name",
        "region=EU",
    ),
    field(
        Field::Group,
        "group",
        &[],
        NAMED,
        "the name of a group of nodes near each other",
        "group=hall_3",
    ),
    field(
        Field::Count,
        "count",
        &[],
        ONE,
        "1 to 64 cards together on one node",
        "count=2",
    ),
    field(Field::Nodes, "nodes", &[], ONE, "1 to 64", "nodes=4"),
    field(
        Field::Near,
        "near",
        &[],
        ONE,
        "group, country, region, any",
        "near=country",
    ),
    field(
        Field::Spread,
        "spread",
        &[],
        ONE,
        "owner, none",
        "spread=owner",
    ),
    field(
        Field::Kind,
        "kind",
        &["type"],
        ONE,
        "on-demand, spot, reserved",
        "kind=spot",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_one_field_and_every_number_has_one() {
        let mut names: Vec<&str> = FIELDS.iter().flat_map(FieldHelp::names).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for number in Number::ALL {
            let help = find(number.name()).map(|help| help.field);
            assert_eq!(help, Some(Field::Number(number)));
        }
    }
}
