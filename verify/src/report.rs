//! A proof of earnings, checked against the chain's own node.

use settlement::check::{Check, CheckError, Progress, Question};
use settlement::proof::{BYTES_MAX, Proof, ProofError, Standing};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortSignal, Document, Element, File, Headers, HtmlTextAreaElement, RequestCredentials,
    RequestInit, RequestMode, Response,
};

use crate::page::{Turn, document, hide, listen, painted, set, show, take_files, text_of};

/// A node that says nothing for so long is not waited for.
const PATIENCE_MS: u32 = 15_000;

pub fn start(document: &Document) {
    take_files(document, "data-report-file", "data-report-drop", |file| {
        spawn_local(look_at_file(file));
    });
    listen(document, "click", |event| {
        let target = event.target().and_then(|it| it.dyn_into::<Element>().ok());
        let button = target.and_then(|it| it.closest("[data-report-check]").ok().flatten());
        let pasted = button.and_then(|_| {
            let area = root()?.query_selector("[data-report-text]").ok()??;
            Some(area.dyn_into::<HtmlTextAreaElement>().ok()?.value())
        });
        if let Some(text) = pasted {
            spawn_local(look_at(Some(text), Turn::begin()));
        }
    });
}

fn root() -> Option<Element> {
    document()?.query_selector("[data-report]").ok().flatten()
}

async fn look_at_file(file: File) {
    let turn = Turn::begin();
    // A longer one is no proof; the check says so.
    let most = f64::from(u32::try_from(BYTES_MAX).unwrap_or(u32::MAX));
    let text = text_of(&file, most).await;
    look_at(text, turn).await;
}

async fn look_at(text: Option<String>, turn: Turn) {
    let Some(root) = root() else { return };
    show(&root, "busy");
    painted().await;
    if turn.is_over() {
        return;
    }
    let begun = text.map(|text| Check::begin(&text, home(&root)));
    let check = match begun {
        Some(Ok(check)) => check,
        Some(Err(error)) => return refuse(&root, &error),
        None => return show(&root, "unreadable"),
    };
    sum_up(&root, check.proof());
    let Some(node) = root.get_attribute("data-node") else {
        return show(&root, "no-chain");
    };
    let told = ask_all(&node, check).await;
    if turn.is_over() {
        return;
    }
    match told {
        Ok(Standing::Current) => show(&root, "right"),
        Ok(Standing::Corrected { newest }) => {
            set(&root, "newest", &newest.to_string());
            show(&root, "stale");
        }
        Err(CheckError::Proof(error)) => refuse(&root, &error),
        Err(CheckError::Answer(why)) => {
            set(&root, "why", &why);
            show(&root, "unasked");
        }
    }
}

/// The chain and the contract that this page goes by.
fn home(root: &Element) -> Option<(u8, settlement::Address)> {
    let of = |name: &str| root.get_attribute(name);
    let chain = of("data-chain")?.parse().ok()?;
    Some((chain, of("data-contract")?.parse().ok()?))
}

async fn ask_all(node: &str, mut check: Check) -> Result<Standing, CheckError> {
    loop {
        let answer = ask(node, &check.question()).await;
        let answer = answer.map_err(CheckError::Answer)?;
        match check.answered(&answer)? {
            Progress::More(next) => check = *next,
            Progress::Done(standing) => return Ok(standing),
        }
    }
}

/// The node's answer, or what became of the asking.
async fn ask(node: &str, question: &Question) -> Result<String, String> {
    let said = |value: wasm_bindgen::JsValue| {
        let error = value.dyn_into::<js_sys::Error>();
        error.map_or_else(|_| String::new(), |error| String::from(error.message()))
    };
    let init = RequestInit::new();
    init.set_mode(RequestMode::Cors);
    // Whoever reads the page is none of the node's business.
    init.set_credentials(RequestCredentials::Omit);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(PATIENCE_MS)));
    if let Some(body) = &question.body {
        let headers = Headers::new().map_err(said)?;
        headers
            .set("content-type", "application/json")
            .map_err(said)?;
        init.set_method("POST");
        init.set_headers(&headers);
        init.set_body(&wasm_bindgen::JsValue::from_str(body));
    }
    let window = web_sys::window().ok_or_else(String::new)?;
    let url = format!("{node}{}", question.path);
    let answer = JsFuture::from(window.fetch_with_str_and_init(&url, &init)).await;
    let answer: Response = answer.map_err(said)?.dyn_into().map_err(said)?;
    if !answer.ok() {
        return Err(answer.status().to_string());
    }
    let text = JsFuture::from(answer.text().map_err(said)?).await;
    text.map_err(said)?.as_string().ok_or_else(String::new)
}

fn refuse(root: &Element, error: &ProofError) {
    let now = match error {
        ProofError::NotOne(_) | ProofError::Format(_) => "unreadable",
        ProofError::Broken => "changed",
        ProofError::NotPublished => "absent",
        ProofError::OtherRoot => "other-report",
        ProofError::OtherContract(_) => "other-contract",
        ProofError::OtherChain { .. } => "other-chain",
    };
    show(root, now);
}

/// What the file says; shown only where it fits in itself.
fn sum_up(root: &Element, proof: &Proof) {
    for (name, value) in [
        ("owner", proof.owner.to_string()),
        ("amount", proof.amount.to_io()),
        ("week", proof.monday.clone()),
        ("version", proof.version.to_string()),
        ("root", proof.root.to_string()),
        ("total", proof.total.to_io()),
        ("owners", proof.owners.to_string()),
        ("newest", String::new()),
        ("why", String::new()),
    ] {
        set(root, name, &value);
    }
    hide(root, "[data-report-facts]", false);
}
