//! Saved searches: queries of the market that an account keeps, and an alert when an offer begins to match one.
//!
//! A pass over all of them begins only when the book has changed since the last, every few seconds at most, and goes a
//! bounded number a step. What matched is in the database, so a restart raises no alert for what was known.

use std::collections::BTreeSet;

use kernel::{AccountId, DeviceId, SearchId, Timestamp};
use market::{Offer, Query};
use protocol::live::{Live, Topic};
use protocol::notice::Notice;
use protocol::view::{Scope, SearchAlert, SearchView};
use store::Search;

use crate::actor::Actor;
use crate::desk::{Exchange, Memory};
use crate::error::Error;
use crate::views::per_hour;

/// An account keeps so many.
pub const SEARCHES_MAX: usize = 20;
/// A search with more matches than this raises no alerts.
const FOLLOWED_MAX: usize = 500;
const LOOK_EVERY_MS: i64 = 3_000;
/// Searches that are looked at in one step.
const LOOKS: u32 = 200;
/// After a start workers come back one by one; what they offer is not new.
const SETTLE_MS: i64 = 15_000;
const NAME_MAX: usize = 80;

/// Where the pass over all searches stands.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Not before this.
    pub next: Timestamp,
    /// The last one that was looked at in the pass that is under way.
    after: Option<SearchId>,
    /// The book as it was when the last pass began.
    revision: Option<u64>,
}

impl Watch {
    pub fn settle(now: Timestamp, grace_ms: u64) -> Self {
        let grace = i64::try_from(grace_ms).unwrap_or(i64::MAX);
        Self {
            next: now.plus_millis(grace.saturating_add(SETTLE_MS)),
            ..Self::default()
        }
    }
}

/// What was found for one search.
struct Look {
    search: Search,
    alerts: u32,
}

fn named(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let plain = !name.is_empty()
        && name.chars().count() <= NAME_MAX
        && !name.contains(|c: char| c.is_control());
    plain
        .then(|| name.to_owned())
        .ok_or_else(|| Error::invalid("name", "1 to 80 characters on one line"))
}

/// The free offers that match, cheapest first; `None`: too many to follow.
fn follow(memory: &Memory, query: &Query) -> Option<Vec<Offer>> {
    let book = memory.book.of(query.placement.kind);
    let open = market::Scope::Open;
    let found = book.list(&query.filter, open, 0, FOLLOWED_MAX.saturating_add(1));
    (found.len() <= FOLLOWED_MAX).then_some(found)
}

fn devices(found: &[Offer]) -> Vec<DeviceId> {
    let all: BTreeSet<DeviceId> = found.iter().map(|offer| offer.device).collect();
    all.into_iter().collect()
}

impl Exchange {
    fn search_view(&self, memory: &Memory, search: Search) -> SearchView {
        let matching = self.query("q", &search.query).map_or(0, |query| {
            let book = memory.book.of(query.placement.kind);
            book.count(&query.filter, market::Scope::Open)
        });
        SearchView {
            id: search.id,
            name: search.name,
            q: search.query,
            created_at: search.created_at,
            matching: u32::try_from(matching).unwrap_or(u32::MAX),
            too_broad: search.too_broad,
            unseen: search.unseen,
            alert: search.alert,
        }
    }

    /// The account's searches, the oldest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn searches(&self, actor: &Actor) -> Result<Vec<SearchView>, Error> {
        actor.require(Scope::Read)?;
        let searches = self.inner.store.searches(actor.account).await?;
        let memory = self.memory();
        let view = |search| self.search_view(&memory, search);
        Ok(searches.into_iter().map(view).collect())
    }

    /// Keeps a query under a name. What matches now is known; what begins to match later is told.
    ///
    /// # Errors
    /// A name or a query that cannot be read; more than an account may keep.
    pub async fn save_search(
        &self,
        actor: &Actor,
        name: &str,
        query: &str,
    ) -> Result<SearchView, Error> {
        actor.require(Scope::Jobs)?;
        let (name, text) = (named(name)?, query.trim());
        if text.is_empty() {
            return Err(Error::invalid("q", "write a query first, such as vram>=24"));
        }
        let asked = self.query("q", text)?;
        let now = self.now();
        let found = follow(&self.memory(), &asked);
        let search = Search {
            id: SearchId::new(now, self.random()),
            account: actor.account,
            name,
            query: text.to_owned(),
            created_at: now,
            too_broad: found.is_none(),
            matching: devices(&found.unwrap_or_default()),
            unseen: 0,
            alert: None,
        };
        let mut tx = self.inner.store.begin().await?;
        if tx.searches(actor.account).await?.len() >= SEARCHES_MAX {
            return Err(Error::Conflict(format!(
                "an account keeps {SEARCHES_MAX} searches; delete one first"
            )));
        }
        tx.insert_search(&search).await?;
        tx.commit().await?;
        Ok(self.search_view(&self.memory(), search))
    }

    /// Renames a search, or marks its alerts as seen.
    ///
    /// # Errors
    /// Not this account's; a bad name.
    pub async fn change_search(
        &self,
        actor: &Actor,
        id: SearchId,
        name: Option<&str>,
        seen: bool,
    ) -> Result<SearchView, Error> {
        actor.require(Scope::Jobs)?;
        let name = name.map(named).transpose()?;
        let mut tx = self.inner.store.begin().await?;
        let mut search = Self::own_search(tx.searches(actor.account).await?, id)?;
        search.name = name.unwrap_or(search.name);
        if seen {
            search.unseen = 0;
        }
        tx.change_search(id, &search.name, search.unseen).await?;
        tx.commit().await?;
        if seen {
            self.tell_alerts(actor.account).await?;
        }
        Ok(self.search_view(&self.memory(), search))
    }

    /// # Errors
    /// Not this account's.
    pub async fn delete_search(&self, actor: &Actor, id: SearchId) -> Result<(), Error> {
        actor.require(Scope::Jobs)?;
        let mut tx = self.inner.store.begin().await?;
        Self::own_search(tx.searches(actor.account).await?, id)?;
        tx.delete_search(id).await?;
        tx.commit().await?;
        self.tell_alerts(actor.account).await
    }

    fn own_search(searches: Vec<Search>, id: SearchId) -> Result<Search, Error> {
        let own = searches.into_iter().find(|search| search.id == id);
        own.ok_or(Error::NotFound("the search"))
    }

    /// Alerts that the account has not seen.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn unseen_alerts(&self, actor: &Actor) -> Result<u32, Error> {
        actor.require(Scope::Read)?;
        Ok(self.inner.store.unseen_alerts(actor.account).await?)
    }

    async fn tell_alerts(&self, account: AccountId) -> Result<(), Error> {
        let topic = Topic::Account(account);
        if self.live().watched(topic) {
            let unseen = self.inner.store.unseen_alerts(account).await?;
            self.live().publish(topic, Live::Alerts { unseen });
        }
        Ok(())
    }

    /// The next step of a pass over the searches, if one is due.
    pub(crate) async fn watch_searches(&self) -> Result<(), Error> {
        let now = self.now();
        let after = {
            let mut memory = self.memory();
            let revision = memory.book.revision();
            let watch = &mut memory.searches;
            if now < watch.next || watch.after.is_none() && watch.revision == Some(revision) {
                return Ok(());
            }
            watch.next = now.plus_millis(LOOK_EVERY_MS);
            if watch.after.is_none() {
                watch.revision = Some(revision);
            }
            watch.after
        };
        let step = self.inner.store.searches_after(after, LOOKS).await?;
        let full = step.len() >= usize::try_from(LOOKS).unwrap_or(usize::MAX);
        let last = step.last().map(|search| search.id).filter(|_| full);
        let changed: Vec<Look> = {
            let memory = self.memory();
            step.into_iter()
                .filter_map(|search| self.look(&memory, search, now))
                .collect()
        };
        if !changed.is_empty() {
            let mut tx = self.inner.store.begin().await?;
            for look in &changed {
                tx.note_search(&look.search, look.alerts).await?;
                if let (1.., Some(offer)) = (look.alerts, &look.search.alert) {
                    let notice = Notice::SearchMatched {
                        search: look.search.id,
                        name: look.search.name.clone(),
                        offers: look.alerts,
                        offer: offer.clone(),
                    };
                    self.notify(&mut tx, look.search.account, notice).await?;
                }
            }
            tx.commit().await?;
        }
        self.memory().searches.after = last;
        let alerted = changed.iter().filter(|look| look.alerts > 0);
        let accounts: BTreeSet<AccountId> = alerted.map(|look| look.search.account).collect();
        for account in accounts {
            self.tell_alerts(account).await?;
        }
        Ok(())
    }

    /// `None`: nothing changed, or its query cannot be read any more.
    fn look(&self, memory: &Memory, mut search: Search, now: Timestamp) -> Option<Look> {
        let query = self.query("q", &search.query).ok()?;
        let found = follow(memory, &query);
        let too_broad = found.is_none();
        let found = found.unwrap_or_default();
        let matching = devices(&found);
        if too_broad == search.too_broad && matching == search.matching {
            return None;
        }
        // What was not followed before is not known to be new.
        let is_new = |offer: &&Offer| search.matching.binary_search(&offer.device).is_err();
        let fresh: Vec<&Offer> = if search.too_broad {
            Vec::new()
        } else {
            found.iter().filter(is_new).collect()
        };
        let alerts = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        if let Some(offer) = fresh.first() {
            let node = memory.nodes.get(&offer.node);
            search.alert = Some(SearchAlert {
                at: now,
                device: offer.device,
                model: offer.model.to_string(),
                node_name: node.map(|node| node.node.name.clone()).unwrap_or_default(),
                per_hour: per_hour(self.fees(), offer.price),
                kind: query.placement.kind,
            });
        }
        search.matching = matching;
        search.too_broad = too_broad;
        Some(Look { search, alerts })
    }
}
