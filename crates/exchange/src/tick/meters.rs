//! What those who watch an account, a job or a node are told once a second.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AccountId, JobId, NodeId};
use protocol::live::{Live, Topic};
use store::Balances;

use crate::desk::Exchange;
use crate::error::Error;
use crate::views::meter;

const METER_EVERY_MS: i64 = 1_000;

impl Exchange {
    /// Once a second, for those who watch.
    pub(super) async fn publish_meters(&self) -> Result<(), Error> {
        let now = self.now();
        let watched = self.live().watched_topics();
        let accounts: BTreeMap<AccountId, Vec<JobId>> = {
            let mut memory = self.memory();
            if now.millis_since(memory.meters_at) < METER_EVERY_MS {
                return Ok(());
            }
            memory.meters_at = now;
            let owner = |topic: &Topic| match topic {
                Topic::Account(account) => Some(*account),
                Topic::Job(job) => memory
                    .leases_of_job(*job)
                    .next()
                    .map(|live| live.lease.account),
                Topic::Market | Topic::Node(_) => None,
            };
            let accounts: BTreeSet<AccountId> = watched.iter().filter_map(owner).collect();
            let jobs = |account| {
                let leases = memory.leases_of_account(account);
                leases.map(|live| live.lease.job).collect()
            };
            let all = accounts.into_iter().map(|account| (account, jobs(account)));
            all.filter(|(_, jobs): &(_, Vec<JobId>)| !jobs.is_empty())
                .collect()
        };
        for (account, jobs) in accounts {
            let Balances {
                available, held, ..
            } = self.inner.store.balances(account).await?;
            let means = self.means(account, available, held).await?;
            let (all, each) = {
                let memory = self.memory();
                let all = meter(memory.leases_of_account(account), means);
                let each: Vec<_> = jobs
                    .into_iter()
                    .map(|job| (job, meter(memory.leases_of_job(job), means)))
                    .collect();
                (all, each)
            };
            self.live().publish(
                Topic::Account(account),
                Live::Meter {
                    meter: all,
                    at: now,
                },
            );
            for (job, meter) in each {
                self.live()
                    .publish(Topic::Job(job), Live::Meter { meter, at: now });
            }
        }
        let linked = |node: &NodeId| {
            let memory = self.memory();
            memory
                .nodes
                .get(node)
                .is_some_and(|live| live.link.is_some())
        };
        let nodes = watched.into_iter().filter_map(|topic| match topic {
            Topic::Node(node) => Some(node),
            _ => None,
        });
        for node in nodes.filter(linked) {
            if let Some(view) = self.node_view(node) {
                self.live().publish(
                    Topic::Node(node),
                    Live::Node {
                        node: Box::new(view),
                    },
                );
            }
        }
        Ok(())
    }
}
