//! The adapter against answers that no well-behaved store gives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};

use super::*;
use crate::store::Kind;

/// An answer: status line, header lines, body.
type Answer = (&'static str, &'static str, &'static str);

/// A store on the bucket `b` below `p/` whose server gives the same answers for
/// ever: `heads` to HEAD requests, `others` to all others.
fn store(heads: Answer, others: Answer) -> S3Store {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The thread ends with the process: nobody connects to it any more.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), heads, others);
        }
    });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .build();
    S3Store::with_client(Client::from_conf(config), "b", "p/", None)
}

/// Reads one request, answers it and hangs up.
fn answer(connection: TcpStream, heads: Answer, others: Answer) {
    let mut reader = BufReader::new(&connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
    let head = lines.first().is_some_and(|line| line.starts_with("head"));
    let (status, headers, body) = if head { heads } else { others };
    let text = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    (&connection).write_all(text.as_bytes()).unwrap();
}

const NOTHING: Answer = ("404 Not Found", "", "");

#[tokio::test]
async fn a_bucket_elsewhere_is_named_with_its_region() {
    let redirect = (
        "301 Moved Permanently",
        "x-amz-bucket-region: eu-west-1\r\n",
        "",
    );
    let error = store(redirect, NOTHING)
        .head("a", &Pin::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::WrongRegion);
    assert_eq!(
        error.to_string(),
        "cannot look at s3://b/p/a: the bucket is in another region (it is in eu-west-1)"
    );
}

#[tokio::test]
async fn a_head_that_is_refused_without_a_word_is_asked_again_as_a_get() {
    let silent = ("400 Bad Request", "", "");
    let spoken = (
        "400 Bad Request",
        "",
        "<Error><Code>ExpiredToken</Code><Message>too old</Message></Error>",
    );
    let error = store(silent, spoken)
        .head("a", &Pin::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::AccessDenied);
    assert!(
        error.to_string().contains("ExpiredToken: too old"),
        "{error}"
    );
    let error = store(silent, silent)
        .head("a", &Pin::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Other);
    assert!(error.to_string().contains("cannot look at"), "{error}");
}

#[tokio::test]
async fn an_archived_object_is_told_apart_from_a_forbidden_one() {
    let archived = (
        "403 Forbidden",
        "",
        "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>",
    );
    let error = store(NOTHING, archived)
        .get("a", &Pin::default(), Some(0..1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Archived);
}

#[tokio::test]
async fn a_listing_leaves_nothing_out_but_other_prefixes() {
    let whole = (
        "200 OK",
        "",
        "<ListBucketResult><IsTruncated>false</IsTruncated>\
         <Contents><Key>p/a</Key><ETag>\"1\"</ETag><Size>3</Size></Contents>\
         <Contents><Key>q</Key></Contents></ListBucketResult>",
    );
    let page = store(NOTHING, whole).list("", None).await.unwrap();
    let keys: Vec<&str> = page.objects.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["a"]);
    for (body, missing) in [
        (
            "<ListBucketResult><Contents><Key>p/a</Key><Size>3</Size></Contents></ListBucketResult>",
            "no etag of p/a",
        ),
        (
            "<ListBucketResult><Contents><Key>p/a</Key><ETag>\"1\"</ETag></Contents></ListBucketResult>",
            "no size of p/a",
        ),
    ] {
        let error = store(NOTHING, ("200 OK", "", body))
            .list("", None)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
}
