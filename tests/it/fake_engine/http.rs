//! Requests in, answers out, and what goes wrong in between.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::exec::Ended;
use super::routes::{Asked, Reply};
use super::{State, lock};
use crate::fake_registry::quirks::Effect;

pub(super) async fn answer(state: Arc<Mutex<State>>, mut request: Request) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let query = Query::try_from_uri(&head.uri).map_or_else(|_| Vec::new(), |Query(query)| query);
    let path = head.uri.path();
    // `/v1.41/containers/json` is `/containers/json`.
    let version = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|end| &rest[end..]));
    let asked = Asked {
        method: head.method.to_string(),
        path: version.unwrap_or(path).to_owned(),
        query,
        body: body.to_vec(),
    };
    let (gate, request) = {
        let state = lock(&state);
        (state.gate.clone(), state.describe(&asked))
    };
    let reply = match gate.and_then(|gate| gate.ask(&request)) {
        Some(Effect::Hang) => std::future::pending().await,
        Some(Effect::CutBefore) => cut(),
        Some(Effect::CutAfter) => {
            lock(&state).reply(&asked);
            cut()
        }
        Some(Effect::Answer(status, ..)) => refusal(status),
        Some(Effect::AnswerAfter(status)) => {
            lock(&state).reply(&asked);
            refusal(status)
        }
        Some(Effect::Then(act)) => {
            let reply = lock(&state).reply(&asked);
            act.happen();
            reply
        }
        None => lock(&state).reply(&asked),
    };
    respond(reply, upgrade, state)
}

fn refusal(status: u16) -> Reply {
    Reply::Json(status, serde_json::json!({ "message": "refused by the test" }))
}

/// A panic in its task closes a connection without an answer; this one does not reach the panic hook.
fn cut() -> Reply {
    std::panic::resume_unwind(Box::new("the connection is cut"))
}

fn respond(reply: Reply, upgrade: Option<OnUpgrade>, state: Arc<Mutex<State>>) -> Response {
    match reply {
        Reply::Nothing(status) => code(status).into_response(),
        Reply::Text(text) => text.into_response(),
        Reply::Json(status, value) => {
            (code(status), [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
        }
        Reply::Bytes(bytes) => ([(header::CONTENT_TYPE, "application/x-tar")], bytes).into_response(),
        Reply::Streams(ended) => {
            ([(header::CONTENT_TYPE, "application/vnd.docker.raw-stream")], frames(&ended)).into_response()
        }
        Reply::Upgraded(ended) => upgraded(upgrade, move |mut connection: Connection| async move {
            let _ = connection.write_all(&frames(&ended)).await;
            let _ = connection.shutdown().await;
        }),
        Reply::Reads(exec, lines) => upgraded(upgrade, move |mut connection: Connection| async move {
            let mut input = Vec::new();
            let mut reader = BufReader::new(&mut connection);
            for _ in 0..lines {
                let _ = reader.read_until(b'\n', &mut input).await;
            }
            let ended = lock(&state).start_exec(&exec, &input).unwrap_or_default();
            let _ = connection.write_all(&frames(&ended)).await;
            let _ = connection.shutdown().await;
        }),
    }
}

type Connection = TokioIo<Upgraded>;

fn upgraded<F: Future<Output = ()> + Send + 'static>(
    upgrade: Option<OnUpgrade>,
    speak: impl FnOnce(Connection) -> F + Send + 'static,
) -> Response {
    if let Some(upgrade) = upgrade {
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                speak(TokioIo::new(upgraded)).await;
            }
        });
    }
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "tcp");
    response.body(Body::empty()).expect("an answer")
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

/// Each chunk behind eight bytes: the stream it belongs to, and its length.
fn frames(ended: &Ended) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (stream, text) in [(1_u8, &ended.stdout), (2, &ended.stderr)] {
        // Chunks that end within a line.
        for chunk in text.as_bytes().chunks(1000) {
            let length = u32::try_from(chunk.len()).expect("a short chunk");
            bytes.extend([stream, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(chunk);
        }
    }
    bytes
}
