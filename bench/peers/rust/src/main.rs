//! shoal-bench-peers MODE COUNT: one figure of a peer, printed as one number, in the unit of our own row.
//! A mode with a far end starts this program once more as `MODE-serve`, on the second processor if `PEER_CPU` names it.

mod actix_local;
mod kameo_local;
mod kameo_remote;
mod stream;

use std::future::Future;

fn block<F: Future<Output = f64>>(work: F) -> f64 {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    let count: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let figure = match mode.as_str() {
        "actix_tell" => actix_local::tell(count),
        "actix_ask" => actix_local::ask(count),
        "actix_ring" => actix_local::ring(count),
        "actix_spawn" => actix_local::spawn(count),
        "kameo_tell" => block(kameo_local::tell(count)),
        "kameo_ask" => block(kameo_local::ask(count)),
        "kameo_ring" => block(kameo_local::ring(count)),
        "kameo_spawn" => block(kameo_local::spawn(count)),
        "kameo_serve" => block(kameo_remote::serve(count)),
        "kameo_remote_ask64" => block(kameo_remote::ask64(count)),
        "kameo_in_flight" => block(kameo_remote::in_flight(count)),
        "kameo_remote_tell64" => block(kameo_remote::tells(count, 64)),
        "kameo_remote_tell64k" => block(kameo_remote::tells(count, 65536)),
        "kameo_connect" => block(kameo_remote::connect(count)),
        "kameo_lookup" => block(kameo_remote::lookup(count)),
        "stream_serve" => block(stream::serve()),
        "stream_ask64" => block(stream::ask64(count)),
        "stream_tell64" => block(stream::tells(count, 64)),
        "stream_tell64k" => block(stream::tells(count, 65536)),
        _ => {
            eprintln!("no such mode: {mode}");
            std::process::exit(2);
        }
    };
    println!("{figure:.4}");
}
