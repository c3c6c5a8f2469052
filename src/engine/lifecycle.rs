//! Stopping and starting the registry's container for certain. A request's answer may be lost on its way, so what
//! counts is what inspecting the container says afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use hyper::Method;
use jiff::Timestamp;
use serde_json::json;

use super::request::{encoded, request};
use super::{Engine, status};
use crate::error::{Failure, Kind};

/// How long the registry may take to finish its requests before the engine kills it.
const GRACE: Duration = Duration::from_secs(30);
/// A registry that has heard that it is to stop has mostly ended by then.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// What the engine may need beyond that, to kill and to answer.
const MARGIN: Duration = Duration::from_secs(15);

impl Engine {
    /// Ok: the process that served has ended. On an error it may still run, or be about to end.
    pub(super) async fn stop(&self, container: &str) -> Result<()> {
        const TRIES: u32 = 3;
        let (grace_and_margin, margin) = (self.pace.of(GRACE + MARGIN), self.pace.of(MARGIN));
        let docker = self.docker.clone().with_timeout(grace_and_margin);
        let path = format!("/containers/{container}/stop?t={}", GRACE.as_secs());
        let ask = || request(&docker, Method::POST, &path, None);
        // The first process of a container that has only just been started, a shell, does not hear the signal: it is sent
        // once more. It changes nothing for one that is about to end.
        let stop = async || {
            let again = async {
                self.pace.pause(HEARD_WITHIN).await;
                ask().await
            };
            tokio::select! {
                answer = ask() => answer,
                answer = again => answer,
            }
        };
        let mut asked = Instant::now();
        let mut answer = stop().await;
        for _ in 1..TRIES {
            // Asking twice stops once; only a broken connection is worth it.
            if !matches!(&answer, Err(error) if status(error).is_none()) {
                break;
            }
            self.pace.pause(Duration::from_millis(500)).await;
            asked = Instant::now();
            answer = stop().await;
        }
        // Without an answer the engine may be stopping it still.
        let patience = match &answer {
            Err(error) if status(error).is_none() => {
                grace_and_margin.saturating_sub(asked.elapsed()).max(margin / 3)
            }
            _ => margin / 3,
        };
        let until = Instant::now() + patience;
        loop {
            let last = match self.is_running(container).await {
                Ok(false) => return Ok(()),
                Ok(true) => anyhow!("it still runs"),
                Err(error) => error,
            };
            if Instant::now() >= until {
                let reason = answer.err().map_or(last, anyhow::Error::from);
                return Err(reason).with_context(|| format!("stop the container `{container}`"));
            }
            self.pace.pause(Duration::from_millis(200)).await;
        }
    }

    /// Starts what ran before; tries for about half a minute, since the engine itself may be restarting.
    pub(super) async fn start_again(&self, name: &str, container: &str) -> Result<(), Failure> {
        const PAUSES: [u64; 6] = [0, 1, 2, 4, 8, 15];
        let mut reason = String::new();
        for pause in PAUSES {
            self.pace.pause(Duration::from_secs(pause)).await;
            match self.start(container).await {
                Ok(()) => return Ok(()),
                Err(error) => reason = format!("{error:#}"),
            }
        }
        Err(left_down(name, &reason).hint(format!(
            "`docker start {name}` starts it again; `docker registry recover` does, and tidies up"
        )))
    }

    /// After a sweep. A process that served before it, or was started meanwhile, remembers blobs that are gone: it must
    /// not go on, and what it may have written down elsewhere is forgotten once it has ended.
    pub(super) async fn start_afresh(
        &self,
        name: &str,
        container: &str,
        forget: impl AsyncFnOnce(),
    ) -> Result<(), Failure> {
        if !self.is_running(container).await.unwrap_or(false) {
            return self.start_again(name, container).await;
        }
        let stopped = self.stop(container).await;
        forget().await;
        if let Err(error) = stopped {
            return Err(Failure::failed(format!(
                "the registry's container `{name}` runs since before the end of the sweep and could not be restarted: {error:#}"
            ))
            .hint(format!(
                "`docker restart {name}` before anything is pushed: it remembers blobs that are gone"
            )));
        }
        self.start_again(name, container).await
    }

    pub(super) async fn start(&self, container: &str) -> Result<()> {
        let answer = self.start_container(container).await;
        let found = self.inspect(container).await?.context("the container is gone")?;
        let state = found.state.unwrap_or_default();
        if state.running == Some(true) && state.restarting != Some(true) {
            return Ok(());
        }
        answer?;
        bail!("it ended at once with code {}", state.exit_code.unwrap_or_default())
    }

    /// Whether it was told to stop since it was started and has not ended yet. Inspecting does not tell, and starting it
    /// has no effect then.
    pub(super) async fn is_stopping(&self, container: &str) -> Result<bool> {
        let state = self.inspect(container).await?.and_then(|found| found.state).unwrap_or_default();
        if state.running != Some(true) {
            return Ok(false);
        }
        let started: Timestamp = state.started_at.context("it was never started")?.parse()?;
        let filters = json!({ "container": [container], "event": ["kill"] });
        let path = format!(
            "/events?since={}&until={}&filters={}",
            for_events(started),
            for_events(self.engine_time().await?),
            encoded(&filters.to_string())
        );
        Ok(!self.get(&path).await?.is_empty())
    }

    /// The clock by which the engine dates its containers.
    pub(super) async fn engine_time(&self) -> Result<Timestamp> {
        let info = self.info().await.context("ask the engine for its time")?;
        let time = info.system_time.context("the engine does not tell its time")?;
        time.parse().with_context(|| format!("read the engine's time `{time}`"))
    }

    /// An error when the engine does not answer or knows no such container.
    pub(crate) async fn is_running(&self, container: &str) -> Result<bool> {
        let found = self.inspect(container).await?;
        let found = found.with_context(|| format!("the container `{container}` is gone"))?;
        let state = found.state.unwrap_or_default();
        Ok(state.running == Some(true) || state.restarting == Some(true))
    }
}

fn for_events(time: Timestamp) -> String {
    format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
}

pub(super) fn left_down(name: &str, reason: &str) -> Failure {
    Failure::new(
        Kind::LeftDown,
        format!("THE REGISTRY IS DOWN: its container `{name}` could not be started again: {reason}"),
    )
}
