// SPDX-License-Identifier: MIT

//! The Tokio peer of scope.c, which says what is measured. A scope is a JoinSet of which every task is joined; a task
//! may not borrow from around it, so each gives back what there is to add.

use std::future::Future;
use tokio::task::JoinSet;
use weftbench::{each, require, run};

const SCOPES: usize = 20000;
const CHILDREN: usize = 10;

async fn one() -> usize {
    1
}

async fn awaits(n: usize) {
    let mut sum = 0;
    for _ in 0..n {
        sum += tokio::spawn(one()).await.unwrap();
    }
    require(sum == n, "spawn_await");
}

async fn child(cell: usize) -> Result<usize, ()> {
    Ok(cell)
}

async fn scopes(n: usize) {
    let mut cells = [0; CHILDREN];
    for _ in 0..n {
        let mut set = JoinSet::new();
        for k in 0..CHILDREN {
            set.spawn(child(k));
        }
        while let Some(joined) = set.join_next().await {
            cells[joined.unwrap().unwrap()] += 1;
        }
    }
    require(cells == [n; CHILDREN], "children");
}

/// Gives the number of scopes entered.
#[allow(clippy::manual_async_fn)] // a recursive async fn cannot be proved Send
fn descend(depth: usize) -> impl Future<Output = usize> + Send {
    async move {
        let mut set = JoinSet::new();
        if depth > 1 {
            set.spawn(descend(depth - 1));
        }
        let mut entered = 1;
        while let Some(joined) = set.join_next().await {
            entered += joined.unwrap();
        }
        entered
    }
}

async fn nested(n: usize) {
    let mut entered = 0;
    for _ in 0..n {
        entered += descend(CHILDREN).await;
    }
    require(entered == n * CHILDREN, "nested");
}

async fn measure(rounds: usize) {
    each(rounds, "spawn_await", awaits, SCOPES * CHILDREN, SCOPES * CHILDREN, "ns").await;
    each(rounds, "scope_10", scopes, SCOPES, SCOPES, "ns").await;
    each(rounds, "nested", nested, SCOPES, SCOPES * CHILDREN, "ns").await;
}

fn main() {
    run(measure);
}
