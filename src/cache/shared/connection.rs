//! The connection to the server: made with the first command, and made again after it was lost.

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

/// How long the server may take to answer a command.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The initial backoff after a connection was lost. Every failed attempt doubles it.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// The maximum backoff, so that a server that is back is noticed within two seconds.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The number of commands that may be in flight, or wait for the first connection.
const MAX_IN_FLIGHT: usize = 256;

/// The number of consecutive timeouts after which the connection counts as lost.
const MAX_TIMEOUTS: u32 = 3;

/// The prefix of every key, with the version of the layout.
const PREFIX: &str = "madspark:1:";

/// A command to the server. It is dropped, with its reply, if there is no connection.
#[derive(Debug)]
pub(super) enum Command {
    Get {
        key: Key,
        /// Dropped unsent if there is no entry.
        reply: oneshot::Sender<Vec<u8>>,
    },
    Put {
        key: Key,
        entry: Arc<Entry>,
        /// The lifetime in milliseconds.
        millis: u64,
    },
    Remove {
        key: Key,
    },
    Clear {
        reply: oneshot::Sender<u64>,
    },
}

/// The status of the connection, which other threads may read.
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

/// A connection with a queue of commands.
pub(super) struct ServerConnection {
    client: Client,
    /// Host and port, for messages.
    address: String,
    status: Arc<Status>,
    state: State,
    /// The number of the connection. A failure on an older connection does not affect the current one.
    generation: u64,
    timeouts: u32,
    backoff: Duration,
}

enum State {
    /// Before the first connection. Holds the commands that wait for it.
    New(Vec<Command>),
    Up(MultiplexedConnection),
    /// Disconnected. The next connection attempt is made no earlier than this.
    Down(Instant),
}

type Connecting = BoxFuture<'static, RedisResult<MultiplexedConnection>>;
type InFlight = FuturesUnordered<BoxFuture<'static, (u64, RedisResult<()>)>>;

impl ServerConnection {
    /// Returns `None` if the address is invalid.
    pub(super) fn new(url: &str, status: Arc<Status>) -> Option<Self> {
        let address = url::Url::parse(url).ok().map(|url| {
            let host = url.host_str().unwrap_or_default();
            format!("{host}:{}", url.port().unwrap_or(6379))
        })?;
        let client = match Client::open(url) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!("the shared cache at {address} cannot be used ({}): check cache_url", error.category());
                return None;
            }
        };
        let state = State::New(Vec::new());
        Some(Self { client, address, status, state, generation: 0, timeouts: 0, backoff: INITIAL_BACKOFF })
    }

    /// Executes `commands` until the queue is closed and all of them are done.
    pub(super) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut in_flight = InFlight::new();
        let mut connecting: Option<Connecting> = None;
        let mut is_open = true;
        loop {
            let is_first_pending = matches!(&self.state, State::New(waiting) if !waiting.is_empty());
            if !is_open && in_flight.is_empty() && !is_first_pending {
                return;
            }
            tokio::select! {
                command = commands.recv(), if is_open && in_flight.len() < MAX_IN_FLIGHT => match command {
                    Some(command) => self.start(command, &mut connecting, &in_flight),
                    None => is_open = false,
                },
                Some((generation, outcome)) = in_flight.next() => self.on_completed(generation, outcome),
                outcome = connected(&mut connecting) => {
                    connecting = None;
                    self.on_connected(outcome, &in_flight);
                }
            }
        }
    }

    /// Starts `command`, or drops it while the server is down. Starts connecting if necessary.
    fn start(&mut self, command: Command, connecting: &mut Option<Connecting>, in_flight: &InFlight) {
        match &mut self.state {
            State::Up(connection) => in_flight.push(run(self.generation, connection.clone(), command)),
            State::New(waiting) if waiting.len() < MAX_IN_FLIGHT => waiting.push(command),
            State::Down(until) if Instant::now() < *until => return,
            State::New(_) | State::Down(_) => {}
        }
        if connecting.is_none() && !matches!(self.state, State::Up(_)) {
            *connecting = Some(Box::pin(connect(self.client.clone())));
        }
    }

    fn on_connected(&mut self, outcome: RedisResult<MultiplexedConnection>, in_flight: &InFlight) {
        match outcome {
            Ok(connection) => {
                self.generation += 1;
                (self.timeouts, self.backoff) = (0, INITIAL_BACKOFF);
                if self.status.state.swap(UP, Ordering::Relaxed) == DOWN {
                    tracing::info!("the shared cache at {} is reachable again", self.address);
                }
                let before = std::mem::replace(&mut self.state, State::Up(connection.clone()));
                if let State::New(waiting) = before {
                    for command in waiting {
                        in_flight.push(run(self.generation, connection.clone(), command));
                    }
                }
            }
            Err(error) => self.on_lost(&error),
        }
    }

    fn on_completed(&mut self, generation: u64, outcome: RedisResult<()>) {
        let Err(error) = outcome else {
            self.timeouts = 0;
            return;
        };
        self.status.errors.fetch_add(1, Ordering::Relaxed);
        if generation != self.generation || !matches!(self.state, State::Up(_)) {
            return;
        }
        self.timeouts += u32::from(error.is_timeout());
        let has_timed_out = self.timeouts >= MAX_TIMEOUTS;
        let is_broken = error.is_unrecoverable_error() || error.is_connection_dropped();
        if has_timed_out || is_broken && !error.is_timeout() {
            self.on_lost(&error);
        } else {
            tracing::debug!("a command to the shared cache at {} failed ({})", self.address, error.category());
        }
    }

    fn on_lost(&mut self, error: &RedisError) {
        self.state = State::Down(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        if self.status.state.swap(DOWN, Ordering::Relaxed) != DOWN {
            self.status.errors.fetch_add(1, Ordering::Relaxed);
            // The error's own message may repeat what was sent.
            let reason = match error.kind() {
                _ if error.is_connection_refusal() => "connection refused",
                _ if error.is_timeout() => "timed out",
                ErrorKind::AuthenticationFailed => "the password was rejected",
                _ => error.category(),
            };
            tracing::warn!(
                "the shared cache at {} is not reachable ({reason}): calls go on without it until it is",
                self.address
            );
        }
    }
}

/// Waits for the connection attempt, or forever if there is none.
async fn connected(connecting: &mut Option<Connecting>) -> RedisResult<MultiplexedConnection> {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}

async fn connect(client: Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn run(
    generation: u64,
    mut connection: MultiplexedConnection,
    command: Command,
) -> BoxFuture<'static, (u64, RedisResult<()>)> {
    Box::pin(async move { (generation, execute(&mut connection, command).await) })
}

async fn execute(connection: &mut MultiplexedConnection, command: Command) -> RedisResult<()> {
    match command {
        Command::Get { key, reply } => {
            let found: Option<Vec<u8>> = cmd("GET").arg(name(&key)).query_async(connection).await?;
            if let Some(bytes) = found {
                // Fails if the caller has given up.
                let _ = reply.send(bytes);
            }
        }
        Command::Put { key, entry, millis } => {
            if let Some(bytes) = entry.encode(&key) {
                cmd("SET").arg(name(&key)).arg(bytes).arg("PX").arg(millis).exec_async(connection).await?;
            }
        }
        Command::Remove { key } => cmd("UNLINK").arg(name(&key)).exec_async(connection).await?,
        Command::Clear { reply } => {
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
