//! Actix, one thread: tells in bursts of 1,000 that end with an ask, asks, a ring of 1,000, actors started.

use actix::prelude::*;
use std::time::Instant;

const BURST: u64 = 1000;
const RING: usize = 1000;

struct Counter(i64);
impl Actor for Counter {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(2 * BURST as usize);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Inc(i64);
impl Handler<Inc> for Counter {
    type Result = ();
    fn handle(&mut self, msg: Inc, _: &mut Self::Context) {
        self.0 += msg.0;
    }
}

#[derive(Message)]
#[rtype(result = "i64")]
struct Get;
impl Handler<Get> for Counter {
    type Result = i64;
    fn handle(&mut self, _: Get, _: &mut Self::Context) -> i64 {
        self.0
    }
}

fn system<F: std::future::Future<Output = f64> + 'static>(work: F) -> f64 {
    System::new().block_on(work)
}

fn ns(begun: Instant, count: u64) -> f64 {
    begun.elapsed().as_nanos() as f64 / count as f64
}

pub fn tell(count: u64) -> f64 {
    system(async move {
        let actor = Counter(0).start();
        let begun = Instant::now();
        for _ in 0..count / BURST {
            for _ in 0..BURST {
                actor.do_send(Inc(1));
            }
            actor.send(Get).await.unwrap();
        }
        assert_eq!(actor.send(Get).await.unwrap() as u64, count / BURST * BURST);
        ns(begun, count / BURST * BURST)
    })
}

pub fn ask(count: u64) -> f64 {
    system(async move {
        let actor = Counter(0).start();
        let begun = Instant::now();
        for _ in 0..count {
            actor.send(Get).await.unwrap();
        }
        ns(begun, count)
    })
}

struct Member {
    next: Option<Addr<Member>>,
    done: Option<tokio::sync::oneshot::Sender<()>>,
}
impl Actor for Member {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Hop(u64);
impl Handler<Hop> for Member {
    type Result = ();
    fn handle(&mut self, msg: Hop, _: &mut Self::Context) {
        if msg.0 == 0 {
            if let Some(done) = self.done.take() {
                let _ = done.send(());
            }
        } else if let Some(next) = &self.next {
            next.do_send(Hop(msg.0 - 1));
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Link(Addr<Member>, Option<tokio::sync::oneshot::Sender<()>>);
impl Handler<Link> for Member {
    type Result = ();
    fn handle(&mut self, msg: Link, _: &mut Self::Context) {
        self.next = Some(msg.0);
        self.done = msg.1;
    }
}

pub fn ring(count: u64) -> f64 {
    system(async move {
        let hops = count / RING as u64 * RING as u64;
        let members: Vec<_> = (0..RING).map(|_| Member { next: None, done: None }.start()).collect();
        let (done, ended) = tokio::sync::oneshot::channel();
        let mut done = Some(done);
        for (i, member) in members.iter().enumerate() {
            let last = if i == 0 { done.take() } else { None };
            member.send(Link(members[(i + 1) % RING].clone(), last)).await.unwrap();
        }
        let begun = Instant::now();
        members[0].do_send(Hop(hops));
        ended.await.unwrap();
        ns(begun, hops)
    })
}

pub fn spawn(count: u64) -> f64 {
    system(async move {
        let begun = Instant::now();
        let actors: Vec<_> = (0..count).map(|_| Counter(0).start()).collect();
        actors[count as usize - 1].send(Get).await.unwrap();
        ns(begun, count)
    })
}
