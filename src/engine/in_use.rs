//! The images that containers and Swarm services of this engine use. A stopped container counts: its image may have to
//! be pulled again when it is made anew. Whether the images are in a registry that is pruned is not known here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Engine;
use super::ask::{ContainerSummary, Image, Swarm};
use super::find::name_of;
use crate::model::printable;

/// The state of a swarm that is on its way.
const PENDING: &str = "pending";

#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) images: Vec<InUse>,
    pub(crate) services: Services,
}

/// An image, and who uses it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InUse {
    /// As the engine has it: `127.0.0.1:5000/app:v1`, `app@sha256:…`, or the image's id.
    pub(crate) reference: String,
    /// What else the engine knows the image by: its id, its tags, its digests in repositories.
    pub(crate) names: Vec<String>,
    /// In the words of a sentence: "container `web`".
    pub(crate) user: String,
}

/// Whether the services of a swarm are among what is in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Services {
    /// The engine is in no swarm.
    None,
    Listed,
    /// Workers of a swarm cannot ask for its services.
    NotAManager,
    /// A swarm is there but does not answer: its state is `locked`, `pending` or `error`.
    NotReady {
        state: String,
    },
}

/// A service as the engine lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    spec: ServiceSpec,
    previous_spec: Option<ServiceSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceSpec {
    name: Option<String>,
    task_template: Option<TaskTemplate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskTemplate {
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerSpec {
    image: Option<String>,
}

impl InUse {
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.reference).chain(&self.names).map(String::as_str)
    }
}

impl Engine {
    pub(crate) async fn images_in_use(&self) -> Result<Usage> {
        let (mut images, (of_services, services)) =
            tokio::try_join!(self.images_of_containers(), self.images_of_services())?;
        images.extend(of_services);
        Ok(Usage { images, services })
    }

    async fn images_of_containers(&self) -> Result<Vec<InUse>> {
        let containers = self.list(true, None).await?;
        // `all` has those that lost their tag to a newer image.
        let images = self.ask("/images/json?all=true").await;
        let images: Vec<Image> = images.with_context(|| format!("list the images of {}", self.shown))?;
        Ok(of_containers(&containers, &images))
    }

    /// A swarm that is made, started or left is neither there nor not there for a moment, in which the engine says
    /// `pending`, or has no services although it just said that it has: it is asked again.
    async fn images_of_services(&self) -> Result<(Vec<InUse>, Services)> {
        const SETTLES_WITHIN: Duration = Duration::from_secs(5);
        let asked = Instant::now();
        loop {
            let info =
                self.info().await.with_context(|| format!("ask {} whether it is in a swarm", self.shown))?;
            let is_late = asked.elapsed() > self.pace.of(SETTLES_WITHIN);
            match services_of(info.swarm.as_ref()) {
                Services::Listed => match self.ask("/services").await {
                    Ok(listed) => return Ok((of_services(listed), Services::Listed)),
                    Err(error) if is_late => {
                        return Err(error)
                            .with_context(|| format!("list the Swarm services of {}", self.shown));
                    }
                    Err(_) => {}
                },
                Services::NotReady { state } if state == PENDING && !is_late => {}
                services => return Ok((Vec::new(), services)),
            }
            self.pace.pause(Duration::from_millis(100)).await;
        }
    }
}

fn services_of(swarm: Option<&Swarm>) -> Services {
    match swarm.and_then(|swarm| swarm.local_node_state.as_deref()) {
        None | Some("" | "inactive") => Services::None,
        Some("active") => match swarm.and_then(|swarm| swarm.control_available) {
            Some(true) => Services::Listed,
            _ => Services::NotAManager,
        },
        Some(state) => Services::NotReady { state: state.to_string() },
    }
}

/// In the order of the containers' names, so that the same engine gives the same plan.
fn of_containers(containers: &[ContainerSummary], images: &[Image]) -> Vec<InUse> {
    let images: HashMap<&str, &Image> = images.iter().map(|image| (image.id.as_str(), image)).collect();
    let used = containers
        .iter()
        .map(|container| {
            let image = container.image_id.as_deref().and_then(|id| images.get(id));
            // With containerd's store, the manifest of the platform that runs, in an index of several.
            let manifest =
                container.image_manifest_descriptor.as_ref().and_then(|found| found.digest.clone());
            let names = container.image_id.iter().cloned().chain(manifest);
            let names = names.chain(image.into_iter().flat_map(|image| names_of(image)));
            InUse {
                reference: container.image.clone().unwrap_or_default(),
                names: names.collect(),
                user: format!("container `{}`", printable(&name_of(container))),
            }
        })
        .collect();
    by_user(used)
}

fn by_user(mut used: Vec<InUse>) -> Vec<InUse> {
    used.sort_by(|a, b| a.user.cmp(&b.user));
    used
}

/// Engines write `<none>:<none>` for none.
fn names_of(image: &Image) -> impl Iterator<Item = String> {
    let names = image.repo_tags.iter().chain(&image.repo_digests).flatten();
    names.filter(|name| !name.starts_with("<none>")).cloned()
}

fn of_services(services: Vec<Service>) -> Vec<InUse> {
    let used = services
        .into_iter()
        .flat_map(|Service { id, spec, previous_spec }| {
            let name = printable(spec.name.as_deref().unwrap_or(&id));
            let now = image_of(spec).map(|image| (image, format!("service `{name}`")));
            let before = previous_spec.and_then(image_of);
            let before = before.map(|image| (image, format!("the rollback of service `{name}`")));
            now.into_iter().chain(before)
        })
        .map(|(reference, user)| InUse { reference, names: Vec::new(), user })
        .collect();
    by_user(used)
}

/// `None` for a service that runs no containers (plugins).
fn image_of(spec: ServiceSpec) -> Option<String> {
    spec.task_template?.container_spec?.image
}

#[cfg(test)]
mod tests;
