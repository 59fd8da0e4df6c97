//! Each fault, between a real client and a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use etl_faulty_proxy::{Answer, EventFault, Fault, Match, Proxy, Upstream};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(10);

/// What a server was asked, in order.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server that answers with the number of the request and its body.
async fn server() -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let shared = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let heard = Arc::clone(&shared);
            let service = service_fn(move |request| answer(request, Arc::clone(&heard)));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, heard)
}

async fn answer(
    request: Request<Incoming>,
    heard: Heard,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let host = request.headers().get("host").cloned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let number = {
        let mut heard = heard.lock().unwrap();
        heard.push(format!("{line} {}", String::from_utf8_lossy(&body)));
        heard.len()
    };
    let text = format!("{number}:{}", String::from_utf8_lossy(&body));
    let mut response = Response::new(Full::new(text.into()));
    if let Some(host) = host {
        response.headers_mut().insert("x-host", host);
    }
    Ok(response)
}

/// Asks through the proxy on a connection of its own.
async fn ask(proxy: &Proxy, method: &str, uri: &str, body: &str) -> Option<(u16, String)> {
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "the.store")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status().as_u16();
    if status == 200 {
        assert_eq!(answer.headers()["x-host"], "the.store");
    }
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

async fn proxied() -> (Proxy, Heard) {
    let (address, heard) = server().await;
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), Upstream::plain(address));
    (proxy.unwrap(), heard)
}

fn heard(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_itself_everything_is_passed_on_and_recorded() {
    let (proxy, server) = proxied().await;
    let answer = ask(&proxy, "PUT", "/b/a%20key?partNumber=1", "text").await;
    assert_eq!(answer, Some((200, "1:text".to_owned())));
    assert_eq!(heard(&server), ["PUT /b/a%20key?partNumber=1 text"]);
    let records = proxy.records();
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(
        (record.path.as_str(), record.status, record.fault),
        ("/b/a key", Some(200), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_before_its_effect_is_not_heard_and_after_it_is() {
    let (proxy, server) = proxied().await;
    let before = proxy.arm(Match::any().once(Fault::Reset));
    assert_eq!(ask(&proxy, "PUT", "/a", "x").await, None);
    assert!(heard(&server).is_empty());
    assert_eq!(before.strikes(), 1);
    let _after = proxy.arm(Match::any().once(Fault::LostReply));
    assert_eq!(ask(&proxy, "PUT", "/a", "x").await, None);
    assert_eq!(heard(&server), ["PUT /a x"]);
    assert_eq!(
        ask(&proxy, "PUT", "/a", "x").await,
        Some((200, "2:x".to_owned()))
    );
    let faults: Vec<_> = proxy
        .records()
        .iter()
        .map(|r| (r.fault, r.status))
        .collect();
    assert_eq!(
        faults,
        [
            (Some("Reset"), None),
            (Some("LostReply"), None),
            (None, Some(200))
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_before_and_after_the_effect() {
    let (proxy, server) = proxied().await;
    let busy = Answer::kubernetes(429, "TooManyRequests", Some(1));
    let _rule = proxy.arm(Match::method("PUT").once(Fault::Refuse(busy)));
    let (status, body) = ask(&proxy, "PUT", "/a", "").await.unwrap();
    assert!(status == 429 && body.contains("TooManyRequests"), "{body}");
    assert!(heard(&server).is_empty());
    let slow = Answer::s3(503, "SlowDown");
    let _rule = proxy.arm(Match::method("PUT").once(Fault::RefuseAfterEffect(slow)));
    let (status, body) = ask(&proxy, "PUT", "/a", "").await.unwrap();
    assert!(status == 503 && body.contains("<Code>SlowDown"), "{body}");
    assert_eq!(heard(&server).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_made_twice() {
    let (proxy, server) = proxied().await;
    let about = Match::path("/a").body_contains("needle");
    let _rule = proxy.arm(about.once(Fault::Duplicate));
    assert_eq!(
        ask(&proxy, "POST", "/a", "no").await,
        Some((200, "1:no".to_owned()))
    );
    assert_eq!(
        ask(&proxy, "POST", "/a", "a needle").await,
        Some((200, "3:a needle".to_owned()))
    );
    assert_eq!(heard(&server).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_when_the_rule_is_over() {
    let (proxy, server) = proxied().await;
    let echo = proxy.arm(Match::path("/a").once(Fault::Echo));
    let answer = ask(&proxy, "PUT", "/a", "x").await;
    assert_eq!(answer, Some((200, "1:x".to_owned())));
    ask(&proxy, "GET", "/b", "").await.unwrap();
    assert_eq!(heard(&server), ["PUT /a x", "GET /b "]);
    echo.release();
    let deadline = Instant::now() + LIMIT;
    while heard(&server).len() < 3 {
        assert!(Instant::now() < deadline, "no echo");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(heard(&server)[2], "PUT /a x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_goes_on_when_the_rule_is_over() {
    let (proxy, server) = proxied().await;
    let held = proxy.arm(Match::method("PUT").always(Fault::Hold));
    let asking = async { ask(&proxy, "PUT", "/a", "x").await };
    let releasing = async {
        held.struck(1, LIMIT).await.unwrap();
        // Others are not held.
        ask(&proxy, "GET", "/b", "").await.unwrap();
        assert_eq!(heard(&server), ["GET /b "]);
        held.release();
    };
    let (answer, ()) = tokio::join!(asking, releasing);
    assert_eq!(answer, Some((200, "2:x".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_is_not_served_later() {
    let (proxy, server) = proxied().await;
    let held = proxy.arm(Match::method("PUT").always(Fault::Hold));
    let asking = tokio::time::timeout(Duration::from_millis(300), ask(&proxy, "PUT", "/a", "x"));
    assert!(asking.await.is_err());
    held.release();
    ask(&proxy, "GET", "/b", "").await.unwrap();
    assert_eq!(heard(&server), ["GET /b "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_broken_off_turned_and_slow() {
    let (proxy, server) = proxied().await;
    let _rule = proxy.arm(Match::path("/off").always(Fault::BreakOff(4)));
    let _rule2 = proxy.arm(Match::path("/reply").always(Fault::CorruptReply(3)));
    let _rule3 = proxy.arm(Match::path("/request").always(Fault::CorruptRequest(1)));
    let _rule4 = proxy.arm(Match::path("/slow").always(Fault::Trickle(20)));
    assert_eq!(ask(&proxy, "PUT", "/off", "abcdef").await, None);
    let turned = ask(&proxy, "PUT", "/reply", "abcdef").await.unwrap();
    assert_eq!(turned.1, "2:acc".to_owned() + "def");
    let turned = ask(&proxy, "PUT", "/request", "abcdef").await.unwrap();
    assert_eq!(turned.1, "3:accdef");
    assert_eq!(heard(&server)[2], "PUT /request accdef");
    let begun = Instant::now();
    let slow = ask(&proxy, "PUT", "/slow", "abcdef").await.unwrap();
    assert_eq!(slow.1, "4:abcdef");
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_ends_the_connection() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), Upstream::plain(address)).unwrap();
    assert_eq!(ask(&proxy, "GET", "/a", "").await, None);
    assert_eq!(proxy.records()[0].status, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_watch_are_judged_one_by_one() {
    let (proxy, _server) = proxied().await;
    // The server answers with what it is sent: its number makes the first line no
    // event.
    let event = |name: &str| {
        format!(r#"{{"type":"ADDED","object":{{"metadata":{{"name":"{name}","namespace":"n"}}}}}}"#)
    };
    let sent = format!("\n{}\n{}\n{}\n", event("a"), event("b"), event("c"));
    let about = Match::watching("jobs").in_namespace("n").named("b");
    let lost = proxy.arm_events(about.always(EventFault::Drop));
    let uri = "/apis/batch/v1/jobs?watch=true";
    let (_, seen) = ask(&proxy, "GET", uri, &sent).await.unwrap();
    assert_eq!(seen, format!("1:\n{}\n{}\n", event("a"), event("c")));
    assert_eq!(lost.strikes(), 1);
    let (_, list) = ask(&proxy, "GET", "/apis/batch/v1/jobs", &sent)
        .await
        .unwrap();
    assert!(list.contains(&event("b")), "a list is no watch: {list}");
}
