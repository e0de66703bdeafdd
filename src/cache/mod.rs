//! The response cache: in memory, on disk, and on a server that several machines share.
//!
//! A [`Key`] identifies a request, a [`Store`] holds the entries of one configuration, and [`SingleFlight`] lets concurrent
//! identical requests share one. The cache never fails a call: an entry that cannot be found, read or written in time is a
//! miss, and an error is logged once.

mod disk;
mod entry;
mod key;
mod memory;
mod shared;
mod single_flight;
mod store;
#[cfg(test)]
mod tests;
mod thread;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::sync::{Mutex, lock};
use thread::OnStart;

pub use entry::Entry;
pub use key::Key;
pub use single_flight::{SingleFlight, Waiter};
pub use store::{PendingWrite, Stats, Store};

/// The number of stores above which unused ones are closed.
const MAX_STORES: usize = 32;

/// The stores of the process.
pub struct Cache {
    /// The most recently used store is the last one.
    stores: Mutex<Vec<(StoreId, Arc<Store>)>>,
    on_thread_start: OnStart,
}

/// Identifies a store by its configuration. Two names of one folder are two stores, which share its files like two
/// processes.
#[derive(PartialEq)]
struct StoreId {
    dir: PathBuf,
    url: Option<config::Secret>,
}

/// Keeps the files of all stores closed until it is dropped.
#[derive(Debug)]
pub struct PauseGuard {
    _workers: Vec<worker::PausedWorker>,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl Cache {
    /// Creates a cache without stores. Does no I/O and starts no thread. Each thread of a store calls `on_thread_start`
    /// first.
    pub fn new(on_thread_start: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stores: Mutex::default(), on_thread_start: Arc::new(on_thread_start) }
    }

    /// Returns the store of `config`, which is created on first use.
    pub fn store(&self, config: &config::CacheConfig) -> Arc<Store> {
        let mut stores = lock(&self.stores);
        let known = stores.iter().rposition(|(id, _)| id.dir == config.dir && id.url == config.url);
        if let Some(index) = known {
            let last = stores.len() - 1;
            if index != last {
                stores[index..].rotate_left(1);
            }
            let store = Arc::clone(&stores[last].1);
            drop(stores);
            store.set_max_bytes(config.max_bytes);
            return store;
        }
        let unused = if stores.len() < MAX_STORES {
            None
        } else {
            let unused = stores.iter().position(|(_, store)| Arc::strong_count(store) == 1);
            unused.map(|index| stores.remove(index))
        };
        let store = Arc::new(Store::new(config, &self.on_thread_start));
        stores.push((StoreId { dir: config.dir.clone(), url: config.url.clone() }, Arc::clone(&store)));
        drop(stores);
        if let Some((_, unused)) = unused {
            // Its threads end after their last job. The caller does not wait for that.
            unused.close(Instant::now());
        }
        store
    }

    /// Closes the files of all stores, so that the process can fork: a child must not inherit an open database. Waits for
    /// `timeout` at most.
    pub fn pause(&self, timeout: Duration) -> PauseGuard {
        let deadline = Instant::now() + timeout;
        PauseGuard { _workers: self.all().iter().flat_map(|store| store.pause(deadline)).collect() }
    }

    /// Writes what is queued and ends every thread, within `timeout`. Afterwards the stores only use memory.
    pub fn close(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.all().iter().for_each(|store| store.close(deadline));
    }

    fn all(&self) -> Vec<Arc<Store>> {
        lock(&self.stores).iter().map(|(_, store)| Arc::clone(store)).collect()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("stores", &self.all()).finish_non_exhaustive()
    }
}
