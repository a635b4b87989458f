//! The machine itself: cores, memory, network.

use protocol::telemetry::{Field, Values, note};

use crate::devices::{LoadMeter, whole};
use crate::sandbox::boottime_ms;

#[derive(Debug, Default)]
pub struct Meter {
    load: LoadMeter,
    traffic: Option<(u64, f64, f64)>,
}

impl Meter {
    pub fn look(&mut self) -> Values {
        let mut values = Values::new();
        let first = self.traffic.is_none();
        let load = self.load.look();
        let mib = u32::try_from(load.memory_used_mib).unwrap_or(u32::MAX);
        note(&mut values, Field::HostMemory, mib.into());
        if !first {
            note(&mut values, Field::HostCpu, load.cpu_percent.into());
        }
        let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
        let (now, (rx, tx)) = (boottime_ms(), traffic(&table));
        if let Some((at, was_rx, was_tx)) = self.traffic.replace((now, rx, tx)) {
            let seconds = f64::from(whole(now.saturating_sub(at).max(1))) / 1_000.0;
            // An interface that went takes its counters with it.
            if rx >= was_rx && tx >= was_tx {
                note(
                    &mut values,
                    Field::HostRx,
                    ((rx - was_rx) / seconds).round(),
                );
                note(
                    &mut values,
                    Field::HostTx,
                    ((tx - was_tx) / seconds).round(),
                );
            }
        }
        values
    }
}

/// Bytes in and out of all interfaces but those that lead nowhere else: the loopback, and what only joins others on this machine.
fn traffic(table: &str) -> (f64, f64) {
    let mut sum = (0.0, 0.0);
    for line in table.lines() {
        let Some((name, figures)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        let inner = [
            "lo", "veth", "docker", "br-", "virbr", "tap", "tun", "bond", "dummy",
        ];
        if inner.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let figures: Vec<&str> = figures.split_whitespace().collect();
        let figure = |at: usize| figures.get(at).and_then(|text| text.parse::<f64>().ok());
        if let (Some(rx), Some(tx)) = (figure(0), figure(8)) {
            sum = (sum.0 + rx, sum.1 + tx);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_that_of_the_machines_own_lines() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    \
            lo: 9000 1 0 0 0 0 0 0 9000 1 0 0 0 0 0 0\n  \
            eth0: 1200 3 0 0 0 0 0 0 340 2 0 0 0 0 0 0\n\
            veth1:  77 3 0 0 0 0 0 0 77 2 0 0 0 0 0 0\n wlan0: 1 0 0 0 0 0 0 0 2 0\n";
        assert_eq!(traffic(table), (1_201.0, 342.0));
    }

    #[test]
    fn the_second_look_knows_shares() {
        let mut meter = Meter::default();
        assert!(!meter.look().contains_key(&Field::HostCpu));
        let values = meter.look();
        assert!(values.contains_key(&Field::HostCpu) && values.contains_key(&Field::HostRx));
    }
}
