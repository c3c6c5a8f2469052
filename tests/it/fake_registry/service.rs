//! The thread that serves a fake registry's port, and can be told to stop and to serve again as a container can.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::Request;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{State, answer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Serve,
    Stop,
    End,
}

pub(super) struct Service {
    orders: UnboundedSender<(Order, mpsc::Sender<()>)>,
    thread: Option<JoinHandle<()>>,
}

/// A port that stays ours while nobody listens at it: this socket is bound and never listens.
pub(super) struct Port(std::net::SocketAddr, #[expect(dead_code, reason = "held, not used")] TcpSocket);

impl Port {
    pub(super) fn reserve() -> Self {
        let socket = bound("127.0.0.1:0".parse().expect("an address")).expect("a loopback port");
        let address = socket.local_addr().expect("the port's number");
        Self(address, socket)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0
    }

    /// A process that is just being started has a copy of the last listener until it is itself: that passes.
    fn listen(&self) -> TcpListener {
        const TRIES: u32 = 5_000;
        for _ in 1..TRIES {
            if let Ok(listener) = bound(self.0).and_then(|socket| socket.listen(1024)) {
                return listener;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bound(self.0).and_then(|socket| socket.listen(1024)).expect("listen at the port")
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // It shares the port with the one that holds it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Service {
    pub(super) fn start(port: Port, state: Arc<Mutex<State>>) -> Self {
        let (orders, received) = unbounded_channel();
        let thread = std::thread::spawn(move || serve(&port, &state, received));
        let service = Self { orders, thread: Some(thread) };
        service.obey(Order::Serve);
        service
    }

    /// Comes back when it is done.
    pub(super) fn obey(&self, order: Order) {
        let (done, is_done) = mpsc::channel();
        if self.orders.send((order, done)).is_ok() {
            let _ = is_done.recv();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.obey(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// With every stop the runtime ends and, with it, every connection.
fn serve(port: &Port, state: &Arc<Mutex<State>>, mut orders: UnboundedReceiver<(Order, mpsc::Sender<()>)>) {
    while let Some((mut order, mut done)) = orders.blocking_recv() {
        while order == Order::Serve {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let state = state.clone();
            let next = runtime.block_on(async {
                let listener = port.listen();
                let _ = done.send(());
                let router =
                    axum::Router::new().fallback(move |request: Request| answer(state.clone(), request));
                tokio::select! {
                    _ = axum::serve(listener, router) => None,
                    next = orders.recv() => next,
                }
            });
            drop(runtime);
            let Some(next) = next else { return };
            (order, done) = next;
        }
        let _ = done.send(());
        if order == Order::End {
            return;
        }
    }
}
