//! The shared tier on a Redis server that the tests start: sharing, outages and reconnecting.
//!
//! Without `redis-server` on the machine, these tests print that and pass.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::cache_support::{DAY, TempFolder, entry, key, load, put};
use madspark::cache::{Cache, Stats, Store};
use madspark::config::{self, Secret};

const PASSWORD: &str = "the-password";

/// A Redis server on a free port.
struct Server {
    port: u16,
    password: Option<&'static str>,
    child: Option<Child>,
}

impl Server {
    /// Returns `None` if the machine has no `redis-server`.
    fn start(password: Option<&'static str>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { port, password, child: None };
        server.run().then_some(server)
    }

    #[expect(clippy::print_stderr, reason = "reports skipped tests")]
    fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("skipped: redis-server is not installed (Debian: apt-get install redis-server)");
            return false;
        };
        self.child = Some(child);
        while !self.answers() {
            std::thread::yield_now();
        }
        true
    }

    /// Returns whether the server answers, which it does some time after it accepts connections.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.write_all(b"PING\r\n").is_ok() && stream.read(&mut [0]).is_ok_and(|count| count == 1)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn config(&self, folder: &TempFolder) -> config::CacheConfig {
        let password = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        let url = Secret::new(&format!("redis://{password}127.0.0.1:{}/3", self.port));
        // A new folder each time, as on another machine.
        let dir = folder.path().join(fastrand::u64(..).to_string());
        config::CacheConfig { url: Some(url), ..crate::cache_support::config(&dir) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Stores an entry on the server.
fn put_on_server(server: &Server, folder: &TempFolder, prompt: &str, text: &str) {
    let cache = Cache::default();
    let _pending = cache.store(&server.config(folder)).put(key(prompt), Arc::new(entry(text)), DAY);
    cache.close(Duration::from_secs(60));
}

/// Repeats lookups until the store is connected, as a lookup does not wait for the first connection.
async fn connect(store: &Store) -> Stats {
    while store.stats().await.is_shared_up != Some(true) {
        assert!(store.load(&key("unknown"), DAY).await.is_none());
        tokio::task::yield_now().await;
    }
    store.stats().await
}

#[tokio::test]
async fn machines_share_entries() {
    let Some(server) = Server::start(Some(PASSWORD)) else { return };
    let folder = TempFolder::new("shared");
    put_on_server(&server, &folder, "q", "naïve \0 \u{10ffff}");
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    let before = connect(&store).await;
    assert_eq!(load(&store, "q").await.unwrap().text.as_ref(), "naïve \0 \u{10ffff}");
    assert!(store.get(&key("q"), DAY).is_some(), "it is in memory");
    assert!(store.load(&key("another"), DAY).await.is_none());
    let stats = store.stats().await;
    let misses = stats.misses - before.misses;
    assert_eq!((stats.shared_hits, misses, stats.errors, stats.is_shared_up), (1, 1, 0, Some(true)));
    assert!(!format!("{cache:?} {store:?}").contains(PASSWORD));
}

#[tokio::test]
async fn entries_from_the_server_are_stored_on_disk() {
    let Some(mut server) = Server::start(None) else { return };
    let folder = TempFolder::new("promoted");
    put_on_server(&server, &folder, "q", "answer");
    let config = server.config(&folder);
    let cache = Cache::default();
    let store = cache.store(&config);
    connect(&store).await;
    assert!(load(&store, "q").await.is_some());
    cache.close(Duration::from_secs(60));
    server.kill();
    assert!(load(&Cache::default().store(&config), "q").await.is_some());
}

#[tokio::test]
async fn removed_entries_are_removed_from_the_server() {
    let Some(server) = Server::start(None) else { return };
    let folder = TempFolder::new("forgotten");
    put_on_server(&server, &folder, "q", "bad");
    put_on_server(&server, &folder, "other", "good");
    let cache = Cache::default();
    cache.store(&server.config(&folder)).remove(&key("q"));
    cache.close(Duration::from_secs(60));
    let store = Cache::default().store(&server.config(&folder));
    connect(&store).await;
    assert!(store.load(&key("q"), DAY).await.is_none());
    assert!(load(&store, "other").await.is_some());
}

#[tokio::test]
async fn clearing_removes_only_entries_of_this_library() {
    let Some(server) = Server::start(None) else { return };
    let folder = TempFolder::new("cleared");
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/3", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("SET").arg("theirs").arg(1).exec(&mut connection).unwrap();
    for number in 0..3 {
        put_on_server(&server, &folder, &number.to_string(), "answer");
    }
    let store = Cache::default().store(&server.config(&folder));
    assert_eq!(store.clear().await, Some(3));
    assert!(store.load(&key("1"), DAY).await.is_none());
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 1);
}

#[tokio::test]
async fn entries_expire_on_the_server() {
    let Some(server) = Server::start(None) else { return };
    let folder = TempFolder::new("ended");
    put_on_server(&server, &folder, "q", "answer");
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/3", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert_eq!(names, [format!("madspark:1:{}", key("q"))]);
    let left: i64 = redis::cmd("PTTL").arg(&names[0]).query(&mut connection).unwrap();
    assert!((86_000_000..=86_400_000).contains(&left), "{left}");
    // An invalid value is removed.
    redis::cmd("SET").arg(&names[0]).arg("garbage").exec(&mut connection).unwrap();
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    connect(&store).await;
    assert!(store.load(&key("q"), DAY).await.is_none());
    cache.close(Duration::from_secs(60));
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 0);
}

#[tokio::test]
async fn calls_continue_if_the_server_rejects_the_password() {
    let Some(server) = Server::start(Some(PASSWORD)) else { return };
    let folder = TempFolder::new("stranger");
    let mut config = server.config(&folder);
    config.url = Some(Secret::new(&format!("redis://:wrong-{PASSWORD}@127.0.0.1:{}", server.port)));
    let store = Cache::default().store(&config);
    assert!(store.load(&key("q"), DAY).await.is_none());
    put(&store, "q", "on disk nevertheless").await;
    while store.stats().await.is_shared_up.is_none() {
        assert!(store.load(&key("unknown"), DAY).await.is_none());
    }
    assert_eq!(store.stats().await.is_shared_up, Some(false));
    assert!(load(&store, "q").await.is_some());
}

/// Not every call waits for a server that hangs, and the server is used again when it responds.
#[tokio::test]
async fn a_server_that_hangs_does_not_block_calls() {
    let Some(server) = Server::start(None) else { return };
    let signal = |name: &str| {
        let id = server.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    let folder = TempFolder::new("stands");
    let store = Cache::default().store(&server.config(&folder));
    assert_eq!(connect(&store).await.is_shared_up, Some(true));
    assert!(store.load(&key("q"), DAY).await.is_none());
    signal("-STOP");
    while store.stats().await.is_shared_up == Some(true) {
        assert!(store.load(&key("q"), DAY).await.is_none());
    }
    signal("-CONT");
    while store.stats().await.is_shared_up == Some(false) {
        assert!(store.load(&key("q"), DAY).await.is_none());
        tokio::task::yield_now().await;
    }
}

/// The server is killed and restarted under load. Calls neither fail nor wait for it, and use it again afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_used_again() {
    let Some(mut server) = Server::start(None) else { return };
    let folder = TempFolder::new("back");
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    let (is_over, lookups) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let (store, is_over, lookups) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&lookups));
        callers.spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                let prompt = format!("{caller} {}", lookups.fetch_add(1, Ordering::SeqCst));
                assert!(store.load(&key(&prompt), DAY).await.is_none());
                put(&store, &prompt, &prompt).await;
                assert!(store.get(&key(&prompt), DAY).is_some());
            }
        });
    }
    let becomes = |is_up: bool| {
        let store = Arc::clone(&store);
        async move {
            while store.stats().await.is_shared_up != Some(is_up) {
                tokio::task::yield_now().await;
            }
        }
    };
    becomes(true).await;
    for _ in 0..2 {
        server.kill();
        becomes(false).await;
        let before = lookups.load(Ordering::SeqCst);
        while lookups.load(Ordering::SeqCst) < before + 50 {
            tokio::task::yield_now().await;
        }
        assert!(server.run());
        tokio::time::timeout(Duration::from_secs(20), becomes(true)).await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    while let Some(outcome) = callers.join_next().await {
        outcome.unwrap();
    }
    // Another machine finds a new entry.
    let _pending = store.put(key("after"), Arc::new(entry("after")), DAY);
    cache.close(Duration::from_secs(60));
    let store = Cache::default().store(&server.config(&folder));
    connect(&store).await;
    assert!(load(&store, "after").await.is_some());
}
