//! The shared tier, on a Redis server of the tests' own: found by everybody, done without while it is down, back by itself.
//!
//! Without `redis-server` on the machine these tests say so and pass; `make test` tells how to get it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::cache_setting::{DAY, Folder, entry, keep, key, look_up};
use madspark::cache::{Cache, Stats, Store};
use madspark::config::{self, Secret};

const PASSWORD: &str = "word-of-the-server";

/// A server on a port of its own.
struct Server {
    port: u16,
    password: Option<&'static str>,
    child: Option<Child>,
}

impl Server {
    /// `None` where the machine has none.
    fn start(password: Option<&'static str>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { port, password, child: None };
        server.run().then_some(server)
    }

    #[expect(clippy::print_stderr, reason = "what was not tested has to be told")]
    fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("not tested: there is no redis-server (Debian: apt-get install redis-server)");
            return false;
        };
        self.child = Some(child);
        while !self.answers() {
            std::thread::yield_now();
        }
        true
    }

    /// It takes connections some time before it answers on them.
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

    fn config(&self, folder: &Folder) -> config::Cache {
        let password = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        let url = Secret::new(&format!("redis://{password}127.0.0.1:{}/3", self.port));
        // A folder of its own each time: another machine.
        let dir = folder.path().join(fastrand::u64(..).to_string());
        config::Cache { url: Some(url), ..crate::cache_setting::config(&dir) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What was handed over is on the server when the store is gone.
fn kept(server: &Server, folder: &Folder, question: &str, answer: &str) {
    let cache = Cache::default();
    let _kept = cache.store(&server.config(folder)).keep(key(question), Arc::new(entry(answer)), DAY);
    cache.close(Duration::from_secs(60));
}

/// Asks until the store has reached the server, as a call does not wait long for the first connection.
async fn reach(store: &Store) -> Stats {
    while store.stats().await.is_shared_up != Some(true) {
        assert!(store.look_up(&key("nobody's"), DAY).await.is_none());
        tokio::task::yield_now().await;
    }
    store.stats().await
}

#[tokio::test]
async fn what_one_machine_keeps_another_one_finds() {
    let Some(server) = Server::start(Some(PASSWORD)) else { return };
    let folder = Folder::new("shared");
    kept(&server, &folder, "q", "naïve \0 \u{10ffff}");
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    let before = reach(&store).await;
    assert_eq!(look_up(&store, "q").await.unwrap().text.as_ref(), "naïve \0 \u{10ffff}");
    assert!(store.recall(&key("q"), DAY).is_some(), "it is in this one's memory");
    assert!(store.look_up(&key("another"), DAY).await.is_none());
    let stats = store.stats().await;
    let misses = stats.misses - before.misses;
    assert_eq!((stats.shared_hits, misses, stats.errors, stats.is_shared_up), (1, 1, 0, Some(true)));
    assert!(!format!("{cache:?} {store:?}").contains(PASSWORD));
}

#[tokio::test]
async fn what_comes_from_the_server_is_on_disk_afterwards() {
    let Some(mut server) = Server::start(None) else { return };
    let folder = Folder::new("promoted");
    kept(&server, &folder, "q", "answer");
    let config = server.config(&folder);
    let cache = Cache::default();
    let store = cache.store(&config);
    reach(&store).await;
    assert!(look_up(&store, "q").await.is_some());
    cache.close(Duration::from_secs(60));
    server.kill();
    assert!(look_up(&Cache::default().store(&config), "q").await.is_some());
}

#[tokio::test]
async fn what_is_forgotten_is_forgotten_there_too() {
    let Some(server) = Server::start(None) else { return };
    let folder = Folder::new("forgotten");
    kept(&server, &folder, "q", "bad");
    kept(&server, &folder, "other", "good");
    let cache = Cache::default();
    cache.store(&server.config(&folder)).forget(&key("q"));
    cache.close(Duration::from_secs(60));
    let store = Cache::default().store(&server.config(&folder));
    reach(&store).await;
    assert!(store.look_up(&key("q"), DAY).await.is_none());
    assert!(look_up(&store, "other").await.is_some());
}

#[tokio::test]
async fn clearing_removes_what_is_ours_and_nothing_else() {
    let Some(server) = Server::start(None) else { return };
    let folder = Folder::new("cleared");
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/3", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("SET").arg("theirs").arg(1).exec(&mut connection).unwrap();
    for number in 0..3 {
        kept(&server, &folder, &number.to_string(), "answer");
    }
    let store = Cache::default().store(&server.config(&folder));
    assert_eq!(store.clear().await, Some(3));
    assert!(store.look_up(&key("1"), DAY).await.is_none());
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 1);
}

#[tokio::test]
async fn an_answer_ends_on_the_server_with_its_time() {
    let Some(server) = Server::start(None) else { return };
    let folder = Folder::new("ended");
    kept(&server, &folder, "q", "answer");
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/3", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert_eq!(names, [format!("madspark:1:{}", key("q"))]);
    let left: i64 = redis::cmd("PTTL").arg(&names[0]).query(&mut connection).unwrap();
    assert!((86_000_000..=86_400_000).contains(&left), "{left}");
    // What somebody else wrote there is no answer, and goes.
    redis::cmd("SET").arg(&names[0]).arg("garbage").exec(&mut connection).unwrap();
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    reach(&store).await;
    assert!(store.look_up(&key("q"), DAY).await.is_none());
    cache.close(Duration::from_secs(60));
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut connection).unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_know_us_is_done_without() {
    let Some(server) = Server::start(Some(PASSWORD)) else { return };
    let folder = Folder::new("stranger");
    let mut config = server.config(&folder);
    config.url = Some(Secret::new(&format!("redis://:wrong-{PASSWORD}@127.0.0.1:{}", server.port)));
    let store = Cache::default().store(&config);
    assert!(store.look_up(&key("q"), DAY).await.is_none());
    keep(&store, "q", "on disk all the same").await;
    while store.stats().await.is_shared_up.is_none() {
        assert!(store.look_up(&key("nobody's"), DAY).await.is_none());
    }
    assert_eq!(store.stats().await.is_shared_up, Some(false));
    assert!(look_up(&store, "q").await.is_some());
}

/// A server that stands still is not waited for by every call, and is used again when it goes on.
#[tokio::test]
async fn a_server_that_hangs_hangs_nobody() {
    let Some(server) = Server::start(None) else { return };
    let signal = |name: &str| {
        let id = server.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    let folder = Folder::new("stands");
    let store = Cache::default().store(&server.config(&folder));
    assert_eq!(reach(&store).await.is_shared_up, Some(true));
    assert!(store.look_up(&key("q"), DAY).await.is_none());
    signal("-STOP");
    while store.stats().await.is_shared_up == Some(true) {
        assert!(store.look_up(&key("q"), DAY).await.is_none());
    }
    signal("-CONT");
    while store.stats().await.is_shared_up == Some(false) {
        assert!(store.look_up(&key("q"), DAY).await.is_none());
        tokio::task::yield_now().await;
    }
}

/// Under load the server is killed and started again: nobody fails or waits for it, and it is used again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_comes_back_by_itself() {
    let Some(mut server) = Server::start(None) else { return };
    let folder = Folder::new("back");
    let cache = Cache::default();
    let store = cache.store(&server.config(&folder));
    let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let (store, is_over, asked) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&asked));
        load.spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                let question = format!("{caller} {}", asked.fetch_add(1, Ordering::SeqCst));
                assert!(store.look_up(&key(&question), DAY).await.is_none());
                keep(&store, &question, &question).await;
                assert!(store.recall(&key(&question), DAY).is_some());
            }
        });
    }
    let reaches = |is_up: bool| {
        let store = Arc::clone(&store);
        async move {
            while store.stats().await.is_shared_up != Some(is_up) {
                tokio::task::yield_now().await;
            }
        }
    };
    reaches(true).await;
    for _ in 0..2 {
        server.kill();
        reaches(false).await;
        let before = asked.load(Ordering::SeqCst);
        while asked.load(Ordering::SeqCst) < before + 50 {
            tokio::task::yield_now().await;
        }
        assert!(server.run());
        tokio::time::timeout(Duration::from_secs(20), reaches(true)).await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    while let Some(outcome) = load.join_next().await {
        outcome.unwrap();
    }
    // It really is used again: another machine finds what was kept.
    let _kept = store.keep(key("after"), Arc::new(entry("after")), DAY);
    cache.close(Duration::from_secs(60));
    let store = Cache::default().store(&server.config(&folder));
    reach(&store).await;
    assert!(look_up(&store, "after").await.is_some());
}
