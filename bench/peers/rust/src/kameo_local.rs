//! Kameo, one thread, its default mailbox: tells, asks, a ring of 1,000, actors started and stopped.

use kameo::prelude::*;
use std::time::Instant;

const RING: usize = 1000;

#[derive(Actor)]
struct Counter(i64);

struct Inc(i64);
impl Message<Inc> for Counter {
    type Reply = ();
    async fn handle(&mut self, msg: Inc, _: &mut Context<Self, Self::Reply>) {
        self.0 += msg.0;
    }
}

struct Get;
impl Message<Get> for Counter {
    type Reply = i64;
    async fn handle(&mut self, _: Get, _: &mut Context<Self, Self::Reply>) -> i64 {
        self.0
    }
}

fn ns(begun: Instant, count: u64) -> f64 {
    begun.elapsed().as_nanos() as f64 / count as f64
}

pub async fn tell(count: u64) -> f64 {
    let actor = Counter::spawn(Counter(0));
    let begun = Instant::now();
    for _ in 0..count {
        actor.tell(Inc(1)).await.unwrap();
    }
    assert_eq!(actor.ask(Get).await.unwrap() as u64, count);
    ns(begun, count)
}

pub async fn ask(count: u64) -> f64 {
    let actor = Counter::spawn(Counter(0));
    let begun = Instant::now();
    for _ in 0..count {
        actor.ask(Get).await.unwrap();
    }
    ns(begun, count)
}

#[derive(Actor)]
struct Member {
    next: Option<ActorRef<Member>>,
    done: Option<tokio::sync::oneshot::Sender<()>>,
}

struct Hop(u64);
impl Message<Hop> for Member {
    type Reply = ();
    async fn handle(&mut self, msg: Hop, _: &mut Context<Self, Self::Reply>) {
        if msg.0 == 0 {
            if let Some(done) = self.done.take() {
                let _ = done.send(());
            }
        } else if let Some(next) = &self.next {
            next.tell(Hop(msg.0 - 1)).await.unwrap();
        }
    }
}

struct Link(ActorRef<Member>, Option<tokio::sync::oneshot::Sender<()>>);
impl Message<Link> for Member {
    type Reply = ();
    async fn handle(&mut self, msg: Link, _: &mut Context<Self, Self::Reply>) {
        self.next = Some(msg.0);
        self.done = msg.1;
    }
}

pub async fn ring(count: u64) -> f64 {
    let hops = count / RING as u64 * RING as u64;
    let members: Vec<_> = (0..RING).map(|_| Member::spawn(Member { next: None, done: None })).collect();
    let (done, ended) = tokio::sync::oneshot::channel();
    let mut done = Some(done);
    for (i, member) in members.iter().enumerate() {
        let last = if i == 0 { done.take() } else { None };
        member.ask(Link(members[(i + 1) % RING].clone(), last)).await.unwrap();
    }
    let begun = Instant::now();
    members[0].tell(Hop(hops)).await.unwrap();
    ended.await.unwrap();
    ns(begun, hops)
}

pub async fn spawn(count: u64) -> f64 {
    let begun = Instant::now();
    for _ in 0..count {
        let actor = Counter::spawn(Counter(0));
        actor.stop_gracefully().await.unwrap();
        actor.wait_for_shutdown().await;
    }
    ns(begun, count)
}
