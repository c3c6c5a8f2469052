//! One flag for "stop as soon as it is safe", set by signals and by the Docker CLI's plugin socket.

use tokio::sync::watch;

/// The side that looks. Cheap to clone; stages check it between steps.
#[derive(Debug, Clone)]
pub(crate) struct Cancel(watch::Receiver<bool>);

/// The side that sets. Kept alive for the whole run.
#[derive(Debug)]
pub(crate) struct CancelSource(watch::Sender<bool>);

pub(crate) fn cancellation() -> (CancelSource, Cancel) {
    let (sender, receiver) = watch::channel(false);
    (CancelSource(sender), Cancel(receiver))
}

impl CancelSource {
    pub(crate) fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    pub(crate) fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the run was cancelled; never, if it never is.
    pub(crate) async fn cancelled(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|&cancelled| cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
