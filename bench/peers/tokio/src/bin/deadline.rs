// SPDX-License-Identifier: MIT

//! The Tokio peer of deadline.c, which says what is measured. There are no channels without a buffer, so a round trip
//! goes through two of capacity one; and a channel has one receiver, so those that expire wait for one Notify.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{channel, Receiver, Sender};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weftbench::{print, require, run, time_of};

const OPERATIONS: usize = 1000000;
const TRIPS: usize = 200000;
const EXPIRING: usize = 10000;
const SECOND: Duration = Duration::from_secs(1);

async fn ready_plain(n: usize) {
    let (sender, mut receiver) = channel(1);
    let mut v = 0;
    for i in 0..n as i32 {
        sender.send(i).await.unwrap();
        v = receiver.recv().await.unwrap();
    }
    require(v == n as i32 - 1, "value");
}

async fn ready_limited(n: usize) {
    let (sender, mut receiver) = channel(1);
    let mut v = 0;
    for i in 0..n as i32 {
        timeout(SECOND, sender.send(i)).await.unwrap().unwrap();
        v = timeout(SECOND, receiver.recv()).await.unwrap().unwrap();
    }
    require(v == n as i32 - 1, "value");
}

async fn echo(mut ping: Receiver<i32>, pong: Sender<i32>) {
    while let Some(v) = ping.recv().await {
        pong.send(v).await.unwrap();
    }
}

async fn round_trip(ping: &Sender<i32>, pong: &mut Receiver<i32>, v: i32) -> i32 {
    ping.send(v).await.unwrap();
    pong.recv().await.unwrap()
}

async fn round_trips(n: usize, limited: bool) {
    let (ping, to_echo) = channel(1);
    let (from_echo, mut pong) = channel(1);
    tokio::spawn(echo(to_echo, from_echo));
    for i in 0..n as i32 {
        let back = if limited {
            timeout(SECOND, round_trip(&ping, &mut pong, i)).await.unwrap()
        } else {
            round_trip(&ping, &mut pong, i).await
        };
        require(back == i, "echo");
    }
}

async fn expire_one(never: Arc<Notify>) {
    require(timeout(Duration::from_millis(1), never.notified()).await.is_err(), "expires");
}

async fn expire(n: usize) {
    let never = Arc::new(Notify::new());
    let mut set = JoinSet::new();
    for _ in 0..n {
        set.spawn(expire_one(never.clone()));
    }
    let mut expired = 0;
    while let Some(joined) = set.join_next().await {
        joined.unwrap();
        expired += 1;
    }
    require(expired == n, "all expire");
}

async fn measure(rounds: usize) {
    for round in 0..=rounds {
        let plain = time_of(ready_plain(OPERATIONS)).await / OPERATIONS as f64;
        let limited = time_of(ready_limited(OPERATIONS)).await / OPERATIONS as f64;
        let wait_plain = time_of(round_trips(TRIPS, false)).await / TRIPS as f64;
        let wait_limited = time_of(round_trips(TRIPS, true)).await / TRIPS as f64;
        let expiry = time_of(expire(EXPIRING)).await / EXPIRING as f64;
        if round == 0 {
            continue; // it warms up
        }
        print("ready", (limited - plain) / 2.0, "ns");
        print("waiting", wait_limited - wait_plain, "ns");
        print("expire", expiry / 1000.0, "us");
    }
}

fn main() {
    run(measure);
}
