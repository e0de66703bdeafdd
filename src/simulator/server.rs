//! The listener and its connections.

use std::future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Shared;
use super::body::{Ending, ReplyBody};
use super::protocol::{self, CompletionRequest, Operation};
use super::record::{PendingRequest, RecordedRequest};
use super::reply::{AccessRules, Content, PlannedReply, RequestContext, plan};
use super::script::{CompiledRule, Fault, RuleInput};
use super::socket::Socket;

/// The backlog of the listener. The system's smaller default would slow a burst of clients.
const BACKLOG: u32 = 4096;

/// The longest delay of a rate, so that adding it to the current time cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Runs the server until `stopped` fires or its sender is dropped.
pub(super) fn run(shared: &Arc<Shared>, started: &SyncSender<io::Result<SocketAddr>>, stopped: oneshot::Receiver<()>) {
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            let listener = listen()?;
            if started.send(Ok(listener.local_addr()?)).is_ok() {
                serve(shared, &listener, stopped).await;
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        let _ = started.send(Err(error));
    }
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
                // No file descriptor is left, or the client has disconnected: the next accept may succeed.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    shared.log.close();
    connections.shutdown().await;
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, number: u64) {
    // Without it a small reply may wait for the acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let mut socket = Socket::new(stream);
    loop {
        let connection = Connection { socket: socket.clone(), number, is_reusable: AtomicBool::new(false) };
        let connection = Arc::new(connection);
        let service = service_fn(|request| handle(Arc::clone(&shared), request, Arc::clone(&connection)));
        let mut served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
        // The log of requests records how each exchange ended; the connection ends the same way after an error.
        drop((&mut served).await);
        // hyper may have read the next request by the time that it learns that this one is answered.
        let parts = served.into_parts();
        let is_read_ahead = !parts.read_buf.is_empty();
        socket = parts.io.into_inner().with_unread(parts.read_buf);
        if !connection.is_reusable.load(Ordering::Relaxed) {
            if is_read_ahead {
                // The system resets a connection that is closed with bytes unread. A failure leaves a plain close.
                drop(socket.reset_on_close());
            }
            return;
        }
    }
}

/// A connection of a client.
#[derive(Debug)]
struct Connection {
    socket: Socket,
    number: u64,
    /// Whether a raw reply left it open for another request.
    is_reusable: AtomicBool,
}

/// Replies to one request. An error makes hyper return without a reply.
async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> io::Result<Response<ReplyBody>> {
    let closed = || Err(io::ErrorKind::ConnectionAborted.into());
    let started = shared.log.now();
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query();
    let (provider, operation) = protocol::route(&parts.method, path, query, &parts.headers);

    let (body, is_complete) = collect(incoming).await;
    let request = parse_request(provider.and_then(protocol::protocol), &operation, &body);
    let operation = with_model(operation, &body);
    let model = match &operation {
        Operation::ShowModel(model) => model.clone(),
        _ => request.as_ref().and_then(|request| request.model.clone()),
    };
    let record = RecordedRequest {
        provider,
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: body.clone(),
        model: model.clone(),
        prompt: request.as_ref().map_or("", |request| &request.prompt).into(),
        system: request.as_ref().map_or("", |request| &request.system).into(),
        schema: request.as_ref().and_then(|request| request.schema.clone()),
        started,
        finished: None,
        status: None,
        hung_up: false,
        connection: connection.number,
    };
    let (prompt, system) = (Arc::clone(&record.prompt), Arc::clone(&record.system));
    let pending = shared.log.begin(record);
    if !is_complete {
        drop(pending);
        return closed();
    }

    let input = RuleInput { provider, path, model: model.as_deref(), texts: [&prompt, &system], body: &body };
    let scripted = shared.script.take(&input);
    let rule = scripted.as_deref().map(|scripted| &scripted.rule);
    let (latency, rate, access) = {
        let settings = shared.script.settings();
        (
            rule.and_then(|rule| rule.latency).unwrap_or(settings.latency),
            rule.and_then(|rule| rule.tokens_per_second).or(settings.tokens_per_second),
            AccessRules::of(&settings, provider, &operation),
        )
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match rule.and_then(|rule| rule.fault) {
        Some(Fault::Disconnect) => {
            pending.finish();
            return closed();
        }
        Some(Fault::Stall) => return future::pending().await,
        _ => {}
    }
    if let Some(reply) = scripted.as_deref().and_then(|scripted| scripted.reply.as_ref()) {
        if let Some(status) = reply.status {
            pending.status(status);
        }
        if let Ok(is_reusable) = reply.send(&connection.socket).await {
            pending.finish();
            connection.is_reusable.store(is_reusable, Ordering::Relaxed);
        }
        return closed();
    }
    let elapsed = shared.log.now().saturating_sub(started);
    let context =
        RequestContext { provider, operation: &operation, headers: &parts.headers, path, query, request, elapsed };
    let reply = plan(context, rule, &access);
    if let (Some(rate), Content::Whole(_)) = (rate, &reply.content) {
        tokio::time::sleep(seconds(reply.output_tokens, rate)).await;
    }
    Ok(respond(reply, scripted.as_deref(), rate, pending))
}

/// Returns the body and whether it is complete.
async fn collect(mut incoming: Incoming) -> (Bytes, bool) {
    let mut first = Bytes::new();
    let mut whole: Option<BytesMut> = None;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            return (whole.map_or(first, BytesMut::freeze), false);
        };
        let Ok(data) = frame.into_data() else { continue };
        // Most bodies arrive in one frame and need no copy.
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

/// Completes an operation on one model with the name in the body.
fn with_model(operation: Operation, body: &[u8]) -> Operation {
    match operation {
        Operation::ShowModel(None) => {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let name = ["model", "name"].into_iter().find_map(|key| body.get(key)?.as_str());
            Operation::ShowModel(name.map(str::to_owned))
        }
        operation => operation,
    }
}

/// Parses a request for a completion; `None` for other operations.
fn parse_request(
    protocol: Option<&'static dyn protocol::ServerProtocol>,
    operation: &Operation,
    body: &[u8],
) -> Option<CompletionRequest> {
    let protocol = protocol.filter(|_| operation.is_completion())?;
    let mut request = match serde_json::from_slice(body) {
        Ok(body) => protocol.parse_request(operation, body),
        Err(error) => CompletionRequest {
            problem: Some(format!("invalid JSON in the request's body: {error}")),
            ..protocol.parse_request(operation, serde_json::Value::Null)
        },
    };
    request.use_prompted_schema();
    Some(request)
}

/// Turns the planned reply into a response with the headers and the fault of the rule.
fn respond(
    reply: PlannedReply,
    scripted: Option<&CompiledRule>,
    rate: Option<f64>,
    pending: PendingRequest,
) -> Response<ReplyBody> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    pending.status(status.as_u16());
    let fault = scripted.and_then(|scripted| scripted.rule.fault);
    let is_stream = matches!(reply.content, Content::Stream(_));
    let is_scripted = scripted.is_some_and(|scripted| scripted.rule.pieces.is_some());
    let (mut pieces, mut length) = match reply.content {
        Content::Whole(body) => {
            let length = body.len() as u64;
            (if body.is_empty() { Vec::new() } else { vec![body] }, Some(length))
        }
        Content::Stream(pieces) => (pieces, None),
    };
    match fault {
        Some(Fault::Malformed) => {
            halve_one(&mut pieces, is_stream);
            length = length.map(|length| length / 2);
        }
        Some(Fault::StallAfterHeaders) => pieces.clear(),
        Some(Fault::Truncate | Fault::StallMidBody) if !is_scripted && is_stream => pieces.truncate(pieces.len() / 2),
        Some(Fault::Truncate | Fault::StallMidBody) if !is_scripted => halve_one(&mut pieces, false),
        _ => {}
    }
    let ending = match fault {
        Some(Fault::Truncate) => Ending::Cut,
        Some(Fault::StallAfterHeaders | Fault::StallMidBody) => Ending::Stall,
        _ => Ending::Complete,
    };
    let interval = rate.filter(|_| is_stream).map(|rate| seconds(1, rate));
    let mut response = Response::new(ReplyBody::new(pieces, length, interval, ending, pending));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    let scripted = scripted.map(|scripted| scripted.headers.as_slice()).unwrap_or_default();
    // The headers of the rule replace a default header of the same name; among themselves they add up.
    for (name, _) in scripted {
        headers.remove(name);
    }
    headers.extend(scripted.iter().map(|(name, value)| (name.clone(), value.clone())));
    response
}

/// Halves the body, or the middle piece of a stream.
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
