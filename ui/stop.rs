//! `farmconsole stop`: asks whatever runs on this root to end, and waits until it has.

use std::time::Duration;

use farmconsole::control::{Ask, ControlClient, ControlError, RootLock};

use crate::context::{Attached, Context};
use crate::exit::{Ended, Failure, Outcome, Status};

/// How long the end may take: the daemon promises five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) async fn run(context: &Context) -> Outcome {
    let attached = context.attach_any().await?;
    end(context, attached, PATIENCE).await?;
    Ok(Ended::Fine)
}

/// Asks what runs on this root to end, and waits until it has, at most `patience`.
pub(crate) async fn end(context: &Context, mut attached: Attached, patience: Duration) -> Result<(), Failure> {
    attached.ask(Ask::Stop).await?;
    let deadline = tokio::time::Instant::now() + patience;
    while tokio::time::Instant::now() < deadline {
        // The lock is what a successor needs; it is free when the process has ended.
        let socket_gone = matches!(
            ControlClient::connect(&context.root.control_socket()).await,
            Err(ControlError::NotRunning { .. })
        );
        if socket_gone && RootLock::take(&context.root.lock_file()).is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = attached.client.hello().pid;
    Err(Failure::new(
        Status::Failed,
        format!(
            "process {pid} was asked to end and still runs after {} s",
            patience.as_secs()
        ),
    )
    .hint(format!("end it with `kill {pid}`")))
}
