//! The server's sentences as a page says them: in the reader's language, with the words of the forms in place of a
//! specification's field names, times as pages write them, and prices rounded as pages round them. Programs get the
//! sentence as it is.

use kernel::{Amount, PricePerSecond, Timestamp};

use super::{Locale, translate};
use crate::format;

/// A field of a specification in the words of the form that it is typed in; the fields of a query stay, for they are
/// what was typed.
pub fn field(name: &str, locale: Locale) -> &str {
    let t = locale.words();
    match name {
        "resources.class" => t.filter_class(),
        "resources.model" => t.filter_model(),
        "resources.device_memory_mib" => t.col_memory(),
        "resources.cpus" => t.need_cpus(),
        "resources.memory_mib" => t.need_memory(),
        "resources.disk_mib" => t.need_disk(),
        "resources.pids" => t.need_pids(),
        "resources.count" => t.need_count(),
        "limits.duration_seconds" => t.need_minutes_limit(),
        "limits.max_price_per_hour" => t.need_max_price(),
        "limits.wait_seconds" => t.need_wait(),
        "limits.loss_bound_seconds" => t.need_loss_bound(),
        "limits.max_restarts" => t.need_restarts(),
        "placement.countries" => t.need_countries(),
        "placement.min_reputation" => t.need_reputation(),
        "placement.nodes" => t.need_nodes(),
        "placement.filter" => t.market_query(),
        other => other,
    }
}

/// What stands in the way without being asked for; said only where a reason is named.
pub fn reason(name: &str, locale: Locale) -> &str {
    let t = locale.words();
    match name {
        "device" => t.reason_device(),
        "offline" => t.reason_offline(),
        "paused" => t.reason_paused(),
        "closed" => t.reason_closed(),
        "blocked" => t.reason_blocked(),
        "free" => t.reason_free(),
        "refused_before" => t.reason_refused(),
        "agreed_price" => t.reason_agreed(),
        "near" => t.need_near(),
        other => field(other, locale),
    }
}

/// `2026-11-25T10:32:00.000Z` as pages write it.
fn moment(word: &str) -> Option<String> {
    let iso = word.len() >= 20 && word.ends_with('Z') && word.contains('T');
    let at: Timestamp = word.parse().ok().filter(|_| iso)?;
    Some(format::moment(at))
}

/// A price an hour, where one stands, by the rule that is given.
fn price(word: &str, next: Option<&str>, show: fn(Amount) -> String) -> Option<String> {
    let unit = next?.trim_end_matches(['.', ',', ';', ')']);
    let amount = Amount::parse_io(word).ok();
    let amount = amount.filter(|_| matches!(unit, "IO" | "IO/h") && word.contains('.'));
    amount.map(|amount| show(amount).replace('\u{202f}', ""))
}

/// As the owner would write it.
fn owners(amount: Amount) -> String {
    let price = PricePerSecond::from_per_hour(amount);
    price.map_or_else(|_| format::io_number(amount), format::owner_number)
}

/// A sentence for a page; its prices are to be paid.
pub fn told(english: &str, locale: Locale) -> String {
    said(english, locale, format::price_number)
}

/// A sentence for an owner; its prices are owners', before the fee.
pub fn told_owner(english: &str, locale: Locale) -> String {
    said(english, locale, owners)
}

fn said(english: &str, locale: Locale, show: fn(Amount) -> String) -> String {
    let words: Vec<&str> = english.split(' ').collect();
    let said = words.iter().enumerate().map(|(index, word)| {
        let bare = word.trim_end_matches(['.', ',', ';', ':', ')']);
        let tail = word.get(bare.len()..).unwrap_or_default();
        let next = words.get(index + 1).copied();
        let instead = if next == Some("removes") {
            reason(bare, locale).to_owned()
        } else {
            let found = moment(bare).or_else(|| price(bare, next, show));
            found.unwrap_or_else(|| field(bare, locale).to_owned())
        };
        format!("{instead}{tail}")
    });
    let said = translate(&said.collect::<Vec<_>>().join(" "), locale);
    said.replace("IO/h", locale.words().unit_price())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_times_and_digits_become_words() {
        let why = "No offer matches: limits.max_price_per_hour removes 3 of 4 offers; without it 2 would match; the \
                   cheapest costs 0.49999086 IO/h. It may cost at most 0.40 IO per hour.";
        assert_eq!(
            told(why, Locale::En),
            "No offer matches: Price limit removes 3 of 4 offers; without it 2 would match; the cheapest costs 0.50 IO/h. \
             It may cost at most 0.40 IO per hour."
        );
        assert_eq!(
            told(why, Locale::Zh),
            "没有匹配的报价：价格上限 排除了 3 / 4 个报价；若无此条件有 2 个符合；最便宜的为 0.50 IO/小时。每小时最多可付 0.40 IO。"
        );
        assert_eq!(
            told(
                "A spot job makes room until 2026-11-25T10:32:00.000Z, at the latest until 2026-11-25T10:33:10.500Z.",
                Locale::En
            ),
            "A spot job makes room until 2026-11-25 10:32:00 UTC, at the latest until 2026-11-25 10:33:10 UTC."
        );
        // A word that only looks like one of them stays.
        let same = "no node has 2 free devices that match, e.g. device 1.25";
        assert_eq!(told(same, Locale::En), same);
        assert_eq!(reason("vram", Locale::Zh), "vram");
        // A limit of 0.5 with the fee; an owner's price of 0.4.
        assert_eq!(
            told_owner("0.399996 IO/h or less", Locale::Zh),
            "不超过 0.40 IO/小时"
        );
        assert_eq!(
            told(
                "the amount is not a number; write it like 12.5, with a point and at most 8 decimals",
                Locale::Zh
            ),
            "金额不是数字，请写成 12.5 的形式，最多 8 位小数"
        );
    }
}
