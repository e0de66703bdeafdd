//! The listener, the connections and the way of one request through them.

use std::fmt;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Shared;
use super::body::{Ending, ReplyBody};
use super::dialect::{self, Operation, Question};
use super::record::{RecordedRequest, Ticket};
use super::reply::{Checks, Content, Draft, Received, draft};
use super::script::{Facts, Fault, Scripted};

/// Connections that may wait to be accepted: a burst of clients must not be slowed by the system's smaller default.
const BACKLOG: u32 = 4096;

/// Bounds waits computed from a rate, so that adding them to the present cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The server's thread: serves until `stopped` fires or its sender is gone.
pub(super) fn run(shared: &Arc<Shared>, started: &SyncSender<io::Result<SocketAddr>>, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let listening = listen().and_then(|listener| Ok((listener.local_addr()?, listener)));
        match listening {
            Ok((address, listener)) => {
                if started.send(Ok(address)).is_ok() {
                    serve(shared, &listener, stopped).await;
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

async fn serve(shared: &Arc<Shared>, listener: &TcpListener, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let mut count = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(shared), stream, count));
                    count += 1;
                }
                // Out of file descriptors, or the client has left already: the next one may fare better.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    shared.log.close();
    connections.shutdown().await;
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, number: u64) {
    // Without it a small reply may wait for the acknowledgement of the one before; slower, not wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&shared), request, number));
    // How a connection ended is in the log of requests; the rest is the client's affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Closes the connection without a reply.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed by script")
    }
}

impl std::error::Error for Closed {}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    connection: u64,
) -> Result<Response<ReplyBody>, Closed> {
    let started = shared.log.now();
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query();
    let (provider, operation) = dialect::route(&parts.method, path, query, &parts.headers);

    let (body, is_complete) = collect(incoming).await;
    let question = read(provider.and_then(dialect::of), &operation, &body);
    let operation = named(operation, &body);
    let model = match &operation {
        Operation::ShowModel(model) => model.clone(),
        _ => question.as_ref().and_then(|question| question.model.clone()),
    };
    let record = RecordedRequest {
        model: model.clone(),
        ..record(&parts, provider, &body, question.as_ref(), started, connection)
    };
    let (prompt, system) = (Arc::clone(&record.prompt), Arc::clone(&record.system));
    let ticket = shared.log.begin(record);
    if !is_complete {
        drop(ticket);
        return Err(Closed);
    }

    let facts = Facts { provider, path, model: model.as_deref(), texts: [&prompt, &system], body: &body };
    let scripted = shared.script.take(&facts);
    let rule = scripted.as_deref().map(|scripted| &scripted.rule);
    let (latency, rate, checks) = {
        let settings = shared.script.settings();
        (
            rule.and_then(|rule| rule.latency).unwrap_or(settings.latency),
            rule.and_then(|rule| rule.tokens_per_second).or(settings.tokens_per_second),
            Checks::of(&settings, provider, &operation),
        )
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match rule.and_then(|rule| rule.fault) {
        Some(Fault::Disconnect) => {
            ticket.finish();
            return Err(Closed);
        }
        Some(Fault::Stall) => return pending().await,
        _ => {}
    }
    let elapsed = shared.log.now().saturating_sub(started);
    let received =
        Received { provider, operation: &operation, headers: &parts.headers, path, query, question, elapsed };
    let draft = draft(received, rule, &checks);
    if let (Some(rate), Content::Whole(_)) = (rate, &draft.content) {
        tokio::time::sleep(seconds(draft.output_tokens, rate)).await;
    }
    Ok(respond(draft, scripted.as_deref(), rate, ticket))
}

/// The body, and whether all of it arrived.
async fn collect(mut incoming: Incoming) -> (Bytes, bool) {
    let mut first = Bytes::new();
    let mut whole: Option<BytesMut> = None;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            return (whole.map_or(first, BytesMut::freeze), false);
        };
        let Ok(data) = frame.into_data() else { continue };
        // Most bodies come in one piece and need no copy.
        match &mut whole {
            Some(whole) => whole.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(first.len() + data.len());
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                whole = Some(joined);
            }
        }
    }
    (whole.map_or(first, BytesMut::freeze), true)
}

/// A request for one model's facts, with the name that is in its body.
fn named(operation: Operation, body: &[u8]) -> Operation {
    match operation {
        Operation::ShowModel(None) => {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let name = ["model", "name"].into_iter().find_map(|key| body.get(key)?.as_str());
            Operation::ShowModel(name.map(str::to_owned))
        }
        operation => operation,
    }
}

/// What a request for a completion asks; `None` for other requests.
fn read(dialect: Option<&'static dyn dialect::Dialect>, operation: &Operation, body: &[u8]) -> Option<Question> {
    let dialect = dialect.filter(|_| matches!(operation, Operation::Complete { .. } | Operation::Generate))?;
    let mut question = match serde_json::from_slice(body) {
        Ok(body) => dialect.read(operation, body),
        Err(error) => Question {
            mistake: Some(format!("invalid JSON in the request's body: {error}")),
            ..dialect.read(operation, serde_json::Value::Null)
        },
    };
    question.heed_told_schema();
    Some(question)
}

fn record(
    parts: &Parts,
    provider: Option<crate::config::Provider>,
    body: &Bytes,
    question: Option<&Question>,
    started: Duration,
    connection: u64,
) -> RecordedRequest {
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    RecordedRequest {
        provider,
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers,
        body: body.clone(),
        model: question.and_then(|question| question.model.clone()),
        prompt: question.map_or("", |question| &question.prompt).into(),
        system: question.map_or("", |question| &question.system).into(),
        schema: question.and_then(|question| question.schema.clone()),
        started,
        finished: None,
        status: None,
        hung_up: false,
        connection,
    }
}

/// Puts the draft on its way, with the fault the script wants.
fn respond(draft: Draft, scripted: Option<&Scripted>, rate: Option<f64>, ticket: Ticket) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(draft.status).unwrap_or(StatusCode::OK);
    ticket.status(status.as_u16());
    let fault = scripted.and_then(|scripted| scripted.rule.fault);
    let is_stream = matches!(draft.content, Content::Stream(_));
    let is_scripted = scripted.is_some_and(|scripted| scripted.rule.pieces.is_some());
    let (mut pieces, mut length) = match draft.content {
        Content::Whole(body) => {
            let length = body.len() as u64;
            (if body.is_empty() { Vec::new() } else { vec![body] }, Some(length))
        }
        Content::Stream(pieces) => (pieces, None),
    };
    let ending = match fault {
        Some(Fault::Malformed) => {
            halve_one(&mut pieces, is_stream);
            length = length.map(|length| length / 2);
            Ending::Complete
        }
        Some(Fault::Truncate) => {
            if !is_scripted {
                keep_half(&mut pieces, is_stream);
            }
            Ending::Cut
        }
        Some(Fault::StallAfterHeaders) => {
            pieces.clear();
            Ending::Stall
        }
        Some(Fault::StallMidBody) => {
            if !is_scripted {
                keep_half(&mut pieces, is_stream);
            }
            Ending::Stall
        }
        _ => Ending::Complete,
    };
    let interval = rate.filter(|_| is_stream).map(|rate| seconds(1, rate));
    let body = ReplyBody::new(pieces, length, ending, ticket);
    let body = match interval {
        Some(interval) => body.paced(interval),
        None => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(draft.content_type));
    // Repeated names of one rule add up; together they replace the usual header.
    for (name, _) in scripted.map(|scripted| scripted.headers.as_slice()).unwrap_or_default() {
        headers.remove(name);
    }
    for (name, value) in scripted.map(|scripted| scripted.headers.as_slice()).unwrap_or_default() {
        headers.append(name, value.clone());
    }
    response
}

/// Half of the body, or half of a stream's pieces.
fn keep_half(pieces: &mut Vec<Bytes>, is_stream: bool) {
    if is_stream {
        pieces.truncate(pieces.len() / 2);
    } else {
        halve_one(pieces, false);
    }
}

/// Half of the body, or half of a stream's middle piece: a stream goes on after it.
fn halve_one(pieces: &mut [Bytes], is_stream: bool) {
    let at = if is_stream { pieces.len() / 2 } else { 0 };
    if let Some(piece) = pieces.get_mut(at) {
        let line_end = if is_stream { &b"\n\n"[..] } else { &[] };
        *piece = Bytes::from([&piece[..piece.len() / 2], line_end].concat());
    }
}

fn seconds(tokens: u64, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "no reply has 2^53 tokens")]
    let seconds = tokens as f64 / rate;
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
}
