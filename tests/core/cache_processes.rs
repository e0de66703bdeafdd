//! Several processes on one folder: this test binary starts itself again, and kills what it has started.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::cache_setting::{DAY, Folder, config, entry, keep, key, look_up};
use madspark::cache::Cache;
use madspark::config;

/// Questions that every process asks.
const COMMON: usize = 150;

/// Starts this binary again as one of several workers.
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

/// Starts this binary again with files of at most so many bytes, as if the disk were full then.
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

/// What a worker said.
fn told(child: Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("> ").map(str::to_owned))
        .collect()
}

#[test]
#[ignore = "the other end of the tests below, which start it"]
#[expect(clippy::print_stdout, reason = "how it tells them")]
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
            "ask" => {
                let store = cache.store(&config(Path::new(folder)));
                for turn in 0..COMMON {
                    // Each begins elsewhere, so that they both find and write.
                    let question = format!("common {}", (turn + number * COMMON / 8) % COMMON);
                    match store.look_up(&key(&question), DAY).await {
                        Some(found) => assert_eq!(*found.text, *answer(&question)),
                        None => keep(&store, &question, &answer(&question)).await,
                    }
                }
                let stats = store.stats().await;
                println!("\n> {} {} {}", stats.disk_hits, stats.misses, stats.errors);
            }
            "write" => {
                let store = cache.store(&config(Path::new(folder)));
                for turn in 0_u64.. {
                    let question = format!("{number} {turn}");
                    keep(&store, &question, &answer(&question)).await;
                    println!("\n> {question}");
                }
            }
            "fill up" => {
                let store = cache.store(&config(Path::new(folder)));
                let mut kept = Vec::new();
                for turn in 0..400 {
                    let question = format!("more {turn}");
                    if store.keep(key(&question), Arc::new(entry(&answer(&question))), DAY).await {
                        kept.push(question);
                    } else {
                        // Memory has it all the same.
                        assert!(store.recall(&key(&question), DAY).is_some());
                    }
                }
                assert!(!kept.is_empty() && kept.len() < 400, "{} were kept", kept.len());
                assert!(look_up(&store, "before").await.is_some(), "what was there can be read");
                println!("\n> {} {}", kept.len(), store.stats().await.errors);
            }
            _ => {
                let bound = config::Cache { max_bytes: config::MB, ..config(Path::new(folder)) };
                let store = cache.store(&bound);
                for turn in 0..500 {
                    let text = format!("{number} {turn} ").repeat(500);
                    keep(&store, &text, &text).await;
                }
                println!("\n> {}", store.stats().await.errors);
            }
        }
    });
}

fn answer(question: &str) -> String {
    format!("the answer to {question}; ").repeat(60)
}

fn is_sound(folder: &Path) {
    let database = rusqlite::Connection::open(folder.join("answers.sqlite3")).unwrap();
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    assert!(!folder.join("answers.damaged").exists());
}

#[test]
fn eight_processes_share_a_folder_from_its_first_moment() {
    for _ in 0..3 {
        let folder = Folder::new("eight");
        let children: Vec<Child> = (0..8).map(|number| start(folder.path(), "ask", number)).collect();
        let mut written = 0;
        for child in children {
            let lines = told(child);
            let counts: Vec<usize> = lines[0].split(' ').map(|count| count.parse().unwrap()).collect();
            let [hits, misses, errors] = counts[..] else { panic!("{lines:?}") };
            assert_eq!((hits + misses, errors), (COMMON, 0));
            written += misses;
        }
        assert!(written >= COMMON, "somebody wrote each");
        is_sound(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Cache::default().store(&config(folder.path()));
            assert_eq!(store.stats().await.disk_entries, Some(COMMON as u64));
        });
    }
}

#[test]
fn what_was_acknowledged_outlives_being_killed() {
    let folder = Folder::new("killed");
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
                if let Some(question) = line.trim_end().strip_prefix("> ") {
                    acknowledged.insert(question.to_owned());
                    count += 1;
                }
            }
        }
        for child in &mut children {
            child.kill().unwrap();
        }
        for (mut child, reader) in children.into_iter().zip(readers) {
            child.wait().unwrap();
            // What it had said by then was said, too.
            let rest = reader.lines().map_while(Result::ok);
            acknowledged.extend(rest.filter_map(|line| line.strip_prefix("> ").map(str::to_owned)));
        }
    }
    // The last line of each may have been cut.
    let whole: Vec<_> = acknowledged.iter().filter(|question| question.contains(' ')).collect();
    assert!(whole.len() > 300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        let mut lost = Vec::new();
        for question in whole {
            match look_up(&store, question).await {
                Some(found) => assert_eq!(*found.text, *answer(question)),
                None => lost.push(question),
            }
        }
        assert!(lost.is_empty(), "{} are lost, such as {:?}", lost.len(), lost.first());
        assert_eq!(store.stats().await.errors, 0);
    });
    is_sound(folder.path());
}

#[test]
fn several_processes_keep_one_bound() {
    let folder = Folder::new("bounded");
    let children: Vec<Child> = (0..4).map(|number| start(folder.path(), "fill", number)).collect();
    for child in children {
        assert_eq!(told(child), ["0"]);
    }
    is_sound(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        let stats = store.stats().await;
        assert!(stats.disk_bytes.unwrap() <= config::MB, "{stats:?}");
        assert!(stats.disk_entries.unwrap() > 20, "{stats:?}");
    });
}

#[test]
fn a_full_disk_takes_no_more_and_loses_nothing() {
    let folder = Folder::new("full");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = Cache::default();
        keep(&cache.store(&config(folder.path())), "before", "answer").await;
    });
    let lines = told(start_limited(folder.path(), "fill up", 400));
    let counts: Vec<u64> = lines[0].split(' ').map(|count| count.parse().unwrap()).collect();
    let [kept, errors] = counts[..] else { panic!("{lines:?}") };
    assert!((1..10).contains(&errors), "it is tried again after a while, not at every call: {errors}");
    is_sound(folder.path());
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        assert!(store.stats().await.disk_entries.unwrap() > kept);
        for turn in 0..400 {
            let question = format!("more {turn}");
            if let Some(found) = store.look_up(&key(&question), DAY).await {
                assert_eq!(*found.text, *answer(&question));
            }
        }
        keep(&store, "after", "with room again").await;
    });
}

/// A disk that hangs: a pipe nobody reads from has the lock's name, and to open it is to wait for ever.
#[test]
fn a_disk_that_hangs_hangs_nobody() {
    let folder = Folder::new("hangs");
    std::fs::write(folder.path().join("answers.sqlite3"), "").unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("lock")).status().unwrap().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = Cache::default();
        let store = cache.store(&config(folder.path()));
        for turn in 0..100 {
            let question = turn.to_string();
            // Only the first ones wait at all: then it is left alone.
            assert!(store.look_up(&key(&question), DAY).await.is_none());
            let _kept = store.keep(key(&question), Arc::new(entry("answer")), DAY);
            assert!(store.recall(&key(&question), DAY).is_some());
        }
        assert!(!store.keep(key("q"), Arc::new(entry("answer")), DAY).await);
        cache.close(Duration::from_millis(100));
    });
}

/// Whoever waits for a process that stands still with the database locked waits a moment, and the call goes on.
#[test]
fn a_database_that_is_locked_holds_up_nobody() {
    let folder = Folder::new("locked");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Cache::default().store(&config(folder.path()));
        keep(&store, "before", "answer").await;
        let other = rusqlite::Connection::open(folder.path().join("answers.sqlite3")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let kept = store.keep(key("during"), Arc::new(entry("during")), DAY);
        assert_eq!(store.recall(&key("during"), DAY).unwrap().text.as_ref(), "during");
        assert!(look_up(&store, "before").await.is_some(), "reading does not stand behind it");
        assert!(tokio::time::timeout(Duration::from_secs(60), kept).await.is_ok(), "it is given up, or written");
        other.execute_batch("COMMIT").unwrap();
        keep(&store, "after", "answer").await;
    });
}
