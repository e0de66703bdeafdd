//! The disk tier with damaged, deleted and foreign files. Tests with several processes are in `tests/core/cache_processes.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::DiskTier;
use super::database::{Change, Database};
use super::folder::Folder;
use crate::cache::entry::{Entry, now};
use crate::cache::tests::stores::TempFolder;
use crate::cache::tests::{entry, key};
use crate::cache::thread::OnStart;
use crate::message::FinishReason;

const DAY: Duration = Duration::from_secs(86_400);
const MB: u64 = 1024 * 1024;

fn disk(folder: &Path) -> DiskTier {
    let on_start: OnStart = Arc::new(|| {});
    DiskTier::new(folder.to_owned(), 100 * MB, &on_start)
}

async fn put(disk: &DiskTier, name: &str, text: &str) -> bool {
    match disk.put(key(name), Arc::new(entry(text)), now() + 86_400_000) {
        Some(written) => written.await.is_ok(),
        None => false,
    }
}

async fn get(disk: &DiskTier, name: &str) -> Option<String> {
    disk.get(&key(name), DAY).await.map(|entry| entry.text.to_string())
}

/// Fills a folder with a hundred entries and closes it.
async fn fill(folder: &Path) {
    let disk = disk(folder);
    for number in 0..100 {
        assert!(put(&disk, &number.to_string(), &answer(number)).await);
    }
    disk.close(std::time::Instant::now() + DAY);
}

fn answer(number: usize) -> String {
    format!("{number} ").repeat(300)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn overwrite(path: &Path, at: usize, with: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(path, bytes).unwrap();
}

/// Damages the files. The arguments are the folder and the database in it.
type Damage = fn(&Path, &Path);

#[tokio::test]
async fn damage_never_causes_a_wrong_entry_or_prevents_new_ones() {
    let damages: [(&str, Damage); 12] = [
        ("nothing", |_, _| {}),
        ("deleted", |_, database| fs::remove_file(database).unwrap()),
        ("empty", |_, database| fs::write(database, "").unwrap()),
        ("garbage", |_, database| fs::write(database, "no database at all".repeat(1000)).unwrap()),
        ("cut in half", |_, database| {
            let bytes = fs::read(database).unwrap();
            fs::write(database, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("cut within a page", |_, database| {
            let bytes = fs::read(database).unwrap();
            fs::write(database, &bytes[..bytes.len() - 1000]).unwrap();
        }),
        ("header", |_, database| overwrite(database, 0, &[0xff; 64])),
        ("pages", |_, database| {
            let pages = fs::read(database).unwrap().len() / 4096;
            for page in (2..pages).step_by(3) {
                overwrite(database, page * 4096 + 100, &[0xa5; 2000]);
            }
        }),
        ("texts", |_, database| {
            // One bit in every kilobyte, most of which is text.
            let bytes = fs::read(database).unwrap();
            for at in (20_000..bytes.len()).step_by(1021) {
                overwrite(database, at, &[bytes[at] ^ 1]);
            }
        }),
        ("a folder in its cache_folder", |_, database| {
            fs::remove_file(database).unwrap();
            fs::create_dir(database).unwrap();
        }),
        ("another program's", |_, database| {
            fs::remove_file(database).unwrap();
            let foreign = rusqlite::Connection::open(database).unwrap();
            foreign
                .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); PRAGMA user_version = 1")
                .unwrap();
        }),
        ("a log of another database", |_, database| {
            let mut log = database.as_os_str().to_owned();
            log.push("-wal");
            fs::write(log, vec![0x37_u8; 100_000]).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let folder = TempFolder::new("damage");
        fill(folder.path()).await;
        damage(folder.path(), &Folder::new(folder.path().to_owned()).database());
        let disk = disk(folder.path());
        let mut found = 0;
        for number in 0..100 {
            if let Some(text) = get(&disk, &number.to_string()).await {
                assert_eq!(text, answer(number), "{name}");
                found += 1;
            }
        }
        if ["nothing", "a log of another database"].contains(&name) {
            assert_eq!(found, 100, "{name}");
        }
        assert!(put(&disk, "new", "works").await, "{name}");
        assert_eq!(get(&disk, "new").await.unwrap(), "works", "{name}");
        disk.close(std::time::Instant::now() + DAY);
        if name != "texts" {
            let database = rusqlite::Connection::open(Folder::new(folder.path().to_owned()).database()).unwrap();
            let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "{name}");
        }
    }
}

#[tokio::test]
async fn damage_to_an_open_database_is_detected() {
    let damages: [(&str, Damage); 4] = [
        ("the folder is deleted", |folder, _| fs::remove_dir_all(folder).unwrap()),
        ("the database is deleted", |_, database| fs::remove_file(database).unwrap()),
        ("everything in it is deleted", |folder, _| {
            for file in fs::read_dir(folder).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }),
        ("it is written over", |_, database| {
            let size = usize::try_from(fs::metadata(database).unwrap().len()).unwrap();
            overwrite(database, 0, &vec![0x5a; size]);
        }),
    ];
    for (name, damage) in damages {
        let folder = TempFolder::new("open");
        let path = folder.path().join("cache");
        let disk = disk(&path);
        assert!(put(&disk, "old", "before").await);
        assert_eq!(get(&disk, "old").await.unwrap(), "before");
        // Moves the log into the database, so that there is something to overwrite.
        rusqlite::Connection::open(Folder::new(path.clone()).database())
            .and_then(|other| other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .unwrap();
        damage(&path, &Folder::new(path.clone()).database());
        let known = get(&disk, "old").await;
        assert!(known.is_none_or(|text| text == "before"), "{name}");
        assert!(put(&disk, "new", "works").await, "{name}");
        assert_eq!(get(&disk, "new").await.as_deref(), Some("works"), "{name}");
        disk.close(std::time::Instant::now() + DAY);
        assert_eq!(get(&self::disk(&path), "new").await.as_deref(), Some("works"), "{name}");
    }
}

#[tokio::test]
async fn a_newer_version_is_not_changed() {
    let folder = TempFolder::new("newer");
    fill(folder.path()).await;
    let path = Folder::new(folder.path().to_owned()).database();
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    let before = fs::read(&path).unwrap();
    let disk = disk(folder.path());
    assert_eq!(get(&disk, "1").await, None);
    assert!(!put(&disk, "new", "lost").await);
    disk.close(std::time::Instant::now() + DAY);
    assert!(fs::read(&path).unwrap() == before, "no byte has changed");
    assert!(!Folder::new(folder.path().to_owned()).damaged_database().exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_created_is_not_used() {
    let folder = TempFolder::new("none");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let disk = disk(&file.join("cache"));
    assert_eq!(get(&disk, "q").await, None);
    assert!(!put(&disk, "q", "lost").await);
    assert!(disk.errors() > 0);
    // It is in cooldown, so that later calls do not wait for it.
    let errors = disk.errors();
    assert_eq!(get(&disk, "q").await, None);
    assert_eq!(disk.errors(), errors);
}

#[tokio::test]
async fn new_files_are_private_and_existing_folders_keep_their_permissions() {
    let folder = TempFolder::new("rights");
    let made = folder.path().join("a").join("b");
    fill(&made).await;
    assert_eq!((mode(&folder.path().join("a")), mode(&made)), (0o700, 0o700));
    let disk = disk(&made);
    assert!(put(&disk, "q", "open").await);
    for file in fs::read_dir(&made).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let given = folder.path().join("given");
    fs::create_dir(&given).unwrap();
    fs::set_permissions(&given, fs::Permissions::from_mode(0o755)).unwrap();
    fill(&given).await;
    assert_eq!(mode(&given), 0o755);
    assert_eq!(mode(&Folder::new(given).database()), 0o600);
}

#[tokio::test]
async fn a_symbolic_link_to_a_folder_is_followed() {
    let folder = TempFolder::new("link");
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    fill(&link).await;
    assert_eq!(get(&disk(&real), "7").await.unwrap(), answer(7));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn the_size_stays_within_its_limit_and_recent_entries_stay() {
    let folder = TempFolder::new("bound");
    let disk = disk(folder.path());
    disk.set_max_bytes(2 * MB);
    let text = "x".repeat(4000);
    for number in 0..2000 {
        assert!(put(&disk, &number.to_string(), &text).await);
    }
    let size = disk.size().await.unwrap();
    assert!(size.bytes <= 2 * MB, "{size:?}");
    assert!(size.bytes > MB, "{size:?}");
    assert_eq!(get(&disk, "1999").await.unwrap(), text);
    assert_eq!(get(&disk, "0").await, None);
    let size: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 2 * MB + 6 * MB, "{size} bytes with the log");
    // One entry that would evict many others.
    assert!(!put(&disk, "huge", &"x".repeat(1_000_000)).await);
    // A smaller limit frees space with every write.
    disk.set_max_bytes(MB / 2);
    for number in 0..20 {
        assert!(put(&disk, &format!("more {number}"), "small").await);
    }
    disk.close(std::time::Instant::now() + DAY);
    let size = fs::metadata(Folder::new(folder.path().to_owned()).database()).unwrap().len();
    assert!(size <= MB, "{size} bytes");
}

#[test]
fn recently_used_entries_are_evicted_last_and_expired_ones_are_deleted() {
    let folder = TempFolder::new("use");
    let cache_folder = Folder::new(folder.path().to_owned());
    let (mut database, _) = Database::open(&cache_folder, DAY).unwrap();
    let put = |name: &str, used, expires| Change::Put { key: key(name), used, expires, entry: vec![7; 3000] };
    let all: Vec<Change> = (0..300).map(|number| put(&number.to_string(), number, 1000 + number)).collect();
    database.apply(&all).unwrap();
    database.apply(&[Change::Touch { key: key("0"), used: 5000 }]).unwrap();
    assert!(database.evict(MB / 2).unwrap() > 0);
    let is_there = |database: &Database, name: &str| database.get(&key(name)).unwrap().is_some();
    assert!(is_there(&database, "0") && is_there(&database, "299"));
    assert!(!is_there(&database, "1"));
    assert_eq!(database.expire(1000).unwrap(), 0);
    assert_eq!(database.expire(1001).unwrap(), 1);
    assert!(!is_there(&database, "0") && is_there(&database, "299"));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_removed() {
    let folder = TempFolder::new("unread");
    let cache_folder = Folder::new(folder.path().to_owned());
    let swapped = entry("of another").encode(&key("another")).unwrap();
    let mut flipped = entry("flipped").encode(&key("flipped")).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    let mut newer = entry("newer").encode(&key("newer")).unwrap();
    newer[0] += 1;
    let mut older = entry("older").encode(&key("older")).unwrap();
    older[0] -= 1;
    let rows = [
        ("swapped", swapped),
        ("flipped", flipped),
        ("newer", newer),
        ("older", older),
        ("short", vec![1, 2]),
        ("none", vec![]),
    ];
    let (mut database, _) = Database::open(&cache_folder, DAY).unwrap();
    let put =
        |(name, entry): &(&str, Vec<u8>)| Change::Put { key: key(name), used: now(), expires: 0, entry: entry.clone() };
    database.apply(&rows.iter().map(put).collect::<Vec<_>>()).unwrap();
    drop(database);
    let disk = disk(folder.path());
    for (name, _) in &rows {
        assert_eq!(get(&disk, name).await, None, "{name}");
    }
    disk.close(std::time::Instant::now() + DAY);
    let (database, _) = Database::open(&cache_folder, DAY).unwrap();
    assert_eq!(database.size().unwrap().entries, 0);
}

#[test]
fn every_entry_is_decoded_as_it_was_encoded() {
    for text in ["", "\0", "\u{0}\u{1f}\u{7f}\u{fffd}", "\"\\/\n", "😀漢字", "{\"a\":1}"] {
        let usage = crate::message::Usage { input: 1, cached_input: 2, output: 3, reasoning: 4, tool: u64::MAX };
        for provider in crate::config::Provider::ALL {
            let entry = Entry {
                finish: FinishReason::Other,
                finish_detail: Some(Arc::from(text)),
                reasoning: Some(Arc::from(text)).filter(|_| usage.input > 0),
                ..Entry::new(text, provider, "a \"model\"", usage)
            };
            assert_eq!(Entry::decode(&key("q"), &entry.encode(&key("q")).unwrap()), Some(entry));
        }
    }
}
