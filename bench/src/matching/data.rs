//! A book of a million offers and what people ask of it. The same at every run.

use kernel::{AccountId, Amount, DeviceId, NodeId, PricePerSecond, Seconds, Timestamp};
use market::{Ask, Country, Filter, Near, Number, Offer, Request, Supply, Term, Test, Version};
use protocol::spec::DeviceClass;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Model, VRAM in MiB, a usual price in IO an hour, how common.
const MODELS: [(&str, u64, f64, u32); 32] = [
    ("NVIDIA GeForce RTX 4090", 24_564, 0.40, 160),
    ("NVIDIA GeForce RTX 3090", 24_576, 0.22, 120),
    ("NVIDIA GeForce RTX 5090", 32_607, 0.65, 90),
    ("NVIDIA GeForce RTX 3060", 12_288, 0.08, 80),
    ("NVIDIA GeForce RTX 3080", 10_240, 0.14, 70),
    ("NVIDIA GeForce RTX 4080", 16_376, 0.28, 60),
    ("NVIDIA GeForce RTX 3070", 8_192, 0.10, 60),
    ("NVIDIA GeForce RTX 4070 Ti", 12_282, 0.20, 50),
    ("NVIDIA GeForce RTX 4070", 12_282, 0.17, 45),
    ("NVIDIA GeForce RTX 4060 Ti", 16_380, 0.13, 40),
    ("NVIDIA GeForce RTX 3080 Ti", 12_288, 0.16, 35),
    ("NVIDIA GeForce RTX 3060 Ti", 8_192, 0.09, 35),
    ("NVIDIA A100-SXM4-80GB", 81_920, 1.30, 30),
    ("NVIDIA H100 80GB HBM3", 81_559, 2.40, 28),
    ("NVIDIA A100 80GB PCIe", 81_920, 1.15, 24),
    ("NVIDIA GeForce RTX 2080 Ti", 11_264, 0.11, 24),
    ("NVIDIA RTX A6000", 49_140, 0.55, 22),
    ("NVIDIA RTX A5000", 24_564, 0.30, 20),
    ("NVIDIA L40S", 46_068, 0.85, 18),
    ("NVIDIA RTX 6000 Ada Generation", 49_140, 0.80, 16),
    ("NVIDIA A40", 46_068, 0.45, 14),
    ("NVIDIA GeForce GTX 1080 Ti", 11_264, 0.06, 14),
    ("Tesla V100-SXM2-32GB", 32_768, 0.35, 12),
    ("Tesla T4", 15_360, 0.15, 12),
    ("NVIDIA A10", 23_028, 0.35, 10),
    ("NVIDIA L4", 23_034, 0.38, 10),
    ("NVIDIA H200", 143_771, 3.10, 8),
    ("NVIDIA RTX A4000", 16_376, 0.18, 8),
    ("NVIDIA GeForce RTX 4080 SUPER", 16_376, 0.30, 8),
    ("NVIDIA B200", 183_359, 4.50, 4),
    ("NVIDIA GH200 480GB", 97_871, 2.00, 2),
    ("NVIDIA A30", 24_576, 0.40, 2),
];
const COUNTRIES: [(&str, u32); 24] = [
    ("US", 260),
    ("DE", 90),
    ("CN", 80),
    ("CA", 60),
    ("FR", 50),
    ("GB", 45),
    ("NL", 40),
    ("PL", 35),
    ("SE", 30),
    ("JP", 30),
    ("KR", 28),
    ("IN", 26),
    ("BR", 24),
    ("FI", 22),
    ("CZ", 20),
    ("ES", 20),
    ("IT", 18),
    ("NO", 16),
    ("AU", 16),
    ("SG", 14),
    ("TW", 14),
    ("BG", 10),
    ("ZA", 8),
    ("CH", 6),
];
/// Halls, each one latency group; a hall has two models, as an owner buys them.
const HALLS: usize = 6_000;

fn weighted<T: Copy>(random: &mut SmallRng, from: &[T], weight: impl Fn(&T) -> u32) -> T {
    let mut left = random.random_range(0..from.iter().map(&weight).sum());
    for item in from {
        let own = weight(item);
        if left < own {
            return *item;
        }
        left -= own;
    }
    from[0]
}

fn pick<T: Copy>(random: &mut SmallRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}

struct Hall {
    country: Country,
    models: [usize; 2],
    /// Its owner's prices beside the usual ones.
    factor: f64,
}

fn model(random: &mut SmallRng) -> usize {
    let numbers: Vec<usize> = (0..MODELS.len()).collect();
    weighted(random, &numbers, |n| MODELS[*n].3)
}

fn hall(random: &mut SmallRng) -> Hall {
    let country = weighted(random, &COUNTRIES, |country| country.1).0;
    Hall {
        country: Country::parse(country).expect("two letters"),
        models: [model(random), model(random)],
        factor: random.random_range(0.75..1.5),
    }
}

pub fn offers(count: u32) -> Vec<Offer> {
    let mut random = SmallRng::seed_from_u64(1);
    let halls: Vec<Hall> = (0..HALLS).map(|_| hall(&mut random)).collect();
    (0..count).map(|n| offer(&mut random, n, &halls)).collect()
}

/// One device a node: the dearest case for the index, which finds devices by node too.
fn offer(random: &mut SmallRng, n: u32, halls: &[Hall]) -> Offer {
    let at = Timestamp::from_millis(
        1_700_000_000_000 + i64::from(random.random_range(0..90_000_000_u32)) * 1_000,
    );
    let number = random.random_range(0..halls.len());
    let hall = &halls[number];
    let (name, vram, usual, _) = MODELS[pick(random, &hall.models)];
    // Owners write prices with two or three digits.
    let io = usual * hall.factor * random.random_range(0.9..1.15);
    #[expect(clippy::cast_possible_truncation, reason = "some hundreds")]
    let thousandths = (io * 1_000.0).round().max(1.0) as i64;
    let hour = Amount::try_from_base(thousandths * 100_000).expect("small");
    Offer {
        device: DeviceId::new(at, random.random()),
        node: NodeId::new(at, random.random()),
        owner: AccountId::new(at, random.random()),
        class: DeviceClass::Gpu,
        model: name.into(),
        device_memory_mib: vram,
        cards: 1,
        driver: Version::new(
            pick(random, &[470, 535, 545, 550, 560, 565, 570]),
            random.random_range(0..200),
        ),
        cuda: pick(
            random,
            &[
                Version::new(11, 8),
                Version::new(12, 2),
                Version::new(12, 4),
                Version::new(12, 8),
            ],
        ),
        cpus: pick(random, &[4, 8, 12, 16, 24, 32, 64, 128]),
        memory_mib: pick(random, &[15_900, 31_800, 64_200, 128_700, 257_800, 515_800]),
        disk_mib: random.random_range(20_000..4_000_000),
        up_mbit: random.random_range(10..5_000),
        down_mbit: random.random_range(10..10_000),
        country: Some(hall.country),
        group: Some(format!("hall-{number}").into()),
        reputation: 100 - random.random_range(0..8_u32).pow(2).min(60),
        verified: random.random_range(0..4),
        watts: pick(random, &[200, 300, 350, 450]),
        min_duration: Seconds::ZERO,
        max_duration: Some(Seconds::new(86_400 * pick(random, &[1, 7, 30, 90]))),
        price: PricePerSecond::from_per_hour(hour).expect("small"),
        joined_at: at,
        supply: if n % 10 < 7 {
            Supply::Offered
        } else {
            Supply::Down
        },
        holder: None,
    }
}

/// What is asked, in a form that each contender puts into its own words.
pub struct Question {
    pub kind: &'static str,
    pub model: Option<&'static str>,
    pub country: Option<&'static str>,
    pub least: Vec<(Number, u64)>,
    /// Base units a second.
    pub most: Option<u64>,
    pub nodes: u32,
}

impl Question {
    pub fn request(&self) -> Request {
        let mut tests = Vec::new();
        tests.extend(self.model.map(Test::model));
        tests.extend(
            self.country
                .and_then(Country::parse)
                .map(|country| Test::Country(vec![country])),
        );
        tests.extend(
            self.least
                .iter()
                .map(|(number, value)| Test::at_least(*number, *value)),
        );
        tests.extend(self.most.map(|most| Test::at_most(Number::Price, most)));
        let term = |test: Test| Term {
            source: test.field().to_owned(),
            text: String::new(),
            test,
        };
        let near = if self.nodes > 1 {
            Near::Group
        } else {
            Near::Any
        };
        Request {
            filter: Filter {
                terms: tests.into_iter().map(term).collect(),
            },
            ask: Ask {
                nodes: self.nodes,
                near,
                ..Ask::default()
            },
            ..Request::default()
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a price of some thousand base units"
)]
fn base(io_per_hour: f64) -> u64 {
    (io_per_hour * 1e8 / 3_600.0) as u64
}

/// Eight kinds in turn: what is common, what is hard to find, and what is not there.
pub fn questions(count: usize) -> Vec<Question> {
    let mut random = SmallRng::seed_from_u64(2);
    (0..count).map(|n| question(&mut random, n)).collect()
}

fn question(random: &mut SmallRng, n: usize) -> Question {
    let (model, vram, usual, _) = MODELS[model(random)];
    let country = Some(weighted(random, &COUNTRIES, |country| country.1).0);
    let gib = |n: u64| n * 1_024 - 512;
    let any = Question {
        kind: "",
        model: None,
        country: None,
        least: Vec::new(),
        most: None,
        nodes: 1,
    };
    let named = Question {
        model: Some(model),
        least: Vec::new(),
        ..any
    };
    let any = Question {
        model: None,
        least: Vec::new(),
        ..named
    };
    match n % 8 {
        0 => Question {
            kind: "model, reputation",
            least: vec![(Number::Reputation, pick(random, &[80, 90, 95]))],
            ..named
        },
        1 => Question {
            kind: "model, country, network",
            country,
            least: vec![(Number::Down, pick(random, &[100, 500, 1_000, 5_000]))],
            ..named
        },
        2 => Question {
            kind: "broad: memory, reputation, price",
            least: vec![
                (Number::Vram, gib(pick(random, &[12, 16, 24, 40, 48, 80]))),
                (Number::Reputation, pick(random, &[80, 90, 95])),
            ],
            most: Some(base(usual)),
            ..any
        },
        3 => Question {
            kind: "selective: seven terms",
            country,
            least: vec![
                (Number::Reputation, 98),
                (Number::Cpus, pick(random, &[32, 64, 96])),
                (Number::Memory, gib(pick(random, &[128, 256]))),
                (Number::Disk, random.random_range(500_000..3_900_000)),
                (Number::Down, random.random_range(2_000..9_900)),
            ],
            ..named
        },
        4 => Question {
            kind: "impossible: too cheap",
            most: Some(base(usual * 0.5)),
            ..named
        },
        5 => Question {
            kind: "impossible: too much memory",
            least: vec![(Number::Vram, vram + 1)],
            ..named
        },
        6 => Question {
            kind: "impossible: no model named",
            country,
            least: vec![(Number::Vram, gib(180)), (Number::Reputation, 95)],
            most: Some(base(3.0)),
            ..any
        },
        _ => Question {
            kind: "broad: versions, memory, country",
            country,
            least: vec![
                (Number::Cuda, 12_004),
                (Number::Driver, 550_000 + random.random_range(0..20_000)),
                (Number::Vram, gib(24)),
            ],
            ..any
        },
    }
}

/// Eight nodes in one hall.
pub fn gangs(count: usize) -> Vec<Question> {
    let mut random = SmallRng::seed_from_u64(3);
    (0..count)
        .map(|_| Question {
            kind: "gang of 8",
            model: Some(weighted(&mut random, &MODELS[..12], |model| model.3).0),
            country: None,
            least: vec![(Number::Reputation, pick(&mut random, &[50, 80]))],
            most: None,
            nodes: 8,
        })
        .collect()
}
