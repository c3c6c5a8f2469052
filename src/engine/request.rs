//! Requests to the engine and its answers in JSON. bollard has types and options for all that an engine may be told or
//! may say, with code that would be a large part of this program; its connections, its streams and its errors are used.

use bollard::errors::Error;
use bollard::{Docker, body_full};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Engine;

/// What was made.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// A command in a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedExec {
    pub(super) running: Option<bool>,
    pub(super) exit_code: Option<i64>,
}

impl Engine {
    /// What the engine tells; it is asked again if the connection breaks.
    pub(super) async fn get(&self, path: &str) -> Result<String, Error> {
        self.retried(|| request(&self.docker, Method::GET, path, None)).await
    }

    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        Ok(serde_json::from_str(&self.get(path).await?)?)
    }

    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<String, Error> {
        request(&self.docker, Method::POST, path, body).await
    }

    /// Gives its id.
    pub(super) async fn create_container(&self, name: Option<&str>, body: &Value) -> Result<String, Error> {
        let name = name.map_or_else(String::new, |name| format!("?name={name}"));
        self.create(&format!("/containers/create{name}"), body).await
    }

    /// Gives its id.
    pub(super) async fn create_exec(&self, container: &str, body: &Value) -> Result<String, Error> {
        self.create(&format!("/containers/{container}/exec"), body).await
    }

    async fn create(&self, path: &str, body: &Value) -> Result<String, Error> {
        let answer = self.post(path, Some(body)).await?;
        Ok(serde_json::from_str::<Created>(&answer)?.id)
    }

    pub(super) async fn inspect_exec(&self, exec: &str) -> Result<InspectedExec, Error> {
        let answer = request(&self.docker, Method::GET, &format!("/exec/{exec}/json"), None).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    pub(super) async fn connect_network(
        &self,
        network: &str,
        container: &str,
        endpoint: Value,
    ) -> Result<(), Error> {
        let body = json!({ "Container": container, "EndpointConfig": endpoint });
        self.post(&format!("/networks/{}/connect", encoded(network)), Some(&body)).await.map(drop)
    }

    pub(super) async fn start_container(&self, container: &str) -> Result<(), Error> {
        self.post(&format!("/containers/{container}/start"), None).await.map(drop)
    }

    pub(super) async fn remove_container(&self, container: &str, with_volumes: bool) -> Result<(), Error> {
        let path = format!("/containers/{container}?force=true&v={with_volumes}");
        request(&self.docker, Method::DELETE, &path, None).await.map(drop)
    }
}

/// bollard hands out the text of an answer to `_ping` only, so that request is led elsewhere.
pub(super) async fn request(
    docker: &Docker,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<String, Error> {
    let path: PathAndQuery = path.parse()?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let docker = docker.clone().with_request_modifier(move |mut request| {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        *request.method_mut() = method.clone();
        *request.body_mut() = body_full(body.clone().into());
        request
    });
    docker.ping().await
}

/// A value as a part of a URL.
pub(super) fn encoded(value: &str) -> String {
    let byte_as_written = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte_as_written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_keeps_for_itself_is_encoded() {
        assert_eq!(encoded("back-end_1.x"), "back-end_1.x");
        assert_eq!(encoded("a b/c?d=%é"), "a%20b%2Fc%3Fd%3D%25%C3%A9");
    }
}
