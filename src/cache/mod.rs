//! Answers that were given before: in memory, on disk, and on a server that several machines share.
//!
//! A [`Key`] stands for one question, a [`Store`] for the place where the answers of a configuration are kept, and
//! [`SingleFlight`] for the answers that are being waited for. The cache never fails: what it cannot find, read or keep in time
//! is a miss, and what is wrong with it is said once in the log.

mod disk;
mod entry;
mod key;
mod memory;
mod shared;
mod single_flight;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::sync::{Mutex, lock};
use worker::OnStart;

pub use entry::Entry;
pub use key::Key;
pub use single_flight::{SingleFlight, Waiter};
pub use store::{Kept, Stats, Store};

/// How many stores are held at most that nobody uses.
const MAX_STORES: usize = 32;

/// Every store of the process. Making one does no I/O and starts no thread.
pub struct Cache {
    /// The last used comes last.
    stores: Mutex<Vec<(Name, Arc<Store>)>>,
    on_thread_start: OnStart,
}

/// What tells two stores apart: as it is written in the configuration. Two names of one folder are two stores, which share
/// the files as two processes would.
#[derive(PartialEq)]
struct Name {
    dir: PathBuf,
    url: Option<config::Secret>,
}

/// Stores that hold no file open until this is dropped.
#[derive(Debug)]
pub struct Pause {
    _threads: Vec<worker::Paused>,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl Cache {
    /// A cache without stores. Each thread that one of them starts runs `on_thread_start` first.
    pub fn new(on_thread_start: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stores: Mutex::default(), on_thread_start: Arc::new(on_thread_start) }
    }

    /// The store that `config` names, made at the first time. Stores of two folders or two servers know nothing of each
    /// other.
    pub fn store(&self, config: &config::Cache) -> Arc<Store> {
        let mut stores = lock(&self.stores);
        let known = stores.iter().rposition(|(name, _)| name.dir == config.dir && name.url == config.url);
        if let Some(index) = known {
            let last = stores.len() - 1;
            if index != last {
                stores[index..].rotate_left(1);
            }
            let store = Arc::clone(&stores[last].1);
            drop(stores);
            store.bound(config.max_bytes);
            return store;
        }
        let unused = if stores.len() < MAX_STORES {
            None
        } else {
            let unused = stores.iter().position(|(_, store)| Arc::strong_count(store) == 1);
            unused.map(|index| stores.remove(index))
        };
        let store = Arc::new(Store::new(config, &self.on_thread_start));
        stores.push((Name { dir: config.dir.clone(), url: config.url.clone() }, Arc::clone(&store)));
        drop(stores);
        if let Some(unused) = unused {
            // Its threads end by themselves when all is written: nobody who asks for another store waits for that.
            unused.1.close(Instant::now());
        }
        store
    }

    /// Has every thread close its files, so that the process can fork: a child must not inherit an open database. Waits for
    /// them `limit` at most.
    pub fn pause(&self, limit: Duration) -> Pause {
        let until = Instant::now() + limit;
        Pause { _threads: self.all().iter().flat_map(|store| store.pause(until)).collect() }
    }

    /// Writes what was handed over and ends every thread, within `limit`. What is asked afterwards is answered from memory.
    pub fn close(&self, limit: Duration) {
        let until = Instant::now() + limit;
        self.all().iter().for_each(|store| store.close(until));
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
