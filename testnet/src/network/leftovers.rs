//! Processes of a network whose supervisor is gone, or belongs to another terminal.
//!
//! A process id may have gone to another program since it was remembered. So nothing is stopped before
//! its command line shows that it is ours: it names a file or folder of this very network.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use entente_testnet_machine::PortClaim;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::plan::Plan;
use super::process::terminate;

/// How long a process may take to stop when asked politely.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often a stopping process is looked for.
const POLL: Duration = Duration::from_millis(50);
/// Where Linux tells a process's begin, counted from the field after its name.
const STAT_BEGIN: usize = 19;

/// Stops servers that a supervisor left running, and forgets their ids. Returns how many there were.
///
/// # Errors
/// When the system refuses, or a server cannot be stopped.
pub async fn stop_servers(folder: &Folder, plan: &mut Plan) -> Result<usize> {
    let mut stopped = 0;
    for server in &mut plan.servers {
        let config = folder.server_config(&server.domain());
        let second = server.second.as_mut().and_then(|node| node.pid.take());
        for pid in [server.pid.take(), second].into_iter().flatten() {
            if command_line(pid).is_some_and(|line| line.contains(&config.display().to_string())) {
                stop(pid).await?;
                stopped += 1;
            }
        }
    }
    plan.save(folder)?;
    Ok(stopped)
}

/// The supervisor of a network, if it lives: whoever has its id now is this program, and the network's ports
/// are held.
#[must_use]
pub fn supervisor(plan: &Plan) -> Option<u32> {
    if PortClaim::again(plan.first_port).is_ok() {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let name = program.file_name()?.to_str()?.to_owned();
    plan.supervisor
        .filter(|pid| command_line(*pid).is_some_and(|line| line.contains(&name)))
}

/// Asks a process to stop, waits, and kills it if it does not. Another one that has its id meanwhile is left
/// alone.
///
/// # Errors
/// When the system refuses.
pub async fn stop(pid: u32) -> Result<()> {
    let Some(begun) = begin_of(pid) else {
        return Ok(());
    };
    terminate(pid)?;
    if is_gone_within(pid, &begun, STOP_LIMIT).await {
        return Ok(());
    }
    let Some(process) = process(pid) else {
        return Ok(());
    };
    kill_process(process, Signal::KILL).map_err(std::io::Error::from)?;
    if !is_gone_within(pid, &begun, STOP_LIMIT).await {
        bail!("process {pid} cannot be stopped");
    }
    Ok(())
}

/// Whether the process that began then is gone in time.
async fn is_gone_within(pid: u32, begun: &str, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while begin_of(pid).is_some_and(|begin| begin == begun) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// A living process's program and arguments.
fn command_line(pid: u32) -> Option<String> {
    if let Ok(bytes) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    ps(pid, "args=")
}

/// When a living process began, as the system tells it: an id alone may belong to another one by now.
fn begin_of(pid: u32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // What stands before is the program's name in parentheses, which may hold anything.
        Ok(stat) => {
            let (_, fields) = stat.rsplit_once(')')?;
            fields.split_whitespace().nth(STAT_BEGIN).map(str::to_owned)
        }
        Err(_) => ps(pid, "lstart="),
    }
}

fn ps(pid: u32, field: &str) -> Option<String> {
    let mut ps = std::process::Command::new("ps");
    let output = ps
        .args(["-ww", "-o", field, "-p", &pid.to_string()])
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn an_id_that_went_to_another_process_is_not_ours() {
        let own = std::process::id();
        let begun = begin_of(own).unwrap();
        assert!(!begun.is_empty());
        assert!(!is_gone_within(own, &begun, Duration::ZERO).await);
        assert!(is_gone_within(own, "another time", Duration::ZERO).await);
        let mut child = tokio::process::Command::new("true").spawn().unwrap();
        let pid = child.id().unwrap();
        child.wait().await.unwrap();
        // Whatever has that id now, it did not begin before this process.
        assert_ne!(begin_of(pid), Some(begun));
        stop(u32::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn only_our_own_processes_are_stopped() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("net")).unwrap();
        folder.create().unwrap();
        let claim = PortClaim::any().unwrap();
        let mut plan = Plan::new(1, &claim).unwrap();
        let config = folder.server_config(&plan.servers[0].domain());
        let mut sleep = tokio::process::Command::new("sleep");
        let mut stranger = sleep.arg("60").kill_on_drop(true).spawn().unwrap();
        plan.servers[0].pid = stranger.id();
        assert_eq!(stop_servers(&folder, &mut plan).await.unwrap(), 0);
        assert!(stranger.try_wait().unwrap().is_none());
        let mut shell = tokio::process::Command::new("sh");
        let mut ours = shell
            .args(["-c", "echo begun; read line", "server"])
            .arg(&config)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        plan.servers[0].pid = ours.id();
        let _keeps_it_reading = ours.stdin.take();
        let mut said = ours.stdout.take().unwrap();
        assert_eq!(said.read_u8().await.unwrap(), b'b');
        let reaper = tokio::spawn(async move { ours.wait().await.unwrap() });
        assert_eq!(stop_servers(&folder, &mut plan).await.unwrap(), 1);
        assert!(!reaper.await.unwrap().success());
        assert_eq!(plan.servers[0].pid, None);
    }
}
