//! An HTTP client for tests.

use std::net::SocketAddr;
use std::time::Duration;
use ureq::Agent;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// 200, 429 ...
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Retry-After`, if sent.
    pub retry_after: Option<String>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// One client: connections are kept.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
}

impl Http {
    /// A client whose requests end within `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let config =
            Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build();
        Self { agent: config.into() }
    }

    /// `GET path`; an error when no reply came.
    pub fn get(&self, address: SocketAddr, path: &str) -> Result<Reply, String> {
        reply(self.agent.get(format!("http://{address}{path}")).call())
    }

    /// `POST path` with headers; an error when no reply came.
    pub fn post(
        &self,
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Result<Reply, String> {
        let mut request = self.agent.post(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request.send(body.into()))
    }
}

fn reply(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, String> {
    let mut response = result.map_err(|error| error.to_string())?;
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(ToString::to_string)
    };
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    Ok(Reply { status, content_type, retry_after, body })
}
