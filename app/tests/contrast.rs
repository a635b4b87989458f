//! The tokens of `style/main.css`, measured: text at least 4.5:1 and control borders at least 3:1 on every
//! surface, in both themes (WCAG 2.2, 1.4.3 and 1.4.11).

use std::collections::BTreeMap;

const SHEET: &str = include_str!("../../style/main.css");
const SURFACES: [&str; 3] = ["bg", "surface", "raised"];
const TEXTS: [&str; 6] = ["ink", "ink-2", "accent", "ok", "warn", "bad"];

type Rgb = [u8; 3];

fn hex(text: &str) -> Option<Rgb> {
    let digits = text.trim().strip_prefix('#').filter(|d| d.len() == 6)?;
    let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

/// Every `--name: light-dark(#light, #dark);` of the sheet.
fn tokens() -> BTreeMap<&'static str, [Rgb; 2]> {
    SHEET
        .lines()
        .filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(':')?;
            let pair = value
                .trim()
                .strip_prefix("light-dark(")?
                .strip_suffix(");")?;
            let (light, dark) = pair.split_once(',')?;
            Some((name, [hex(light)?, hex(dark)?]))
        })
        .collect()
}

fn luminance(colour: Rgb) -> f64 {
    let linear = colour.map(|part| {
        let share = f64::from(part) / 255.0;
        if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn the_measure_is_the_one_of_wcag() {
    assert!((contrast([0, 0, 0], [255, 255, 255]) - 21.0).abs() < 1e-9);
    assert!((contrast([0x77; 3], [255; 3]) - 4.48).abs() < 0.01);
}

#[test]
fn text_and_controls_are_visible_on_every_surface_in_both_themes() {
    let tokens = tokens();
    let mut too_low = Vec::new();
    for (theme, mode) in ["light", "dark"].into_iter().enumerate() {
        let mut check = |front: &str, back: &str, least: f64| {
            let ratio = contrast(tokens[front][theme], tokens[back][theme]);
            if ratio < least {
                too_low.push(format!(
                    "{mode}: {front} on {back} is {ratio:.2}, wants {least}"
                ));
            }
        };
        for surface in SURFACES {
            for text in TEXTS {
                check(text, surface, 4.5);
            }
            check("control", surface, 3.0);
        }
        check("on-accent", "accent", 4.5);
        // A toast is the ink as a surface, with the background as its text.
        check("bg", "ink", 4.5);
    }
    assert!(too_low.is_empty(), "{}", too_low.join("\n"));
}
