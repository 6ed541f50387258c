//! OpenAI's models, files and uploads.

use super::{Bench, form, multipart, read};
use crate::{Odd, RateLimit};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn models_say_when_they_go() {
    let bench = Bench::start();
    bench.emulator.change(|behaviour| {
        let date = Some("2027-01-14".to_owned());
        behaviour.openai.base_models.insert("gpt-4o-2024-08-06".to_owned(), date);
    });
    let (status, model) = bench.openai_get("/models/gpt-4o-2024-08-06").await;
    assert_eq!((status, &model["shutdown_date"]), (StatusCode::OK, &json!("2027-01-14")));
    let (_, model) = bench.openai_get("/models/gpt-4o-mini").await;
    assert_eq!((&model["id"], &model["shutdown_date"]), (&json!("gpt-4o-mini-2024-07-18"), &Value::Null));
    // Gone already.
    let (status, error) = bench.openai_get("/models/gpt-3.5-turbo-0125").await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    let (_, list) = bench.openai_get("/models").await;
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"gpt-4.1-mini-2025-04-14") && !ids.contains(&"o4-mini-2025-04-16"), "{ids:?}");
}

#[tokio::test]
async fn errors_have_openais_shape() {
    let bench = Bench::start();
    let (status, error) = bench.openai_get("/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let expected = json!({ "error": {
        "message": "Invalid URL (GET /v1/nothing)", "type": "invalid_request_error", "param": null, "code": null,
    }});
    assert_eq!(error, expected);
    let response = bench.openai(Method::PUT, "/files").send().await.unwrap();
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    let (status, error) = read(response).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_supported"))
    );
    bench.emulator.change(|behaviour| behaviour.openai.odd.extend([Odd::TextErrors]));
    let (status, text) = bench.openai_get("/nothing").await;
    assert_eq!((status, text), (StatusCode::NOT_FOUND, json!("upstream error: 404 Not Found")));
}

#[tokio::test]
async fn requests_over_the_rate_get_retry_after() {
    let bench = Bench::start();
    let limit = RateLimit { requests: 2, window_ms: 60_000 };
    bench.emulator.change(|behaviour| behaviour.openai.rate_limit = Some(limit));
    for status in [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let response = bench.openai(Method::GET, "/models").send().await.unwrap();
        assert_eq!(response.status(), status);
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds));
            assert_eq!(read(response).await.1["error"]["code"], "rate_limit_exceeded");
        }
    }
}

#[tokio::test]
async fn files_are_kept_listed_read_and_deleted() {
    let bench = Bench::start();
    bench.emulator.change(|behaviour| behaviour.openai.file_processing_seconds = 5.0);
    let mut ids = Vec::new();
    // In either order of the fields.
    for fields in [
        [("purpose", None, "fine-tune"), ("file", Some("a.jsonl"), "{}\n")],
        [("file", Some("b.jsonl"), "{}\n{}\n"), ("purpose", None, "fine-tune")],
        [("purpose", None, "batch"), ("file", Some("c.jsonl"), "x")],
    ] {
        let (status, file) =
            read(multipart(bench.openai(Method::POST, "/files"), form(&fields)).send().await.unwrap()).await;
        assert_eq!((status, &file["object"]), (StatusCode::OK, &json!("file")), "{file}");
        ids.push(file["id"].as_str().unwrap().to_owned());
    }
    let (_, file) = bench.openai_get(&format!("/files/{}", ids[1])).await;
    assert_eq!(
        (&file["bytes"], &file["filename"], &file["status"]),
        (&json!(6), &json!("b.jsonl"), &json!("uploaded"))
    );
    bench.emulator.tick(5.0).unwrap();
    let (_, file) = bench.openai_get(&format!("/files/{}", ids[1])).await;
    assert_eq!(file["status"], "processed");
    let names = |list: Value| {
        let data = list["data"].as_array().unwrap().clone();
        data.iter().map(|file| file["filename"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(bench.openai_get("/files").await.1), ["c.jsonl", "b.jsonl", "a.jsonl"]);
    assert_eq!(names(bench.openai_get("/files?purpose=fine-tune&order=asc").await.1), ["a.jsonl", "b.jsonl"]);
    let (_, page) = bench.openai_get("/files?limit=2").await;
    assert_eq!((&page["has_more"], &page["last_id"]), (&json!(true), &json!(ids[1])));
    let (_, rest) = bench.openai_get(&format!("/files?limit=2&after={}", ids[1])).await;
    assert_eq!((&rest["has_more"], names(rest.clone())), (&json!(false), vec!["a.jsonl".to_owned()]));
    let content = bench.openai(Method::GET, &format!("/files/{}/content", ids[1])).send().await.unwrap();
    assert_eq!(content.text().await.unwrap(), "{}\n{}\n");
    let (_, deleted) =
        read(bench.openai(Method::DELETE, &format!("/files/{}", ids[1])).send().await.unwrap()).await;
    assert_eq!(deleted, json!({ "id": ids[1], "object": "file", "deleted": true }));
    for path in [format!("/files/{}", ids[1]), format!("/files/{}/content", ids[1])] {
        let (status, error) = bench.openai_get(&path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(error["error"]["message"], format!("No such File object: {}", ids[1]));
    }
    let data = std::fs::read_dir(bench.state.path().join("openai/data")).unwrap().count();
    assert_eq!(data, 2);
}

#[tokio::test]
async fn invalid_forms_are_refused_and_leave_nothing() {
    let bench = Bench::start();
    for (fields, param) in [
        (vec![("file", Some("a"), "x")], "purpose"),
        (vec![("purpose", None, "tune"), ("file", Some("a"), "x")], "purpose"),
        (vec![("purpose", None, "fine-tune")], "file"),
        (vec![("purpose", None, "fine-tune"), ("file", Some("a"), "")], "file"),
        (vec![("purpose", None, "fine-tune"), ("colour", None, "red"), ("file", Some("a"), "x")], "colour"),
        (
            vec![
                ("purpose", None, "batch"),
                ("expires_after[anchor]", None, "created_at"),
                ("expires_after[seconds]", None, "5"),
                ("file", Some("a"), "x"),
            ],
            "expires_after[seconds]",
        ),
    ] {
        let (status, error) =
            read(multipart(bench.openai(Method::POST, "/files"), form(&fields)).send().await.unwrap()).await;
        assert_eq!((status, &error["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)), "{error}");
    }
    let (status, _) = read(bench.openai(Method::POST, "/files").body("x").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let incoming = std::fs::read_dir(bench.state.path().join("incoming")).unwrap().count();
    let data = std::fs::read_dir(bench.state.path().join("openai/data")).unwrap().count();
    assert_eq!((incoming, data), (0, 0));
}

async fn upload(bench: &Bench, bytes: u64) -> String {
    let body =
        json!({ "filename": "big.jsonl", "purpose": "fine-tune", "bytes": bytes, "mime_type": "text/jsonl" });
    let (status, upload) = bench.openai_post("/uploads", body).await;
    assert_eq!((status, &upload["status"]), (StatusCode::OK, &json!("pending")), "{upload}");
    upload["id"].as_str().unwrap().to_owned()
}

async fn part(bench: &Bench, upload: &str, content: &str) -> String {
    let form = form(&[("data", Some("part"), content)]);
    let request = multipart(bench.openai(Method::POST, &format!("/uploads/{upload}/parts")), form);
    let (status, part) = read(request.send().await.unwrap()).await;
    assert_eq!((status, &part["object"]), (StatusCode::OK, &json!("upload.part")), "{part}");
    part["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn uploads_become_files_in_requested_order() {
    let bench = Bench::start();
    let id = upload(&bench, 6).await;
    let (b, a, unused) =
        (part(&bench, &id, "def").await, part(&bench, &id, "abc").await, part(&bench, &id, "zzz").await);
    let complete = |body: Value| bench.openai_post_owned(format!("/uploads/{id}/complete"), body);
    for (body, part) in [
        (json!({}), "Missing required parameter: 'part_ids'"),
        (json!({ "part_ids": ["part_x"] }), "No such part: part_x"),
        (json!({ "part_ids": [a] }), "The parts have 3 bytes, but the upload was to have 6"),
        (json!({ "part_ids": [a, a] }), "is given twice"),
        (json!({ "part_ids": [a, b], "md5": "00" }), "MD5"),
    ] {
        let (status, error) = complete(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(error["error"]["message"].as_str().unwrap().contains(part), "{error}");
    }
    // The MD5 of "abcdef".
    let (status, done) =
        complete(json!({ "part_ids": [a, b], "md5": "e80b5017098950fc58aad83c8c14978e" })).await;
    assert_eq!((status, &done["status"]), (StatusCode::OK, &json!("completed")), "{done}");
    let file = done["file"]["id"].as_str().unwrap();
    let content = bench.openai(Method::GET, &format!("/files/{file}/content")).send().await.unwrap();
    assert_eq!(content.text().await.unwrap(), "abcdef");
    assert_eq!(complete(json!({ "part_ids": [a, b] })).await.0, StatusCode::BAD_REQUEST);
    let data = std::fs::read_dir(bench.state.path().join("openai/data")).unwrap().count();
    assert_eq!(data, 2, "the part {unused} was not used");

    let id = upload(&bench, 3).await;
    part(&bench, &id, "abc").await;
    let (_, cancelled) = bench.openai_post(&format!("/uploads/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(
        bench.openai_post(&format!("/uploads/{id}/cancel"), json!({})).await.0,
        StatusCode::BAD_REQUEST
    );
    let data = std::fs::read_dir(bench.state.path().join("openai/data")).unwrap().count();
    assert_eq!(data, 2);
}

impl Bench {
    async fn openai_post_owned(&self, path: String, body: Value) -> (StatusCode, Value) {
        self.openai_post(&path, body).await
    }
}
