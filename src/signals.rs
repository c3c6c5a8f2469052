//! Turns every way of saying "stop" into one cancellation: signals, and the Docker CLI closing its plugin socket. A
//! second signal changes nothing: the registry is put back first.

use std::ffi::{OsStr, OsString};
use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::cancel::{Cancel, CancelSource, cancellation};

/// Listens until the run ends.
pub(crate) fn listen(plugin_socket: Option<OsString>) -> io::Result<Cancel> {
    let (source, cancel) = cancellation();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let closed = async {
            match plugin_socket {
                Some(socket) => wait_for_close(&socket).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(closed);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = &mut closed => {}
        }
        keep(source).await;
    });
    Ok(cancel)
}

/// Cancels, and keeps the signals from ending the process while everything is put back.
async fn keep(source: CancelSource) {
    source.cancel();
    std::future::pending::<()>().await;
}

/// Docker's CLI holds this socket open for as long as the plugin may run. One that cannot be reached says nothing.
async fn wait_for_close(socket: &OsStr) {
    let Ok(mut stream) = connect(socket).await else {
        return std::future::pending().await;
    };
    let mut byte = [0; 64];
    while matches!(stream.read(&mut byte).await, Ok(read) if read > 0) {}
}

#[cfg(target_os = "linux")]
async fn connect(socket: &OsStr) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        }
        None => UnixStream::connect(socket).await,
    }
}

#[cfg(not(target_os = "linux"))]
async fn connect(socket: &OsStr) -> io::Result<UnixStream> {
    UnixStream::connect(socket).await
}
