//! The card's numbers are the plain ones. Runs on whatever Vulkan shows, a program that plays a card (lavapipe) included; where it shows
//! nothing, only the refusal is looked at.

use gpu_probe::{Card, ProbeError, Wanted, cards};
use kernel::{ChallengeId, Timestamp};
use proof::key::{Key, Purpose};
use proof::product::Factors;
use proof::sweep::{self, Sweeps};
use proof::{Binding, fill, product};
use protocol::proof::{FillTask, Place, ProductTask};

fn any() -> Wanted {
    Wanted {
        software: true,
        ..Wanted::default()
    }
}

#[test]
fn a_card_computes_what_the_plain_way_does() {
    let binding = Binding {
        challenge: ChallengeId::new(Timestamp::from_millis(1), [3; 10]),
        node_key: "ab",
        device_uuid: "GPU-1",
    };
    let mut card = match Card::open(&any()) {
        Ok(card) => card,
        Err(error) => {
            assert!(cards().is_empty(), "{error}");
            eprintln!("no Vulkan here: the shaders were not compared");
            return;
        }
    };
    let key = Key::new(&binding, "00", Purpose::Fill);
    let next = |text: &str| sweep::key(&binding, text);
    let place = |sweep, group| Place { sweep, group };
    // One block, a leaf that is not full, one that is left over, and more threads than one group has.
    for blocks in [1, 63, 64, 65, 130, 64 * 70 + 1] {
        let task = FillTask {
            blocks,
            passes: 3,
            sweeps: 3,
        };
        card.fill(key, task, &|| true).unwrap();
        let plain = fill::filled(key, task, || true).unwrap();
        let one = |key| sweep::answers(key, &plain);
        let plain = Sweeps::of("01", task.sweeps, next, one, || true).unwrap();
        assert_eq!(
            card.sweep("01", &next, &|| true),
            Ok(plain.roots()),
            "{blocks} blocks"
        );
        let last = sweep::groups(blocks) - 1;
        let places = [place(0, 0), place(2, last), place(1, last / 2)];
        assert_eq!(card.open_sweeps(&places), Ok(plain.open(&places)));
        assert!(card.open_sweeps(&[place(0, last + 1)]).is_err());
        assert!(card.open_sweeps(&[place(3, 0)]).is_err());
    }
    assert_eq!(card.sweep("01", &next, &|| false), Err(ProbeError::Stopped));
    assert!(card.open_sweeps(&[place(0, 0)]).is_err(), "it was let go");
    let task = FillTask {
        blocks: 130,
        passes: 3,
        sweeps: 2,
    };
    assert_eq!(card.fill(key, task, &|| false), Err(ProbeError::Stopped));
    assert!(
        card.sweep("01", &next, &|| true).is_err(),
        "what was filled is gone"
    );

    let factors = Factors::new(&binding, "00");
    for size in [1, 63, 64, 100, 256] {
        let task = ProductTask { size, factors: 2 };
        let plain = product::rows(&factors, task, || true).unwrap().concat();
        assert!(
            card.multiply(&factors, task, &|| true) == Ok(plain),
            "{size}"
        );
    }
    assert_eq!(
        card.multiply(
            &factors,
            ProductTask {
                size: 64,
                factors: 1
            },
            &|| false
        ),
        Err(ProbeError::Stopped)
    );
}

#[test]
fn forged_cards_of_software_are_refused_by_name() {
    let refused = Card::open(&Wanted::default()).map(|card| card.name().to_owned());
    let found = cards();
    if found.iter().any(|card| !card.software) {
        assert!(refused.is_ok(), "{refused:?}");
        return;
    }
    match found.first() {
        Some(played) => assert_eq!(refused, Err(ProbeError::Software(played.name.clone()))),
        None => assert_eq!(refused, Err(ProbeError::NotFound)),
    }
}
