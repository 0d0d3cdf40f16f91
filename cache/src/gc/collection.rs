//! One collection, from the listing to the last removal.

use std::collections::BTreeSet;
use std::fs::File;

use super::compact::{Group, sparse};
use super::evict::choose;
use super::inventory::Inventory;
use super::live::Live;
use super::policy::{Freed, Named, Policy};
use super::sweep::{Gate, Item, items};
use crate::file_lock::{SESSION, Tried, touch};
use crate::{CacheError, Store};

/// A garbage collection that has begun: while it lives no other one begins, and what running processes use stays known
/// when they end.
pub struct Collection<'a> {
    pub(super) store: &'a Store,
    pub(super) session: Session,
}

/// The lock of a collection.
pub(super) struct Session(pub(super) File);

impl Drop for Session {
    fn drop(&mut self) {
        use rustix::fs::{Timespec, Timestamps};
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let times = Timestamps { last_access: never, last_modification: never };
        if let Err(error) = rustix::fs::futimens(&self.0, &times) {
            tracing::debug!("{error}");
        }
    }
}

impl Store {
    /// Begins a collection; `None` while another process is at one.
    ///
    /// # Errors
    /// Unusable.
    pub fn collection(&self) -> Result<Option<Collection<'_>>, CacheError> {
        let locking = |source| CacheError::writing(&self.inner.dir, 0, source);
        self.writable()?;
        let session = self.open_named(SESSION).map_err(locking)?;
        match self.try_lock_file(&session).map_err(locking)? {
            Tried::Busy => Ok(None),
            Tried::Locked => {
                // Seen where the lock is not.
                touch(&session).map_err(locking)?;
                Ok(Some(Collection { store: self, session: Session(session) }))
            }
            Tried::Without(error) => Err(CacheError::invalid(format!(
                "garbage cannot be collected in `{}`: its file system has no locks that all processes see ({error}), so nobody can tell what running processes use; \
                 mount it with locks (Lustre: `-o flock`; NFS: without `nolock` and `local_lock`), or delete the folder when nothing runs",
                self.inner.dir.display()
            ))),
        }
    }
}

/// What is to be done.
struct Plan {
    groups: Vec<Group>,
    items: [Vec<Item>; 3],
    freed: Freed,
}

impl Collection<'_> {
    /// Frees what the policy does not keep and what nobody uses, or says what that would be.
    ///
    /// `names` returns what a record names, given its bytes, or `None` if it cannot be read.
    ///
    /// # Errors
    /// Unusable; [`CacheError::Io`] if a folder cannot be read. What was removed until then is not needed.
    pub fn run(
        self,
        policy: &Policy,
        names: &(dyn Fn(&[u8]) -> Option<Named> + Sync),
        dry_run: bool,
    ) -> Result<Freed, CacheError> {
        let mut gate = Gate::open(self.store, &self.session.0)?;
        // What is published later is looked at before each removal, so the listing may be older.
        let held = gate.look()?;
        let mut live = Live::new(Inventory::new(self.store, names)?, policy, &held);
        let mut plan = plan(self.store, &live, policy)?;
        if let Some(most) = policy.max_bytes {
            let left = live.all.total.saturating_sub(plan.freed.bytes());
            if left > most {
                let evicted = choose(&live, left - most);
                live = live.without(evicted);
                plan = self::plan(self.store, &live, policy)?;
                plan.freed.over = live.all.total.saturating_sub(plan.freed.bytes()).saturating_sub(most);
            }
        }
        if dry_run {
            return Ok(plan.freed);
        }
        let Plan { groups, items: [first, second, third], freed: planned } = plan;
        let mut freed = Freed { before: planned.before, over: planned.over, ..Freed::default() };
        gate.remove(&first, &mut live, &mut freed)?;
        gate.remove(&second, &mut live, &mut freed)?;
        gate.remove(&third, &mut live, &mut freed)?;
        for group in groups {
            let switch = match group.prepare(self.store, &live, true) {
                Ok(Some(switch)) => switch,
                // Rewriting needs room for a while; without it sparse shards stay.
                Ok(None) | Err(CacheError::Full { .. }) => continue,
                Err(error) => return Err(error),
            };
            let rows = switch.rows;
            let balance = gate.closed(&mut live, |live| {
                let free = group.parties.is_disjoint(&live.held);
                free.then(|| switch.apply(self.store, live)).transpose()
            })?;
            match balance {
                Some(balance) => freed.switched(rows, &balance),
                // What was written for it goes with the next collection.
                None => freed.in_use += group.shards.len() as u64,
            }
        }
        drop(self.session);
        self.store.sweep();
        Ok(freed)
    }
}

/// Finds out what goes and counts it.
fn plan(store: &Store, live: &Live<'_>, policy: &Policy) -> Result<Plan, CacheError> {
    let mut freed = Freed { before: live.all.total, ..Freed::default() };
    let (mut groups, mut switched, mut new) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for group in sparse(store, live) {
        let Some(switch) = group.prepare(store, live, false)? else { continue };
        let balance = switch.balance(live)?;
        if balance.removed > balance.added {
            freed.switched(switch.rows, &balance);
            switched.extend(switch.maps.keys().copied());
            new.extend(switch.new.keys().copied());
            groups.push(group);
        }
    }
    let mut items = items(live, &policy.runs, &switched);
    // What a collection that was killed has made already.
    items[2].retain(|item| item.file().is_none_or(|id| !new.contains(id)));
    for (part, bytes) in items.iter().flatten().filter_map(Item::tally) {
        freed.add(part, 1, bytes);
    }
    Ok(Plan { groups, items, freed })
}
