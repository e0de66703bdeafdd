//! Several processes that share one cache folder. The test binary starts itself as a worker, and kills its workers.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::cache_support::{DAY, TempFolder, config, entry, key, load, put};
use madspark::cache::Cache;
use madspark::config;

/// The number of prompts that all processes share.
const SHARED_PROMPTS: usize = 150;

/// Starts a worker.
fn start(folder: &Path, task: &str, number: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache_processes::worker", "--ignored", "--nocapture", "--test-threads", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{task}\t{number}\t{}", folder.display()).unwrap();
    child
}

/// Starts a worker with a limit on the size of files, which simulates a full disk.
fn start_limited(folder: &Path, task: &str, kilobytes: u32) -> Child {
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kilobytes * 2);
    let mut child = Command::new("sh")
        .args(["-c", &limited, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "cache_processes::worker", "--ignored", "--nocapture", "--test-threads", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{task}\t0\t{}", folder.display()).unwrap();
    child
}

/// Waits for a worker and returns what it reported.
fn reported(child: Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("> ").map(str::to_owned))
        .collect()
}

#[test]
#[ignore = "started by the tests below"]
#[expect(clippy::print_stdout, reason = "reports to the test")]
fn worker() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let [task, number, folder] = fields[..] else { return };
    let number: usize = number.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = Cache::default();
        match task {
            "read and write" => {
                let store = cache.store(&config(Path::new(folder)));
                for turn in 0..SHARED_PROMPTS {
                    // Each worker starts elsewhere, so that it both reads and writes.
                    let prompt = format!("common {}", (turn + number * SHARED_PROMPTS / 8) % SHARED_PROMPTS);
                    match store.load(&key(&prompt), DAY).await {
                        Some(found) => assert_eq!(*found.text, *answer(&prompt)),
                        None => put(&store, &prompt, &answer(&prompt)).await,
                    }
                }
                let stats = store.stats().await;
                println!("\n> {} {} {}", stats.disk_hits, stats.misses, stats.errors);
            }
            "write" => {
                let store = cache.store(&config(Path::new(folder)));
                for turn in 0_u64.. {
                    let prompt = format!("{number} {turn}");
                    put(&store, &prompt, &answer(&prompt)).await;
                    println!("\n> {prompt}");
                }
            }
            "fill up" => {
                let store = cache.store(&config(Path::new(folder)));
                let mut written = Vec::new();
                for turn in 0..400 {
                    let prompt = format!("more {turn}");
                    if store.put(key(&prompt), Arc::new(entry(&answer(&prompt))), DAY).written().await {
                        written.push(prompt);
                    } else {
                        // It is in memory nevertheless.
                        assert!(store.get(&key(&prompt), DAY).is_some());
                    }
                }
                assert!(!written.is_empty() && written.len() < 400, "{} were written", written.len());
                assert!(load(&store, "before").await.is_some(), "earlier entries can be read");
                println!("\n> {} {}", written.len(), store.stats().await.errors);
            }
            _ => {
                let limited = config::CacheConfig { max_bytes: config::MB, ..config(Path::new(folder)) };
                let store = cache.store(&limited);
                for turn in 0..500 {
                    let text = format!("{number} {turn} ").repeat(500);
                    put(&store, &text, &text).await;
                }
                println!("\n> {}", store.stats().await.errors);
            }
        }
    });
}

fn answer(prompt: &str) -> String {
    format!("the answer to {prompt}; ").repeat(60)
}

fn assert_intact(folder: &Path) {
    let database = rusqlite::Connection::open(folder.join("answers.sqlite3")).unwrap();
    let report: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(report, "ok");
    assert!(!folder.join("answers.damaged").exists());
}

#[test]
fn eight_processes_create_and_share_a_folder() {
    for _ in 0..3 {
        let folder = TempFolder::new("eight");
        let children: Vec<Child> = (0..8).map(|number| start(folder.path(), "read and write", number)).collect();
        let mut written = 0;
        for child in children {
            let lines = reported(child);
            let counts: Vec<usize> = lines[0].split(' ').map(|count| count.parse().unwrap()).collect();
            let [hits, misses, errors] = counts[..] else { panic!("{lines:?}") };
            assert_eq!((hits + misses, errors), (SHARED_PROMPTS, 0));
            written += misses;
        }
        assert!(written >= SHARED_PROMPTS, "each entry was written");
        assert_intact(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Cache::default().store(&config(folder.path()));
            assert_eq!(store.stats().await.disk_entries, Some(SHARED_PROMPTS as u64));
        });
    }
}

#[test]
fn written_entries_survive_a_kill() {
    let folder = TempFolder::new("killed");
    let mut acknowledged = BTreeSet::new();
    for round in 0..5 {
        let mut children: Vec<Child> =
            (0..3).map(|number| start(folder.path(), "write", round * 10 + number)).collect();
        let mut readers: Vec<_> =
            children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
        let mut count = 0;
        while count < 60 {
            for reader in &mut readers {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(prompt) = line.trim_end().strip_prefix("> ") {
                    acknowledged.insert(prompt.to_owned());
                    count += 1;
                }
            }
        }
        for child in &mut children {
            child.kill().unwrap();
        }
        for (mut child, reader) in children.into_iter().zip(readers) {
            child.wait().unwrap();
            // Adds what it reported before it was killed.
            let rest = reader.lines().map_while(Result::ok);
            acknowledged.extend(rest.filter_map(|line| line.strip_prefix("> ").map(str::to_owned)));
        }
    }
    // The last line of each worker may be truncated.
    let whole: Vec<_> = acknowledged.iter().filter(|prompt| prompt.contains(' ')).collect();
    assert!(whole.len() > 300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        let mut lost = Vec::new();
        for prompt in whole {
            match load(&store, prompt).await {
                Some(found) => assert_eq!(*found.text, *answer(prompt)),
                None => lost.push(prompt),
            }
        }
        assert!(lost.is_empty(), "{} are lost, such as {:?}", lost.len(), lost.first());
        assert_eq!(store.stats().await.errors, 0);
    });
    assert_intact(folder.path());
}

#[test]
fn several_processes_stay_within_one_size_limit() {
    let folder = TempFolder::new("bounded");
    let children: Vec<Child> = (0..4).map(|number| start(folder.path(), "fill", number)).collect();
    for child in children {
        assert_eq!(reported(child), ["0"]);
    }
    assert_intact(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        let stats = store.stats().await;
        assert!(stats.disk_bytes.unwrap() <= config::MB, "{stats:?}");
        assert!(stats.disk_entries.unwrap() > 20, "{stats:?}");
    });
}

#[test]
fn a_full_disk_stores_no_more_and_loses_nothing() {
    let folder = TempFolder::new("full");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = Cache::default();
        put(&cache.store(&config(folder.path())), "before", "answer").await;
    });
    let lines = reported(start_limited(folder.path(), "fill up", 400));
    let counts: Vec<u64> = lines[0].split(' ').map(|count| count.parse().unwrap()).collect();
    let [written, errors] = counts[..] else { panic!("{lines:?}") };
    assert!((1..10).contains(&errors), "it is retried after a cooldown, not by every call: {errors}");
    assert_intact(folder.path());
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        assert!(store.stats().await.disk_entries.unwrap() > written);
        for turn in 0..400 {
            let prompt = format!("more {turn}");
            if let Some(found) = store.load(&key(&prompt), DAY).await {
                assert_eq!(*found.text, *answer(&prompt));
            }
        }
        put(&store, "after", "with free space").await;
    });
}

/// The lock file is a pipe without a reader, so that opening it blocks forever.
#[test]
fn a_disk_that_hangs_does_not_block_calls() {
    let folder = TempFolder::new("hangs");
    std::fs::write(folder.path().join("answers.sqlite3"), "").unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("lock")).status().unwrap().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = Cache::default();
        let store = cache.store(&config(folder.path()));
        for turn in 0..100 {
            let prompt = turn.to_string();
            // Only the first calls wait. Then the disk is in cooldown.
            assert!(store.load(&key(&prompt), DAY).await.is_none());
            let _pending = store.put(key(&prompt), Arc::new(entry("answer")), DAY);
            assert!(store.get(&key(&prompt), DAY).is_some());
        }
        assert!(!store.put(key("q"), Arc::new(entry("answer")), DAY).written().await);
        cache.close(Duration::from_millis(100));
    });
}

/// Another process holds the lock of the database.
#[test]
fn a_locked_database_does_not_block_calls() {
    let folder = TempFolder::new("locked");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        put(&store, "before", "answer").await;
        let other = rusqlite::Connection::open(folder.path().join("answers.sqlite3")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let pending = store.put(key("during"), Arc::new(entry("during")), DAY);
        assert_eq!(store.get(&key("during"), DAY).unwrap().text.as_ref(), "during");
        assert!(load(&store, "before").await.is_some(), "reading does not wait for the lock");
        assert!(
            tokio::time::timeout(Duration::from_secs(60), pending.written()).await.is_ok(),
            "it fails or is written"
        );
        other.execute_batch("COMMIT").unwrap();
        put(&store, "after", "answer").await;
    });
}
