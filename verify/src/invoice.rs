//! An invoice, checked without anything being sent.

use protocol::invoice::{Finding, Receipted, Subject, Summary, Verdict};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, Element, File};

use crate::page::{Turn, document, hide, one, painted, set, show, take_files, text_of};

/// A file beyond this would not fit into the browser's memory several times over.
const FILE_BYTES_MAX: f64 = 256.0 * 1024.0 * 1024.0;

pub fn start(document: &Document) {
    take_files(document, "data-verify-file", "data-verify-drop", |file| {
        spawn_local(look_at(file));
    });
}

fn root() -> Option<Element> {
    document()?.query_selector("[data-verify]").ok().flatten()
}

async fn look_at(file: File) {
    let turn = Turn::begin();
    let Some(root) = root() else { return };
    set(&root, "file", &file.name());
    show(&root, "busy");
    let text = text_of(&file, FILE_BYTES_MAX).await;
    painted().await;
    if turn.is_over() {
        return;
    }
    let Some(text) = text else {
        show(&root, "unreadable");
        return;
    };
    let key = root.get_attribute("data-platform-key");
    tell(&root, &metering::invoice::check(&text, key.as_deref()));
}

fn tell(root: &Element, verdict: &Verdict) {
    if let Some(summary) = &verdict.summary {
        sum_up(root, summary);
    }
    if let Some(list) = one(root, "[data-findings]") {
        list.set_text_content(None);
        for finding in &verdict.findings {
            if let Some(item) = item(root, finding) {
                _ = list.append_child(&item);
            }
        }
    }
    set(root, "count", &total(verdict).to_string());
    set(root, "more", &verdict.more.to_string());
    hide(root, "[data-more]", verdict.more == 0);
    hide(root, "[data-summary]", verdict.summary.is_none());
    show(root, if verdict.fits { "fits" } else { "wrong" });
}

fn total(verdict: &Verdict) -> u64 {
    u64::try_from(verdict.findings.len())
        .unwrap_or(u64::MAX)
        .saturating_add(verdict.more)
}

fn sum_up(root: &Element, summary: &Summary) {
    let totals = &summary.totals;
    let about = match &summary.subject {
        Subject::Job { job, name, .. } => format!("{name} ({job})"),
        Subject::Month { month, .. } => month.clone(),
    };
    let energy = summary.energy_mj.map(|energy| energy.to_string());
    for (name, value) in [
        ("number", summary.number.as_str()),
        ("about", &about),
        ("customer", &summary.customer.name),
        ("issued", &summary.issued_at.to_string()),
        ("leases", &summary.leases.to_string()),
        ("receipts", &summary.receipts.to_string()),
        ("signatures", &summary.signatures.to_string()),
        ("seconds", &totals.seconds.get().to_string()),
        ("gross", &totals.gross.to_io()),
        ("fee", &totals.fee.to_io()),
        ("charged", &totals.charged.to_io()),
        ("refunded", &totals.refunded.to_io()),
        ("energy", energy.as_deref().unwrap_or_default()),
        ("key", &summary.platform_key),
    ] {
        set(root, name, value);
    }
    hide(root, "[data-energy]", energy.is_none());
    hide(root, "[data-refunded]", totals.refunded.is_zero());
    hide(root, "[data-so-far]", summary.is_final);
    hide(root, "[data-ends]", summary.receipted == Receipted::All);
}

/// A finding in the page's words. All of it is text, never markup: the file is a stranger's.
fn item(root: &Element, finding: &Finding) -> Option<Element> {
    let document = document()?;
    let rule = finding.rule.as_str();
    let sentence = one(root, &format!("[data-rule=\"{rule}\"]")).and_then(|it| it.text_content());
    let item = document.create_element("li").ok()?;
    let line = |class: &str, text: &str| {
        if let Ok(part) = document.create_element("p") {
            part.set_class_name(class);
            part.set_text_content(Some(text));
            _ = item.append_child(&part);
        }
    };
    line("font-medium", &sentence.unwrap_or_else(|| rule.to_owned()));
    let place = [finding.place.as_str(), finding.id.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    line("hint break-words", &place);
    let label = |name: &str| root.get_attribute(name).unwrap_or_default();
    if !finding.expected.is_empty() {
        let text = format!("{} {}", label("data-expected"), finding.expected);
        line("break-words", &text);
    }
    let text = format!("{} {}", label("data-found"), finding.found);
    line("break-words", &text);
    Some(item)
}
