//! The connection to the server, on the thread of its own: made when there is something to do, made anew when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, cmd};
use tokio::sync::{mpsc, oneshot};

use crate::cache::entry::Entry;
use crate::cache::key::Key;

/// How long the server may take to answer one command.
const ANSWER_LIMIT: Duration = Duration::from_millis(250);

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// After a connection was lost. It doubles with every attempt that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Short enough that a server that is back is noticed within two seconds.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How many commands are under way, or wait for the first connection, at most.
const UNDER_WAY: usize = 256;

/// How many answers in a row have to be late before the connection is taken for dead.
const LATE: u32 = 3;

/// In front of every key. The number is that of the layout.
const PREFIX: &str = "madspark:1:";

/// What is asked of the thread. Dropped where there is no connection.
#[derive(Debug)]
pub(super) enum Job {
    /// No reply where there is no entry.
    Get {
        key: Key,
        reply: oneshot::Sender<Vec<u8>>,
    },
    /// For `millis` milliseconds.
    Put {
        key: Key,
        entry: Arc<Entry>,
        millis: u64,
    },
    Remove {
        key: Key,
    },
    Clear {
        reply: oneshot::Sender<u64>,
    },
}

/// What others may know of the connection.
#[derive(Debug, Default)]
pub(super) struct Status {
    state: AtomicU8,
    errors: AtomicU64,
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

impl Status {
    pub(super) fn is_up(&self) -> Option<bool> {
        match self.state.load(Ordering::Relaxed) {
            UNKNOWN => None,
            state => Some(state == UP),
        }
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

/// The thread's own.
pub(super) struct Link {
    client: Client,
    /// Host and port, for messages.
    place: String,
    status: Arc<Status>,
    state: State,
    /// Counts connections: what fails on an older one says nothing of the newest.
    generation: u64,
    late: u32,
    pause: Duration,
}

enum State {
    /// Nothing was asked yet, or the first connection is being made for these.
    New(Vec<Job>),
    Up(MultiplexedConnection),
    /// Not asked again before.
    Down(Instant),
}

type Connecting = BoxFuture<'static, RedisResult<MultiplexedConnection>>;
type UnderWay = FuturesUnordered<BoxFuture<'static, (u64, RedisResult<()>)>>;

impl Link {
    /// `None` where the address cannot be used.
    pub(super) fn new(url: &str, status: Arc<Status>) -> Option<Self> {
        let place = url::Url::parse(url).ok().map(|url| {
            let host = url.host_str().unwrap_or_default();
            format!("{host}:{}", url.port().unwrap_or(6379))
        })?;
        let client = match Client::open(url) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!("the shared cache at {place} cannot be used ({})", error.category());
                return None;
            }
        };
        Some(Self { client, place, status, state: State::New(Vec::new()), generation: 0, late: 0, pause: FIRST_PAUSE })
    }

    /// Does what comes until nobody can send any more, and what has come by then.
    pub(super) async fn serve(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut under_way = UnderWay::new();
        let mut connecting: Option<Connecting> = None;
        let mut is_open = true;
        loop {
            let has_first = matches!(&self.state, State::New(waiting) if !waiting.is_empty());
            if !is_open && under_way.is_empty() && !has_first {
                return;
            }
            tokio::select! {
                job = jobs.recv(), if is_open && under_way.len() < UNDER_WAY => match job {
                    Some(job) => self.take(job, &mut connecting, &under_way),
                    None => is_open = false,
                },
                Some((generation, outcome)) = under_way.next() => self.done(generation, outcome),
                outcome = made(&mut connecting) => {
                    connecting = None;
                    self.connected(outcome, &under_way);
                }
            }
        }
    }

    fn take(&mut self, job: Job, connecting: &mut Option<Connecting>, under_way: &UnderWay) {
        match &mut self.state {
            State::Up(connection) => under_way.push(run(self.generation, connection.clone(), job)),
            State::New(waiting) if waiting.len() < UNDER_WAY => waiting.push(job),
            State::Down(until) if Instant::now() < *until => return,
            State::New(_) | State::Down(_) => {}
        }
        if connecting.is_none() && !matches!(self.state, State::Up(_)) {
            *connecting = Some(Box::pin(connect(self.client.clone())));
        }
    }

    fn connected(&mut self, outcome: RedisResult<MultiplexedConnection>, under_way: &UnderWay) {
        match outcome {
            Ok(connection) => {
                self.generation += 1;
                (self.late, self.pause) = (0, FIRST_PAUSE);
                if self.status.state.swap(UP, Ordering::Relaxed) == DOWN {
                    tracing::info!("the shared cache at {} is back", self.place);
                }
                let before = std::mem::replace(&mut self.state, State::Up(connection.clone()));
                if let State::New(waiting) = before {
                    for job in waiting {
                        under_way.push(run(self.generation, connection.clone(), job));
                    }
                }
            }
            Err(error) => self.lost(&error),
        }
    }

    fn done(&mut self, generation: u64, outcome: RedisResult<()>) {
        let Err(error) = outcome else {
            self.late = 0;
            return;
        };
        self.status.errors.fetch_add(1, Ordering::Relaxed);
        if generation != self.generation || !matches!(self.state, State::Up(_)) {
            return;
        }
        self.late += u32::from(error.is_timeout());
        let is_dead = error.is_unrecoverable_error() || error.is_connection_dropped() || self.late >= LATE;
        if is_dead && (!error.is_timeout() || self.late >= LATE) {
            self.lost(&error);
        } else {
            tracing::debug!("the shared cache at {} refused a command ({})", self.place, error.category());
        }
    }

    fn lost(&mut self, error: &RedisError) {
        self.state = State::Down(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        if self.status.state.swap(DOWN, Ordering::Relaxed) != DOWN {
            self.status.errors.fetch_add(1, Ordering::Relaxed);
            // Not the error's own words, which may repeat what was sent.
            let reason = match error.kind() {
                _ if error.is_connection_refusal() => "connection refused",
                _ if error.is_timeout() => "no answer in time",
                ErrorKind::AuthenticationFailed => "it does not take the password",
                _ => error.category(),
            };
            tracing::warn!(
                "the shared cache at {} cannot be reached ({reason}): it is done without until it is back",
                self.place
            );
        }
    }
}

/// Waits for the connection that is being made; for ever where none is.
async fn made(connecting: &mut Option<Connecting>) -> RedisResult<MultiplexedConnection> {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}

async fn connect(client: Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn run(generation: u64, mut connection: MultiplexedConnection, job: Job) -> BoxFuture<'static, (u64, RedisResult<()>)> {
    Box::pin(async move { (generation, obey(&mut connection, job).await) })
}

async fn obey(connection: &mut MultiplexedConnection, job: Job) -> RedisResult<()> {
    match job {
        Job::Get { key, reply } => {
            let found: Option<Vec<u8>> = cmd("GET").arg(name(&key)).query_async(connection).await?;
            if let Some(bytes) = found {
                // The caller may have given up.
                let _ = reply.send(bytes);
            }
        }
        Job::Put { key, entry, millis } => {
            if let Some(bytes) = entry.encode(&key) {
                cmd("SET").arg(name(&key)).arg(bytes).arg("PX").arg(millis).exec_async(connection).await?;
            }
        }
        Job::Remove { key } => cmd("UNLINK").arg(name(&key)).exec_async(connection).await?,
        Job::Clear { reply } => {
            let cleared = clear(connection).await?;
            let _ = reply.send(cleared);
        }
    }
    Ok(())
}

async fn clear(connection: &mut MultiplexedConnection) -> RedisResult<u64> {
    let (mut cursor, mut cleared) = (0_u64, 0);
    loop {
        let (next, names): (u64, Vec<Vec<u8>>) = cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{PREFIX}*"))
            .arg("COUNT")
            .arg(500)
            .query_async(connection)
            .await?;
        if !names.is_empty() {
            cleared += cmd("UNLINK").arg(names).query_async::<u64>(connection).await?;
        }
        if next == 0 {
            return Ok(cleared);
        }
        cursor = next;
    }
}

fn name(key: &Key) -> String {
    format!("{PREFIX}{key}")
}
