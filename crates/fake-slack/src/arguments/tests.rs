//! Arguments and tokens, from every place where the SDKs put them.

use super::*;

async fn read(uri: &str, content_type: &str, body: &str) -> Arguments {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    Arguments::read(&uri.parse().unwrap(), &headers, body).await
}

#[tokio::test]
async fn every_encoding_says_the_same() {
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"channel\"\r\n\r\nC 1\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n\
        --x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhé\r\n--x--\r\n";
    let all = [
        read("/api/m?channel=C+1&text=h%C3%A9", "", "").await,
        read("/api/m", "application/x-www-form-urlencoded", "channel=C%201&text=h%C3%A9").await,
        read("/api/m?text=h%C3%A9", "", "channel=C+1").await,
        read("/api/m", "application/json; charset=utf-8", r#"{"channel":"C 1","text":"hé"}"#).await,
        read("/api/m", "multipart/form-data; boundary=x", multipart).await,
    ];
    for arguments in all {
        assert_eq!(arguments.get("channel"), Some("C 1"), "{arguments:?}");
        assert_eq!(arguments.get("text"), Some("hé"), "{arguments:?}");
        assert_eq!(arguments.get("file"), None);
        assert_eq!(arguments.token(), None);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_there() {
    for (content_type, body) in [
        ("application/json", "{\"channel\":"),
        ("application/json", "[1]"),
        ("multipart/form-data", "--x"),
        ("multipart/form-data; boundary=x", "--x\r\nnonsense"),
        ("application/octet-stream", "channel=C1"),
        ("application/json", r#"{"channel":null}"#),
    ] {
        assert_eq!(read("/api/m", content_type, body).await.get("channel"), None, "{body}");
    }
}

#[tokio::test]
async fn numbers_and_lists_keep_their_json() {
    let arguments = read("/api/m", "application/json", r#"{"limit":7,"blocks":[{"a":1}]}"#).await;
    assert_eq!(arguments.get("limit"), Some("7"));
    assert_eq!(arguments.get("blocks"), Some(r#"[{"a":1}]"#));
}

#[tokio::test]
async fn the_header_names_the_token_before_the_form_and_json_never_does() {
    assert_eq!(read("/api/m?token=xoxb-q", "", "").await.token(), Some("xoxb-q"));
    assert_eq!(read("/api/m", "", "token=xoxb-f").await.token(), Some("xoxb-f"));
    assert_eq!(read("/api/m", "application/json", r#"{"token":"xoxb-j"}"#).await.token(), None);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, "bearer  xoxb-h ".parse().unwrap());
    let form = Bytes::from_static(b"token=xoxb-f");
    let arguments = Arguments::read(&"/api/m".parse().unwrap(), &headers, form).await;
    assert_eq!(arguments.token(), Some("xoxb-h"));
}
