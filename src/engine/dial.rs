//! The engine over its socket, or over `docker system dial-stdio`: the Docker CLI reaches whatever its contexts, TLS files
//! and ssh configuration say, and hands the bytes through. One process carries one connection, and that one request.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

/// What carries a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) fn socket(path: PathBuf) -> impl Fn(BollardRequest) -> Answer + Send + Sync + 'static {
    move |request| {
        let path = path.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(path).await?;
            let answer = exchange(Box::new(stream), request).await;
            answer.map_err(|error| Error::IOError { err: io::Error::other(error) })
        })
    }
}

pub(super) fn transport(
    docker: OsString,
    globals: Vec<OsString>,
) -> impl Fn(BollardRequest) -> Answer + Send + Sync + 'static {
    move |request| {
        let mut command = Command::new(&docker);
        command.args(&globals).args(["system", "dial-stdio"]);
        Box::pin(async move { send(command, request).await.map_err(|err| Error::IOError { err }) })
    }
}

async fn send(mut command: Command, request: BollardRequest) -> io::Result<Response<Incoming>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // A Ctrl-C at the terminal goes to the whole foreground group; the connection must outlive it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| {
        let program = command.as_std().get_program().display();
        io::Error::new(error.kind(), format!("start `{program} system dial-stdio`: {error}"))
    })?;
    let stderr = Stderr::collect(child.stderr.take());
    match exchange(Box::new(Pipe::new(child)?), request).await {
        Ok(response) => Ok(response),
        Err(error) => Err(stderr.explain(error).await),
    }
}

async fn exchange(
    stream: Box<dyn Stream>,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, hyper::Error> {
    // hyper writes the URI as it stands; servers expect the path alone, and the host in its header.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// The child's pipes as one stream. It holds the child too, so that the process lives as long as the connection, also
/// after an upgrade.
struct Pipe {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl Pipe {
    fn new(mut child: Child) -> io::Result<Self> {
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self { stdin, stdout, _child: child }),
            _ => Err(io::Error::other("the process has no pipes")),
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}

/// What the Docker CLI said about a connection that failed: hyper only knows that it ended.
struct Stderr {
    text: Arc<Mutex<String>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Stderr {
    const LONGEST: u64 = 4096;

    fn collect(stderr: Option<ChildStderr>) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let Some(stderr) = stderr else { return };
            let mut head = Vec::new();
            let mut limited = stderr.take(Self::LONGEST);
            let _ = limited.read_to_end(&mut head).await;
            shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&head));
            // Read on, so that a talkative process is never blocked.
            let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
        });
        Self { text, reader }
    }

    async fn explain(self, error: hyper::Error) -> io::Error {
        let _ = tokio::time::timeout(Duration::from_secs(2), self.reader).await;
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
        if text.is_empty() { io::Error::other(error) } else { io::Error::other(text) }
    }
}
