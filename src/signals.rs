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
    // Under `nohup` it is ignored, and stays so.
    let mut hangup = None;
    if !is_ignored(SignalKind::hangup()) {
        hangup = Some(signal(SignalKind::hangup())?);
    }
    tokio::spawn(async move {
        let closed = async {
            match plugin_socket {
                Some(socket) => wait_for_close(&socket).await,
                None => std::future::pending().await,
            }
        };
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(closed, hung_up);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = &mut hung_up => {}
            () = &mut closed => {}
        }
        keep(source).await;
    });
    Ok(cancel)
}

/// As the process was started; only Linux tells.
fn is_ignored(kind: SignalKind) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, kind.as_raw_value()))
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_its_lowest_bit() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1), "SIGHUP");
        assert!(!ignores(status, 2), "SIGINT");
        assert!(ignores(status, 13), "SIGPIPE");
        assert!(!ignores("Name:\tx\n", 1));
    }
}
