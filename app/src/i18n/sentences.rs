//! The market's sentences in Chinese. The server speaks English, to programs above all; a page words for its reader what it
//! knows. Each sentence is a pattern: what stands in its places (names, numbers, an example to write) is kept, or translated
//! in its turn where it is a sentence itself. Only the server carries them; it writes these parts of a page.

mod market;
mod money;
mod work;

use super::{Locale, SENTENCES, fill};

/// The sentence in the reader's language; one that is not known stays as it is.
pub fn translate(english: &str, locale: Locale) -> String {
    match locale {
        Locale::En => english.to_owned(),
        Locale::Zh => chinese(english).unwrap_or_else(|| english.to_owned()),
    }
}

/// `None`: no pattern fits.
pub fn chinese(english: &str) -> Option<String> {
    let known = SENTENCES.iter().find(|(known, _)| *known == english);
    if let Some((_, chinese)) = known {
        return Some((*chinese).to_owned());
    }
    pattern(english).or_else(|| {
        // A refusal is written as a sentence, with a capital letter and a full stop.
        let text = english.strip_suffix('.')?;
        let mut letters = text.chars();
        let small: String = letters.next()?.to_lowercase().chain(letters).collect();
        Some(format!("{}。", pattern(&small)?))
    })
}

fn pattern(english: &str) -> Option<String> {
    market::PATTERNS
        .iter()
        .chain(money::PATTERNS)
        .chain(work::PATTERNS)
        .find_map(|(pattern, words)| {
            let places = places(english, pattern)?;
            let places: Vec<String> = places
                .into_iter()
                .map(|place| chinese(place).unwrap_or_else(|| place.to_owned()))
                .collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            Some(fill(words, &places))
        })
}

/// What stands in the places of a pattern, each as short as can be, the last one to the end.
fn places<'a>(text: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
    let mut pieces = pattern.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let pieces: Vec<&str> = pieces.collect();
    let mut found = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        let (place, after) = if last {
            (rest.strip_suffix(piece)?, "")
        } else {
            rest.split_once(piece)?
        };
        found.push(place);
        rest = after;
    }
    (rest.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_has_its_places_in_both_languages() {
        let all = market::PATTERNS
            .iter()
            .chain(money::PATTERNS)
            .chain(work::PATTERNS);
        for (english, words) in all {
            let places = |text: &str| text.matches("{}").count();
            let dropped = english.contains("no version");
            assert!(places(english) == places(words) || dropped, "{english}");
            assert!(
                words
                    .chars()
                    .any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
            );
        }
    }

    #[test]
    fn a_refusal_is_worded_with_its_inner_words() {
        let text = "A payout that is frozen cannot be sent.";
        let told = "提现状态为“已冻结”，无法发出。";
        assert_eq!(translate(text, Locale::Zh), told);
        let text = "more than nothing and at most 2.50 IO, which is what is withdrawable";
        let told = "必须大于零，最多 2.50 IO，即可提取的金额";
        assert_eq!(translate(text, Locale::Zh), told);
        assert_eq!(
            translate("Only another admin can do this.", Locale::Zh),
            "只能由另一位管理员处理。"
        );
    }

    #[test]
    fn a_value_of_another_kind_is_refused_in_the_readers_words() {
        for (text, told) in [
            (
                "expected a whole number that is not below zero, not the text \"much\"",
                "应为不小于零的整数，而不是文本 \"much\"",
            ),
            (
                "expected a whole number from 0 to 4294967295, not the number 4294967296",
                "应为0 到 4294967295 之间的整数，而不是数字 4294967296",
            ),
            (
                "1 to 128 visible ASCII characters without spaces",
                "1 到 128 个可见 ASCII 字符，不含空格",
            ),
            (
                "expected a port from 1 to 65535, or its port, name, public and health in { }",
                "应为 1 到 65535 之间的端口，或 { } 中的 port、name、public 与 health",
            ),
            (
                "expected fields in { }, not a list",
                "应为{ } 中的字段，而不是列表",
            ),
        ] {
            assert_eq!(translate(text, Locale::Zh), told);
        }
    }

    #[test]
    fn explanations_are_worded_to_their_last_part() {
        let text = "No offer matches: price removes 3 of 4 offers; without it 2 would match; the cheapest costs 0.90225 IO/h.";
        assert_eq!(
            translate(text, Locale::Zh),
            "没有匹配的报价：price 排除了 3 / 4 个报价；若无此条件有 2 个符合；最便宜的为 0.90225 IO/小时。"
        );
        assert_eq!(translate(text, Locale::En), text);
        let gang = "Not enough together: 4 nodes were asked for, and 3 match.";
        assert_eq!(
            translate(gang, Locale::Zh),
            "同时可用的设备不足：需要 4 台机器，符合的有 3 台。"
        );
        let broken = "The quote cannot be kept: RTX 4090 was hired by somebody else, and nothing else that matches is free for \
                      at most 0.90225 IO per hour; ask for a new quote.";
        assert!(translate(broken, Locale::Zh).contains("RTX 4090 已被他人租用"));
    }

    #[test]
    fn what_the_query_is_refused_with_is_worded() {
        for error in [
            "character 1: there is no field `vrm`; the fields are gpu, class, vram (did you mean `vram`?)",
            "character 1: a field is missing before `>=`; write a term such as `vram>=24`",
            "character 4: `gpu` takes only = != in notin; write it like `gpu=rtx_4090`",
            "character 5: a value is missing after `>=`; write one, as in `vram>=24`",
            "character 7: a number is expected here, such as 24 or 1.5, not `many`",
            "character 9: `zz` is no known country; write its two letters, as in `country=de`",
            "character 8: prices are in IO an hour, not in another money; write `price<=0.9`",
        ] {
            let worded = translate(error, Locale::Zh);
            assert!(worded.starts_with("第 "), "{error}");
            let sentence = worded.split_once('：').map(|(_, sentence)| sentence);
            let han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
            assert!(
                sentence.is_some_and(|sentence| sentence.contains(han)),
                "{error} became {worded}"
            );
        }
    }
}
