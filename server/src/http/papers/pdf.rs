//! An invoice for people, on as many pages as it takes. Nothing is embedded: Western letters are in the standard fonts, which every
//! reader has, and Chinese ones (Greek and Cyrillic with them) in the predefined Chinese font, for which a reader takes one of its own. A name in
//! others is shown as "?" on the page and stands whole in the JSON, which is the original.

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo};
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use protocol::invoice::{Invoice, InvoiceLease, InvoiceRefund, RefundCause, Subject};
use protocol::money::RefundReason;

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 48.0;
const BOTTOM: f32 = 80.0;
/// Where the columns of numbers end, from the left.
const COLUMNS: [f32; 5] = [300.0, 366.0, 430.0, 484.0, WIDTH - MARGIN];
const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const REGULAR: Ref = Ref::new(3);
const BOLD: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
const CHINESE: Ref = Ref::new(6);
const CHINESE_GLYPHS: Ref = Ref::new(7);
const CHINESE_LOOKS: Ref = Ref::new(8);
/// The first page and its content; then two more numbers a page.
const FIRST: i32 = 9;
/// What names a device in the table, and where the values of the head begin.
const DEVICE_WIDTH: f32 = 190.0;
const VALUE_X: f32 = MARGIN + 64.0;
const VALUE_LINES: usize = 3;

/// The document's bytes.
pub fn invoice(invoice: &Invoice) -> Vec<u8> {
    let mut paper = Paper::new();
    head(&mut paper, invoice);
    paper.table_head();
    for line in &invoice.leases {
        lease(&mut paper, line);
    }
    for one in &invoice.refunds {
        refund(&mut paper, one);
    }
    totals(&mut paper, invoice);
    how_to_check(&mut paper, invoice);
    paper.finish(invoice)
}

fn head(paper: &mut Paper, invoice: &Invoice) {
    paper.text(MARGIN, Font::Bold, 20.0, "IOG");
    paper.right(WIDTH - MARGIN, Font::Bold, 14.0, "Invoice");
    paper.down(26.0);
    let about = match &invoice.subject {
        Subject::Job { job, name, state } => {
            format!("{job}, {}, \"{name}\"", state.as_str())
        }
        Subject::Month { month, .. } => format!("{month} (UTC)"),
    };
    let state = if invoice.is_final {
        "Final"
    } else {
        "So far: more will be added"
    };
    for (name, value) in [
        ("Number", invoice.number.clone()),
        ("For", about),
        ("Issued", invoice.issued_at.to_string()),
        ("State", state.to_owned()),
        (
            "Customer",
            format!("{}, {}", invoice.customer.name, invoice.customer.email),
        ),
        ("Account", invoice.customer.account.to_string()),
        ("Currency", "IO (1 IO = 100,000,000 base units)".to_owned()),
    ] {
        paper.text(MARGIN, Font::Bold, 9.0, name);
        for line in lines(&value, (WIDTH - MARGIN - VALUE_X) / 9.0, VALUE_LINES) {
            paper.text(VALUE_X, Font::Regular, 9.0, &line);
            paper.down(13.0);
        }
    }
    paper.down(12.0);
}

fn lease(paper: &mut Paper, line: &InvoiceLease) {
    paper.room_for(30.0);
    let what = if line.devices > 1 {
        format!("{} × {}", line.devices, line.model)
    } else {
        line.model.clone()
    };
    paper.text(MARGIN, Font::Regular, 9.0, &fit(&what, DEVICE_WIDTH / 9.0));
    for (at, value) in COLUMNS.into_iter().zip([
        line.price.to_io_per_hour(),
        line.seconds.get().to_string(),
        line.gross.to_io(),
        line.fee.to_io(),
        line.charged.to_io(),
    ]) {
        paper.right(at, Font::Regular, 9.0, &value);
    }
    paper.down(11.0);
    let energy = line
        .energy_mj
        .map_or_else(String::new, |energy| format!(", {energy}"));
    let receipts = match line.receipts.len() {
        1 => "1 receipt".to_owned(),
        count => format!("{count} receipts"),
    };
    let small = format!(
        "{}, {receipts}, fee {}.{:02} %{energy}",
        line.lease,
        line.fee_basis_points / 100,
        line.fee_basis_points % 100
    );
    paper.text(MARGIN, Font::Regular, 7.0, &small);
    paper.down(15.0);
}

fn refund(paper: &mut Paper, refund: &InvoiceRefund) {
    paper.room_for(30.0);
    let (title, small) = match &refund.cause {
        RefundCause::Dispute { dispute, seq } => (
            "Given back after a dispute",
            format!("{dispute}, receipt {seq} of {}", refund.lease),
        ),
        RefundCause::Automatic { reason, seconds } => (
            match reason {
                RefundReason::LossBound => "Given back: lost beyond the loss bound",
                RefundReason::SpecMissed => "Given back: the machine was not what was hired",
                RefundReason::WrongSlice => "Given back: a slice was not what others compute",
            },
            format!("{} s of {}", seconds.get(), refund.lease),
        ),
    };
    paper.text(MARGIN, Font::Regular, 9.0, title);
    let amount = format!("-{}", refund.amount.to_io());
    paper.right(WIDTH - MARGIN, Font::Regular, 9.0, &amount);
    paper.down(11.0);
    paper.text(MARGIN, Font::Regular, 7.0, &small);
    paper.down(15.0);
}

fn totals(paper: &mut Paper, invoice: &Invoice) {
    paper.room_for(70.0);
    paper.rule();
    let totals = &invoice.totals;
    let seconds = totals.seconds.get().to_string();
    paper.text(MARGIN, Font::Bold, 9.0, "Total");
    for (at, value) in COLUMNS.into_iter().skip(1).zip([
        seconds,
        totals.gross.to_io(),
        totals.fee.to_io(),
        totals.charged.to_io(),
    ]) {
        paper.right(at, Font::Bold, 9.0, &value);
    }
    paper.down(14.0);
    if !totals.refunded.is_zero() {
        paper.text(MARGIN, Font::Bold, 9.0, "Given back");
        let refunded = format!("-{}", totals.refunded.to_io());
        paper.right(WIDTH - MARGIN, Font::Bold, 9.0, &refunded);
        paper.down(14.0);
    }
    paper.text(
        MARGIN,
        Font::Regular,
        8.0,
        "Paid already, second by second, from the account's balance.",
    );
    paper.down(24.0);
}

fn how_to_check(paper: &mut Paper, invoice: &Invoice) {
    paper.room_for(90.0);
    paper.text(MARGIN, Font::Bold, 9.0, "How to check this invoice");
    paper.down(13.0);
    let path = match &invoice.subject {
        Subject::Job { job, .. } => format!("GET /api/v1/jobs/{job}/invoice"),
        Subject::Month { month, .. } => format!("GET /api/v1/billing/invoices/{month}"),
    };
    for sentence in [
        "Every second above stands in receipts that the worker and the platform signed. They are in the JSON of this invoice:",
        &path,
        "Check it offline with `iog verify-invoice FILE`, or on the page /verify, where it does not leave the browser.",
        "The platform's key (Ed25519):",
        &invoice.platform_key,
    ] {
        paper.text(MARGIN, Font::Regular, 8.0, sentence);
        paper.down(11.0);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Font {
    Regular,
    Bold,
}

/// Pages in the making; `y` is where the next line stands.
struct Paper {
    done: Vec<Content>,
    page: Content,
    y: f32,
}

impl Paper {
    fn new() -> Self {
        Self {
            done: Vec::new(),
            page: Content::new(),
            y: HEIGHT - MARGIN - 16.0,
        }
    }

    fn down(&mut self, by: f32) {
        self.y -= by;
    }

    /// Goes on with a new page when so much does not fit on this one.
    fn room_for(&mut self, height: f32) {
        if self.y - height < BOTTOM {
            self.done
                .push(std::mem::replace(&mut self.page, Content::new()));
            self.y = HEIGHT - MARGIN - 16.0;
            self.table_head();
        }
    }

    fn table_head(&mut self) {
        self.text(MARGIN, Font::Bold, 8.0, "Device");
        for (at, name) in
            COLUMNS
                .into_iter()
                .zip(["IO/hour", "Seconds", "Price", "Fee", "Charged, IO"])
        {
            self.right(at, Font::Bold, 8.0, name);
        }
        self.down(6.0);
        self.rule();
    }

    fn rule(&mut self) {
        self.page
            .set_line_width(0.5)
            .move_to(MARGIN, self.y)
            .line_to(WIDTH - MARGIN, self.y)
            .stroke();
        self.down(14.0);
    }

    fn text(&mut self, x: f32, font: Font, size: f32, text: &str) {
        let name = match font {
            Font::Regular => Name(b"R"),
            Font::Bold => Name(b"B"),
        };
        self.page.begin_text().next_line(x, self.y);
        for (is_chinese, run) in runs(text) {
            if is_chinese {
                self.page.set_font(Name(b"C"), size);
            } else {
                self.page.set_font(name, size);
            }
            self.page.show(Str(&run));
        }
        self.page.end_text();
    }

    /// A text that ends at `x`.
    fn right(&mut self, x: f32, font: Font, size: f32, text: &str) {
        self.text(x - width(text, font) * size, font, size, text);
    }

    fn finish(mut self, invoice: &Invoice) -> Vec<u8> {
        self.done
            .push(std::mem::replace(&mut self.page, Content::new()));
        let count = self.done.len();
        let mut pdf = Pdf::new();
        let refs: Vec<(Ref, Ref)> = (FIRST..)
            .step_by(2)
            .map(|number| (Ref::new(number), Ref::new(number + 1)))
            .take(count)
            .collect();
        pdf.catalog(CATALOG).pages(PAGES);
        pdf.pages(PAGES)
            .kids(refs.iter().map(|(page, _)| *page))
            .count(i32::try_from(count).unwrap_or(i32::MAX));
        for ((page, content), (number, mut body)) in
            refs.into_iter().zip((1_usize..).zip(self.done))
        {
            foot(&mut body, number, count, &invoice.number);
            let mut writer = pdf.page(page);
            writer
                .parent(PAGES)
                .media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT))
                .contents(content);
            writer
                .resources()
                .fonts()
                .pair(Name(b"R"), REGULAR)
                .pair(Name(b"B"), BOLD)
                .pair(Name(b"C"), CHINESE);
            writer.finish();
            pdf.stream(content, &body.finish());
        }
        for (font, name) in [(REGULAR, "Helvetica"), (BOLD, "Helvetica-Bold")] {
            pdf.type1_font(font)
                .base_font(Name(name.as_bytes()))
                .encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        chinese(&mut pdf);
        // Here a name in any letters is whole.
        let title = format!("IOG invoice {}", invoice.number);
        pdf.document_info(INFO)
            .title(TextStr(&title))
            .subject(TextStr(&invoice.customer.name))
            .producer(TextStr("IOG"));
        pdf.finish()
    }
}

/// A font that is named and not embedded, as PDF defines it for simplified Chinese.
fn chinese(pdf: &mut Pdf) {
    let name = Name(b"STSong-Light");
    pdf.type0_font(CHINESE)
        .base_font(Name(b"STSong-Light-UniGB-UTF16-H"))
        .encoding_predefined(Name(b"UniGB-UTF16-H"))
        .descendant_font(CHINESE_GLYPHS);
    pdf.cid_font(CHINESE_GLYPHS)
        .subtype(CidFontType::Type0)
        .base_font(name)
        .system_info(SystemInfo {
            registry: Str(b"Adobe"),
            ordering: Str(b"GB1"),
            supplement: 4,
        })
        .font_descriptor(CHINESE_LOOKS)
        .default_width(1_000.0);
    pdf.font_descriptor(CHINESE_LOOKS)
        .name(name)
        .flags(FontFlags::SYMBOLIC | FontFlags::SERIF)
        .bbox(Rect::new(-25.0, -254.0, 1_000.0, 880.0))
        .italic_angle(0.0)
        .ascent(880.0)
        .descent(-120.0)
        .cap_height(880.0)
        .stem_v(93.0);
}

fn foot(page: &mut Content, number: usize, count: usize, invoice: &str) {
    let text = format!("{invoice}, page {number} of {count}");
    page.begin_text()
        .set_font(Name(b"R"), 7.0)
        .next_line(MARGIN, MARGIN)
        .show(Str(&encoded(&text)))
        .end_text();
}

/// Greek, Cyrillic, signs and letters of Chinese, all as wide as high.
const fn is_chinese(c: char) -> bool {
    matches!(c, '\u{391}'..='\u{3a9}' | '\u{3b1}'..='\u{3c9}' | '\u{401}' | '\u{410}'..='\u{44f}' | '\u{451}'
        | '\u{3001}'..='\u{3017}' | '\u{3041}'..='\u{3093}' | '\u{30a1}'..='\u{30f6}' | '\u{4e00}'..='\u{9fa5}'
        | '\u{ff01}'..='\u{ff5e}')
}

/// A text in pieces of one font each, as that font's codes.
fn runs(text: &str) -> Vec<(bool, Vec<u8>)> {
    let mut runs: Vec<(bool, Vec<u8>)> = Vec::new();
    for c in text.chars() {
        let font = is_chinese(c);
        let code = if font {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units);
            units.iter().flat_map(|unit| unit.to_be_bytes()).collect()
        } else {
            encoded(c.encode_utf8(&mut [0; 4]))
        };
        match runs.last_mut() {
            Some((last, codes)) if *last == font => codes.extend(code),
            _ => runs.push((font, code)),
        }
    }
    runs
}

/// In the letters of the standard fonts (Windows-1252, of which Latin-1 and a few signs are used); all others as "?".
fn encoded(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match c {
            ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).unwrap_or(b'?'),
            '–' => 0x96,
            '—' => 0x97,
            '’' => 0x92,
            '“' => 0x93,
            '”' => 0x94,
            '€' => 0x80,
            '…' => 0x85,
            _ => b'?',
        })
        .collect()
}

/// How wide a text is at size 1. Exact for numbers, which stand in columns; near enough for words.
fn width(text: &str, font: Font) -> f32 {
    text.chars()
        .map(|c| match (c, font) {
            ('.' | ',' | ' ' | '/', _) | ('i' | 'l', Font::Bold) => 0.278,
            ('-', _) => 0.333,
            ('i' | 'l', Font::Regular) => 0.222,
            ('r', _) => 0.36,
            (c, _) if c.is_ascii_digit() => 0.556,
            (c, _) if is_chinese(c) => 1.0,
            // The widest of them, with small letters that are as wide.
            ('W' | 'M' | 'm' | 'w' | '@' | '%' | '—' | '…', _) => 1.0,
            (c, _) if c.is_ascii_uppercase() => 0.75,
            (_, Font::Regular) => 0.54,
            (_, Font::Bold) => 0.58,
        })
        .sum()
}

/// As much of a text as is no wider than `most` at size 1.
fn fit(text: &str, most: f32) -> String {
    if width(text, Font::Regular) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    let room = most - width("…", Font::Regular);
    let mut used = 0.0;
    for c in text.chars() {
        used += width(c.encode_utf8(&mut [0; 4]), Font::Regular);
        if used > room {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// A text on lines that are no wider than `most` at size 1, broken behind a blank where there is one; the last of `count` is cut.
fn lines(text: &str, most: f32, count: usize) -> Vec<String> {
    let (mut lines, mut left) = (Vec::new(), text);
    while lines.len().saturating_add(1) < count && width(left, Font::Regular) > most {
        let (mut used, mut end, mut blank) = (0.0, 0, None);
        for (at, c) in left.char_indices() {
            used += width(c.encode_utf8(&mut [0; 4]), Font::Regular);
            if used > most {
                break;
            }
            end = at.saturating_add(c.len_utf8());
            if c == ' ' {
                blank = Some(end);
            }
        }
        let (line, rest) = left.split_at(blank.unwrap_or(end));
        lines.push(line.trim_end().to_owned());
        left = rest;
    }
    lines.push(fit(left, most));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Invoice {
        let text = include_str!("../../../../examples/invoice.json");
        serde_json::from_str(text).expect("an invoice")
    }

    fn has(pdf: &[u8], text: &str) -> bool {
        pdf.windows(text.len()).any(|part| part == text.as_bytes())
    }

    #[test]
    fn an_invoice_is_one_page_with_its_figures() {
        let one = example();
        let pdf = invoice(&one);
        assert!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
        assert!(has(&pdf, "/Count 1"));
        for text in [
            one.number.as_str(),
            one.platform_key.as_str(),
            &one.totals.charged.to_io(),
            &one.leases[0].lease.to_string(),
            "iog verify-invoice FILE",
        ] {
            assert!(has(&pdf, text), "{text}");
        }
    }

    #[test]
    fn many_lines_take_many_pages() {
        let mut long = example();
        let line = long.leases[0].clone();
        long.leases = vec![line; 100];
        let pdf = invoice(&long);
        let of = |number: usize| format!("page {number} of 5");
        assert!(has(&pdf, "/Count 5"));
        assert!((1..=5).all(|number| has(&pdf, &of(number))));
    }

    #[test]
    fn names_in_any_letters_do_not_break_it() {
        let mut strange = example();
        strange.customer.name = "张伟 (\\)) \u{1f4b8}\n\u{0}é".into();
        strange.leases[0].model = "显卡".repeat(60);
        let pdf = invoice(&strange);
        assert!(has(&pdf, "/Count 1"));
        assert!(has(&pdf, "/UniGB-UTF16-H") && !has(&pdf, "/FontFile"));
        assert_eq!(encoded("é(€…\u{1f4b8}"), [0xe9, b'(', 0x80, 0x85, b'?']);
        let expected = [
            (false, b"a".to_vec()),
            (true, vec![0x5f, 0x20, 0x4f, 0x1f]),
            (false, b" ?".to_vec()),
        ];
        assert_eq!(runs("a张伟 \u{1f4b8}"), expected);
    }

    #[test]
    fn long_names_stay_on_the_page() {
        let most = (WIDTH - MARGIN - VALUE_X) / 9.0;
        for name in [
            "W".repeat(300),
            "显卡".repeat(60),
            "two words ".repeat(40),
            String::new(),
        ] {
            let lines = lines(&name, most, VALUE_LINES);
            assert!((1..=VALUE_LINES).contains(&lines.len()));
            assert!(
                lines.iter().all(|line| width(line, Font::Regular) <= most),
                "{lines:?}"
            );
            assert!(width(&fit(&name, 9.0), Font::Regular) <= 9.0);
        }
        let both = format!("{}, {}@example.org", "张伟".repeat(20), "a".repeat(60));
        assert_eq!(
            lines(&both, most, VALUE_LINES).concat(),
            both.replace(", ", ",")
        );
        assert_eq!(fit("显卡显卡", 4.0), "显卡显卡");
        assert_eq!(fit("显卡显卡显", 4.0), "显卡显…");
    }

    #[test]
    fn numbers_end_at_their_column() {
        let digits = width("0.12345678", Font::Regular);
        assert!((digits - (0.278 + 9.0 * 0.556)).abs() < 0.001);
    }
}
