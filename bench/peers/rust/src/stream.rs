//! rust-libp2p: one open stream between two processes, over TCP, Noise and Yamux.

use crate::kameo_remote::{far, median};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{noise, tcp, yamux, Multiaddr, PeerId, Stream, StreamProtocol, Swarm};
use std::time::{Duration, Instant};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/shoal-bench/stream/1.0.0");

fn swarm() -> Swarm<libp2p_stream::Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build()
}

/// The first byte of a stream says what is done with it: 0 echoes blocks of 64, 1 counts bytes until the 8-byte total is reached.
async fn serve_stream(mut stream: Stream) -> std::io::Result<()> {
    let mut kind = [0u8; 1];
    stream.read_exact(&mut kind).await?;
    if kind[0] == 0 {
        let mut block = [0u8; 64];
        loop {
            stream.read_exact(&mut block).await?;
            stream.write_all(&block).await?;
            stream.flush().await?;
        }
    }
    let mut total = [0u8; 8];
    stream.read_exact(&mut total).await?;
    let mut left = u64::from_le_bytes(total);
    let mut room = vec![0u8; 65536];
    while left > 0 {
        let n = stream.read(&mut room).await?;
        if n == 0 {
            break;
        }
        left -= n as u64;
    }
    stream.write_all(&[1]).await?;
    stream.flush().await
}

pub async fn serve() -> f64 {
    let mut swarm = swarm();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let mut incoming = swarm.behaviour().new_control().accept(PROTOCOL).unwrap();
    tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            tokio::spawn(serve_stream(stream));
        }
    });
    let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::read_to_string(std::io::stdin());
        let _ = ended.send(());
    });
    loop {
        tokio::select! {
            event = swarm.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                println!("{}", address.with_p2p(*swarm.local_peer_id()).unwrap());
            },
            _ = &mut end => return 0.0,
        }
    }
}

async fn open(address: &str) -> Stream {
    let address: Multiaddr = address.parse().unwrap();
    let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.iter().last() else { panic!("no peer id") };
    let peer: PeerId = peer;
    let mut swarm = swarm();
    swarm.dial(address).unwrap();
    let mut control = swarm.behaviour().new_control();
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    control.open_stream(peer, PROTOCOL).await.unwrap()
}

pub async fn ask64(count: u64) -> f64 {
    let far = far("stream_serve", 0);
    let mut stream = open(&far.address).await;
    stream.write_all(&[0]).await.unwrap();
    let (out, mut back) = ([7u8; 64], [0u8; 64]);
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        stream.write_all(&out).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        times.push(begun.elapsed().as_nanos() as f64 / 1000.0);
    }
    median(times)
}

/// A write each; the end is the far side's word that all bytes came.
pub async fn tells(count: u64, bytes: usize) -> f64 {
    let far = far("stream_serve", 0);
    let mut stream = open(&far.address).await;
    let message = vec![7u8; bytes];
    let begun = Instant::now();
    stream.write_all(&[1]).await.unwrap();
    stream.write_all(&(count * bytes as u64).to_le_bytes()).await.unwrap();
    for _ in 0..count {
        stream.write_all(&message).await.unwrap();
    }
    stream.flush().await.unwrap();
    let mut done = [0u8; 1];
    stream.read_exact(&mut done).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    if bytes == 64 { count as f64 / seconds / 1e6 } else { (count * bytes as u64) as f64 / seconds / 1e6 }
}
