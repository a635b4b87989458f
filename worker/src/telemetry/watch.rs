//! What happens to a device, told from one second's values to the next's.

use protocol::telemetry::{Field, Happening, SLOWED, Values};

/// So many seconds at full speed end a slowdown: cards flicker at the edge.
const CALM_SECONDS: u64 = 10;

#[derive(Debug, Default)]
pub struct Watch {
    corrected: Option<f64>,
    uncorrected: Option<f64>,
    /// Reasons that were told, and since how many seconds.
    slowed: Option<(u64, u64)>,
    calm: u64,
    gone: bool,
    pub last_xid: Option<u32>,
}

impl Watch {
    /// Takes a second in.
    pub fn look(&mut self, values: &Values) -> Vec<Happening> {
        self.gone = false;
        let mut seen = Vec::new();
        let grown = |known: &mut Option<f64>, field| {
            let now = values.get(&field).copied()?;
            let before = known.replace(now)?;
            // A driver that was loaded anew counts from nought.
            let more = whole(now) - whole(before);
            u64::try_from(more).ok().filter(|more| *more > 0)
        };
        let corrected = grown(&mut self.corrected, Field::EccSbe);
        seen.extend(corrected.map(|errors| Happening::EccCorrected { errors }));
        let uncorrected = grown(&mut self.uncorrected, Field::EccDbe);
        seen.extend(uncorrected.map(|errors| Happening::EccUncorrected { errors }));
        if let Some(reasons) = values.get(&Field::ThrottleReasons) {
            let reasons = u64::try_from(whole(*reasons)).unwrap_or(0) & SLOWED;
            seen.extend(self.throttle(reasons));
        }
        seen
    }

    fn throttle(&mut self, reasons: u64) -> Option<Happening> {
        let Some((told, seconds)) = &mut self.slowed else {
            self.calm = 0;
            self.slowed = (reasons != 0).then_some((reasons, 1));
            return (reasons != 0).then_some(Happening::Throttled { reasons });
        };
        *seconds += 1;
        if reasons == 0 {
            self.calm += 1;
            let seconds = seconds.saturating_sub(CALM_SECONDS);
            if self.calm < CALM_SECONDS {
                return None;
            }
            self.slowed = None;
            return Some(Happening::Unthrottled { seconds });
        }
        self.calm = 0;
        let new = reasons & !*told;
        *told |= reasons;
        (new != 0).then_some(Happening::Throttled { reasons })
    }

    /// Its driver does not find it. Told once.
    pub fn lost(&mut self) -> Option<Happening> {
        let first = !std::mem::replace(&mut self.gone, true);
        first.then_some(Happening::Lost)
    }
}

/// Counters and bits come as numbers that a double holds exactly.
#[expect(
    clippy::cast_possible_truncation,
    reason = "fields' ranges end far below what 64 bits hold"
)]
fn whole(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(bits: f64) -> Values {
        Values::from([(Field::ThrottleReasons, bits)])
    }

    #[test]
    fn a_slowdown_is_told_once_and_its_end_when_it_is_calm() {
        let mut watch = Watch::default();
        // Idle, application clocks and the power cap are ordinary.
        assert_eq!(watch.look(&reasons(7.0)), []);
        let hot = Happening::Throttled { reasons: 0x40 };
        assert_eq!(watch.look(&reasons(f64::from(0x44))), [hot]);
        assert_eq!(watch.look(&reasons(64.0)), []);
        assert_eq!(watch.look(&reasons(0.0)), []);
        assert_eq!(watch.look(&reasons(64.0)), [], "flickering");
        let more = Happening::Throttled { reasons: 0x48 };
        assert_eq!(watch.look(&reasons(f64::from(0x48))), [more]);
        let calm: Vec<Happening> = (0..30).flat_map(|_| watch.look(&reasons(1.0))).collect();
        assert_eq!(calm, [Happening::Unthrottled { seconds: 5 }]);
        assert_eq!(watch.look(&reasons(64.0)), [hot]);
    }

    #[test]
    fn errors_of_memory_are_told_by_how_many_more_there_are() {
        let mut watch = Watch::default();
        let ecc = |sbe: u32, dbe: u32| {
            Values::from([
                (Field::EccSbe, f64::from(sbe)),
                (Field::EccDbe, f64::from(dbe)),
            ])
        };
        assert_eq!(watch.look(&ecc(5, 1)), [], "from before the worker came");
        assert_eq!(watch.look(&ecc(5, 1)), []);
        let both = [
            Happening::EccCorrected { errors: 2 },
            Happening::EccUncorrected { errors: 1 },
        ];
        assert_eq!(watch.look(&ecc(7, 2)), both);
        assert_eq!(watch.look(&ecc(0, 0)), [], "the driver was loaded anew");
        assert_eq!(watch.look(&Values::new()), []);
        assert_eq!(
            watch.look(&ecc(1, 0)),
            [Happening::EccCorrected { errors: 1 }]
        );
    }

    #[test]
    fn a_card_is_lost_once_until_it_is_back() {
        let mut watch = Watch::default();
        assert_eq!(watch.lost(), Some(Happening::Lost));
        assert_eq!(watch.lost(), None);
        watch.look(&Values::new());
        assert_eq!(watch.lost(), Some(Happening::Lost));
    }
}
