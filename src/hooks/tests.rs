//! Hooks against programs and servers of this machine.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::HookUrl;
use crate::snapshot::{AlarmKind, HarvesterId};

pub(super) fn alarm(name: &str) -> AlarmView {
    let kind = AlarmKind::HarvesterSilent {
        harvester: HarvesterId(1),
        name: name.to_owned(),
        unanswered: 3,
    };
    AlarmView {
        number: 1,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms: 1_800_000_000_000,
        updated_at_unix_ms: 1_800_000_000_000,
        closed_at_unix_ms: None,
        acknowledged: false,
        silenced: false,
        cut_short: false,
    }
}

fn call() -> Arc<Call> {
    Arc::new(Call::new("opened", "mainnet", &alarm("barn"), 1))
}

/// Runs a shell command for one call; what the farmer is told of it.
async fn run_exec(command: &str, timeout: Duration) -> Option<String> {
    let (farmer, mut told) = mpsc::channel(4);
    let exec = exec::Exec {
        program: "/bin/sh".to_owned(),
        arguments: vec!["-c".to_owned(), command.to_owned()],
        timeout,
        farmer,
    };
    let (calls, queue) = mpsc::channel(1);
    calls.send(call()).await.unwrap();
    drop(calls);
    exec.run(queue).await;
    match told.recv().await {
        Some(Input::AlarmHook { failure, .. }) => failure,
        other => panic!("told something else: {other:?}"),
    }
}

#[tokio::test]
async fn program_gets_the_alarm_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alarm.json");
    let command = format!("cat > '{}'; test $FARMCONSOLE_EVENT = opened", file.display());
    assert_eq!(run_exec(&command, Duration::from_secs(20)).await, None);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (&json["event"], &json["rule"], &json["machine"], &json["severity"]),
        (
            &"opened".into(),
            &"harvester_silent".into(),
            &"barn".into(),
            &"critical".into()
        )
    );
    assert!(
        json["text"]
            .as_str()
            .unwrap()
            .contains("barn is connected but has not answered 3 signage points")
    );
}

#[tokio::test]
async fn program_that_fails_or_is_not_there_is_told() {
    let failure = run_exec("exit 3", Duration::from_secs(20)).await.unwrap();
    assert!(failure.contains("exit status: 3"), "{failure}");
    let (farmer, mut told) = mpsc::channel(4);
    let exec = exec::Exec {
        program: "/nowhere/hook".to_owned(),
        arguments: vec![],
        timeout: Duration::from_secs(20),
        farmer,
    };
    let (calls, queue) = mpsc::channel(1);
    calls.send(call()).await.unwrap();
    drop(calls);
    exec.run(queue).await;
    assert!(
        matches!(told.recv().await, Some(Input::AlarmHook { failure: Some(why), .. }) if why.starts_with("/nowhere/hook: "))
    );
}

#[tokio::test]
async fn program_that_does_not_end_is_ended_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let command = format!("sleep 1000 & echo $! > '{}'; wait", file.display());
    let failure = run_exec(&command, Duration::from_secs(3)).await.unwrap();
    assert!(failure.contains("not done after"), "{failure}");
    let pid = std::fs::read_to_string(&file).unwrap();
    let stat = std::path::PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..1000 {
        if is_gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} still runs");
}

/// A server that answers each connection with the next of these statuses, and what it was sent.
async fn server(statuses: &'static [&'static str]) -> (HookUrl, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://127.0.0.1:{}/hook?token=secret",
        listener.local_addr().unwrap().port()
    );
    let (sent, requests) = mpsc::channel(16);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")
                        .and_then(|length| length.parse::<usize>().ok())
                });
                if let Some(head) = text.find("\r\n\r\n")
                    && request.len() >= head + 4 + length.unwrap_or(0)
                {
                    break;
                }
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the client left: {text}");
                request.extend_from_slice(&buffer[..read]);
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sent.send(String::from_utf8(request).unwrap()).await.unwrap();
        }
    });
    (url.parse().unwrap(), requests)
}

/// Posts one call; what the farmer is told of it.
async fn post(url: HookUrl) -> Vec<Option<String>> {
    let (farmer, mut told) = mpsc::channel(16);
    let webhook = web::Webhook {
        url,
        client: web::client().unwrap(),
        farmer,
    };
    let (calls, queue) = mpsc::channel(1);
    calls.send(call()).await.unwrap();
    drop(calls);
    webhook.run(queue).await;
    let mut failures = Vec::new();
    while let Some(input) = told.recv().await {
        match input {
            Input::AlarmHook { failure, .. } => failures.push(failure),
            other => panic!("told something else: {other:?}"),
        }
    }
    failures
}

#[tokio::test]
async fn webhook_gets_the_alarm_and_is_tried_again_after_a_server_error() {
    let (url, mut requests) = server(&["503 Service Unavailable", "204 No Content"]).await;
    let told = post(url).await;
    assert!(
        matches!(told.as_slice(), [Some(first), None] if first == "127.0.0.1: answered 503 Service Unavailable; tried again"),
        "{told:?}"
    );
    for _ in 0..2 {
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with("POST /hook?token=secret HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\"rule\":\"harvester_silent\""), "{request}");
    }
}

#[tokio::test]
async fn webhook_that_does_not_want_it_is_not_asked_again_and_no_secret_is_told() {
    let (url, mut requests) = server(&["404 Not Found"]).await;
    assert!(!format!("{url:?}").contains("secret"));
    assert_eq!(post(url).await, [Some("127.0.0.1: answered 404 Not Found".to_owned())]);
    assert!(requests.recv().await.is_some());
}
