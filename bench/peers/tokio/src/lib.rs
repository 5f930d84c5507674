// SPDX-License-Identifier: MIT

//! The clock, the repetition and the output of the Tokio peers: the twin of bench.h.

use std::future::Future;
use std::time::Instant;

fn rounds_of_arguments() -> Option<usize> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(5),
        ["--rounds", rounds] => rounds.parse().ok().filter(|&n| n >= 1),
        _ => None,
    }
}

/// Runs `measure(rounds)` as a task, on a runtime with WEFT_PROCS workers.
pub fn run<M, F>(measure: M)
where
    M: FnOnce(usize) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let rounds = rounds_of_arguments().unwrap_or_else(|| {
        eprintln!("usage: {} [--rounds N]", std::env::args().next().unwrap_or_default());
        std::process::exit(2);
    });
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Ok(workers) = std::env::var("WEFT_PROCS") {
        builder.worker_threads(workers.parse().expect("WEFT_PROCS"));
    }
    let runtime = builder.enable_time().build().expect("runtime");
    let measuring = runtime.spawn(measure(rounds));
    runtime.block_on(measuring).expect("measure");
}

pub fn print(metric: &str, value: f64, unit: &str) {
    println!("{metric} {value:.4} {unit}");
}

/// Stops a program that computes something wrong: it has no speed.
pub fn require(ok: bool, what: &str) {
    if !ok {
        eprintln!("bench: wrong result: {what}");
        std::process::exit(1);
    }
}

/// The nanoseconds that `body` takes until it is done.
pub async fn time_of(body: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    body.await;
    start.elapsed().as_nanos() as f64
}

/// Runs body(arg) once to warm up, then once per round, and prints nanoseconds / divisor of each.
pub async fn each<B, F>(rounds: usize, metric: &str, body: B, arg: usize, divisor: usize, unit: &str)
where
    B: Fn(usize) -> F,
    F: Future<Output = ()>,
{
    body(arg).await;
    for _ in 0..rounds {
        print(metric, time_of(body(arg)).await / divisor as f64, unit);
    }
}
