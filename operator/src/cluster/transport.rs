//! Between kube's client and the wire: counts requests, sees when the server
//! is overloaded, and when a watch shows a sign of life. It changes nothing of
//! what it sees.

use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as AnswerBody, Bytes, HttpBody};
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, Response, StatusCode};
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

use super::request::{Resource, Verb, classify};
use crate::budget::{Budget, Standing};
use crate::health::Health;
use crate::metrics::ApiMetrics;

/// What looks on.
#[derive(Clone)]
pub struct Onlooker {
    /// Counts requests.
    pub metrics: ApiMetrics,
    /// Is told how the server fares.
    pub budget: Budget,
    /// Is told that watches live.
    pub health: Health,
}

/// A client for the cluster of `config` that `onlooker` looks at.
///
/// # Errors
/// The configuration names certificates or tokens that cannot be used.
pub fn client(mut config: Config, onlooker: Onlooker) -> kube::Result<Client> {
    // Its retries know nothing of each other: together they are a storm.
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&onlooker)
        .build())
}

impl<S> Layer<S> for Onlooker {
    type Service = Observed<S>;

    fn layer(&self, service: S) -> Observed<S> {
        Observed {
            service,
            onlooker: self.clone(),
        }
    }
}

/// A transport that is looked at.
#[derive(Clone)]
pub struct Observed<S> {
    service: S,
    onlooker: Onlooker,
}

impl<S, B> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<AnswerBody>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri();
        let path = uri.path().to_owned();
        let (verb, resource) = classify(request.method(), &path, uri.query().unwrap_or_default());
        let answer = self.service.call(request);
        let onlooker = self.onlooker.clone();
        Box::pin(async move {
            let mut seen = Seen {
                onlooker: &onlooker,
                verb,
                resource,
                begun: Instant::now(),
                code: None,
                standing: Standing::Failing,
            };
            let answer = answer.await?;
            seen.code = Some(answer.status().as_u16());
            seen.standing = standing(&answer);
            drop(seen);
            let sign = onlooker.health.sign_of(&path);
            let Some(sign) = sign.filter(|_| answer.status().is_success()) else {
                return Ok(answer.map(AnswerBody::new));
            };
            sign.alive();
            Ok(answer.map(|body| {
                AnswerBody::new(body.map_frame(move |frame| {
                    sign.alive();
                    frame
                }))
            }))
        })
    }
}

/// A request, until its answer has come. One that is given up before that, as
/// when its time is over, is one without an answer.
struct Seen<'a> {
    onlooker: &'a Onlooker,
    verb: Verb,
    resource: Resource,
    begun: Instant,
    code: Option<u16>,
    standing: Standing,
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let Onlooker {
            metrics, budget, ..
        } = self.onlooker;
        metrics.requested(self.verb, self.resource, self.code, self.begun.elapsed());
        budget.learn(self.standing);
    }
}

/// What an answer says about the server. A refusal of one request says
/// nothing against it.
fn standing<B>(answer: &Response<B>) -> Standing {
    let after = answer
        .headers()
        .get(RETRY_AFTER)
        // The API server names seconds; a date is for caches.
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => Standing::Overloaded(after),
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => Standing::Overloaded(after),
        // What the server says of a webhook or a quota that does not work, too.
        StatusCode::INTERNAL_SERVER_ERROR => Standing::Untold,
        status if status.is_server_error() => Standing::Failing,
        _ => Standing::Fine,
    }
}

#[cfg(test)]
mod tests;
