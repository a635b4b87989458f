//! Matching in a book of a million offers, beside SQLite with covering indexes and beside price-sorted vectors. All
//! answer the same questions in the same run, and their answers are compared one by one.

mod data;
mod sorted;
mod sqlite;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use kernel::{Amount, JobId, PricePerSecond, Timestamp};
use market::{Book, Offer, Request};
use rustix::time::{ClockId, clock_gettime};

use crate::row::{Goal, Row, percentile};
use data::Question;
use sorted::Sorted;
use sqlite::Sqlite;

const OFFERS: u32 = 1_000_000;
const QUESTIONS: usize = 4_000;
const GANGS: usize = 200;
const UPDATES: usize = 200_000;

/// CPU time of this thread, microseconds: other programs on the machine do not count.
fn micros(f: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let from = now();
    f();
    (now().saturating_sub(from)).as_secs_f64() * 1e6
}

/// Bytes of memory that this process holds.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4_096.0
}

fn changed(offer: &Offer, n: usize) -> Offer {
    let base = offer.price.per_second().base();
    let step = i64::try_from(n % 1_800).expect("small") - 900;
    let price = Amount::try_from_base((base + step).max(1)).expect("small");
    Offer {
        price: PricePerSecond::from_amount(price),
        ..offer.clone()
    }
}

/// Times by kind of question.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<f64>>);

impl Times {
    fn add(&mut self, kind: &'static str, micros: f64) {
        self.0.entry(kind).or_default().push(micros);
    }

    fn all(&self, share: f64) -> f64 {
        percentile(
            &mut self.0.values().flatten().copied().collect::<Vec<_>>(),
            share,
        )
    }

    fn print(&mut self, who: &str) {
        for (kind, times) in &mut self.0 {
            println!(
                "  {who:<8} {kind:<34} p50 {:>9.2}  p99 {:>9.2} µs",
                percentile(times, 0.5),
                percentile(times, 0.99)
            );
        }
    }
}

pub fn measure() -> Vec<Row> {
    let offers = data::offers(OFFERS);
    let before = resident();
    let mut book = Book::default();
    let build = micros(|| book = offers.iter().cloned().collect());
    let bytes = (resident() - before) / f64::from(OFFERS);
    println!(
        "  each added million offers: {:.2} s of CPU and {:.0} MiB",
        build / f64::from(OFFERS),
        bytes * 1e6 / f64::from(1 << 20)
    );
    let questions = data::questions(QUESTIONS);
    let gangs = data::gangs(GANGS);
    let (mut ours, answers) = ask(&book, &questions);
    let (gang_times, gang_costs) = ask_gangs(&book, &gangs);
    let (price, hire) = update(&mut book, &offers);
    println!("  a hire or its end: {hire:.2} µs; a change of price: {price:.2} µs");
    let grown = (resident() - before) / f64::from(OFFERS);
    let (later, _) = ask(&book, &questions);
    println!(
        "  after {UPDATES} changes: the same questions p50 {:.2} µs, p99 {:.2} µs; at most {grown:.0} B an offer",
        later.all(0.5),
        later.all(0.99)
    );
    drop(book);

    let sorted = Sorted::of(&offers);
    let mut by_hand = Times::default();
    for (question, answer) in questions.iter().zip(&answers) {
        let mut found = None;
        by_hand.add(
            question.kind,
            micros(|| found = black_box(sorted.ask(question))),
        );
        assert_eq!(found, answer.as_ref().map(Offer::rank), "{}", question.kind);
    }
    drop(sorted);

    let db = Sqlite::of(&offers);
    let mut peer = Times::default();
    for (question, answer) in questions.iter().zip(&answers) {
        let mut statement = db.prepare(question);
        let mut found = None;
        peer.add(question.kind, micros(|| found = black_box(statement.ask())));
        assert_eq!(
            found,
            answer.as_ref().map(|offer| offer.device.to_string()),
            "{}",
            question.kind
        );
    }
    let mut peer_gangs = Times::default();
    for (question, cost) in gangs.iter().zip(&gang_costs) {
        let mut statement = db.prepare(question);
        let mut found = None;
        peer_gangs.add(question.kind, micros(|| found = black_box(statement.ask())));
        assert_eq!(found, *cost, "{}", question.kind);
    }
    let peer_update = micros(|| {
        for (n, offer) in offers.iter().enumerate().step_by(997) {
            let new = changed(offer, n).price.per_second().base();
            sqlite::update(&db, &offer.device.to_string(), new);
        }
    }) / f64::from(OFFERS.div_ceil(997));
    ours.print("IOG");
    by_hand.print("vectors");
    peer.print("SQLite");
    println!(
        "  vectors by model: p50 {:.2} µs, p99 {:.2} µs; all {} answers of the three are equal",
        by_hand.all(0.5),
        by_hand.all(0.99),
        questions.len() + gangs.len()
    );
    let indexed = "SQLite, covering indexes";
    vec![
        Row::new(
            "match_1m_p50",
            "µs",
            ours.all(0.5),
            (indexed, peer.all(0.5)),
            &Goal::RatioAtMost(1.0 / 30.0),
        ),
        Row::new(
            "match_1m_p99",
            "µs",
            ours.all(0.99),
            (indexed, peer.all(0.99)),
            &Goal::AtMost(100.0),
        ),
        Row::new(
            "match_gang_p50",
            "µs",
            gang_times.all(0.5),
            (indexed, peer_gangs.all(0.5)),
            &Goal::RatioAtMost(1.0 / 50.0),
        ),
        Row::new(
            "offer_update",
            "µs",
            price,
            (indexed, peer_update),
            &Goal::AtMost(2.0),
        ),
        Row::new(
            "offer_bytes",
            "B",
            bytes,
            ("an Offer in a list", size_of_offer()),
            &Goal::AtMost(200.0),
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "some hundred bytes")]
fn size_of_offer() -> f64 {
    size_of::<Offer>() as f64
}

fn ask(book: &Book, questions: &[Question]) -> (Times, Vec<Option<Offer>>) {
    let requests: Vec<Request> = questions.iter().map(Question::request).collect();
    let mut times = Times::default();
    // Once unmeasured: the book of a running server is warm.
    let answers = requests.iter().map(|request| book.best(request)).collect();
    for (question, request) in questions.iter().zip(&requests) {
        times.add(
            question.kind,
            micros(|| drop(black_box(book.best(request)))),
        );
    }
    (times, answers)
}

fn ask_gangs(book: &Book, gangs: &[Question]) -> (Times, Vec<Option<String>>) {
    let mut times = Times::default();
    let mut costs = Vec::new();
    for question in gangs {
        let request = question.request();
        let mut found = None;
        times.add(
            question.kind,
            micros(|| found = black_box(book.choose(&request).ok())),
        );
        costs.push(found.map(|choice| {
            let prices = choice
                .offers
                .iter()
                .map(|offer| offer.price.per_second().base());
            prices.sum::<i64>().to_string()
        }));
    }
    (times, costs)
}

/// Mean CPU of a change of price and of a hire or its end, in microseconds.
fn update(book: &mut Book, offers: &[Offer]) -> (f64, f64) {
    let some = |n: usize| &offers[n.wrapping_mul(7_919) % offers.len()];
    let new: Vec<Offer> = (0..UPDATES).map(|n| changed(some(n), n)).collect();
    let price = micros(|| {
        for offer in &new {
            book.put(offer);
        }
    });
    let job = JobId::new(Timestamp::from_millis(1), [1; 10]);
    let hire = micros(|| {
        for n in 0..UPDATES / 2 {
            let device = some(n).device;
            if book.take(device, job) {
                book.free(device, job);
            }
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let count = UPDATES as f64;
    (price / count, hire / count)
}
