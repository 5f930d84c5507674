// SPDX-License-Identifier: MIT

//! The Tokio peer of cancel.c, which says what is measured. A channel has one receiver, so the tasks wait for one
//! Notify instead.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{channel, Sender};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weftbench::{print, require, run};

const TASKS: usize = 10000;

/// Tells whether it was cancelled.
async fn parked(never: Arc<Notify>, scope: CancellationToken, here: Sender<()>) -> bool {
    drop(here);
    tokio::select! {
        _ = never.notified() => false,
        _ = scope.cancelled() => true,
    }
}

/// Gives the nanoseconds of the call and those until all have ended, both per task.
async fn once() -> (f64, f64) {
    let never = Arc::new(Notify::new());
    let scope = CancellationToken::new();
    let (here, mut all_here) = channel(1);
    let mut set = JoinSet::new();
    for _ in 0..TASKS {
        set.spawn(parked(never.clone(), scope.clone(), here.clone()));
    }
    drop(here);
    require(all_here.recv().await.is_none(), "all are here");
    tokio::time::sleep(Duration::from_millis(1)).await; // the last ones may not have begun to wait
    let start = Instant::now();
    scope.cancel();
    let called = start.elapsed();
    let mut cancelled = 0;
    while let Some(joined) = set.join_next().await {
        cancelled += usize::from(joined.unwrap());
    }
    let ended = start.elapsed();
    require(cancelled == TASKS, "every task was cancelled");
    (called.as_nanos() as f64 / TASKS as f64, ended.as_nanos() as f64 / TASKS as f64)
}

async fn measure(rounds: usize) {
    once().await; // warms up
    for _ in 0..rounds {
        let (call, ended) = once().await;
        print("call", call, "ns");
        print("ended", ended, "ns");
    }
}

fn main() {
    run(measure);
}
