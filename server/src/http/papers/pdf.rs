//! An invoice for people, on as many pages as it takes: the standard fonts, which every reader has, so nothing is embedded. They
//! hold Western letters only; a name in others is shown as "?" on the page and stands whole in the JSON, which is the original.

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
/// The first page and its content; then two more numbers a page.
const FIRST: i32 = 6;

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
        paper.text(MARGIN + 64.0, Font::Regular, 9.0, &value);
        paper.down(13.0);
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
    paper.text(MARGIN, Font::Regular, 9.0, &cut(&what, 36));
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
        self.page
            .begin_text()
            .set_font(name, size)
            .next_line(x, self.y)
            .show(Str(&encoded(text)))
            .end_text();
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
                .pair(Name(b"B"), BOLD);
            writer.finish();
            pdf.stream(content, &body.finish());
        }
        for (font, name) in [(REGULAR, "Helvetica"), (BOLD, "Helvetica-Bold")] {
            pdf.type1_font(font)
                .base_font(Name(name.as_bytes()))
                .encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        // Here a name in any letters is whole.
        let title = format!("IOG invoice {}", invoice.number);
        pdf.document_info(INFO)
            .title(TextStr(&title))
            .subject(TextStr(&invoice.customer.name))
            .producer(TextStr("IOG"));
        pdf.finish()
    }
}

fn foot(page: &mut Content, number: usize, count: usize, invoice: &str) {
    let text = format!("{invoice}, page {number} of {count}");
    page.begin_text()
        .set_font(Name(b"R"), 7.0)
        .next_line(MARGIN, MARGIN)
        .show(Str(&encoded(&text)))
        .end_text();
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
            (c, _) if c.is_ascii_uppercase() => 0.69,
            (_, Font::Regular) => 0.54,
            (_, Font::Bold) => 0.58,
        })
        .sum()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
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
        assert_eq!(encoded("张é(€…"), [b'?', 0xe9, b'(', 0x80, 0x85]);
        assert_eq!(cut(&"显卡".repeat(60), 4), "显卡显…");
    }

    #[test]
    fn numbers_end_at_their_column() {
        let digits = width("0.12345678", Font::Regular);
        assert!((digits - (0.278 + 9.0 * 0.556)).abs() < 0.001);
    }
}
