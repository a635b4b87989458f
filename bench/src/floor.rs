//! The bare floor of "submit → process start": HTTP → axum → WebSocket → spawn, with nothing of what makes it a market: no
//! matching, no books, no disk, no signature, no isolation. Server and worker are processes of their own, as ours are.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{get, post};
use futures::{SinkExt, StreamExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_tungstenite::tungstenite;

/// The word that makes this program the floor's worker.
pub const WORKER: &str = "--floor-worker";

struct Floor {
    orders: mpsc::Sender<Order>,
}

struct Order {
    command: String,
    answer: oneshot::Sender<String>,
}

/// Connects and spawns what it is told, answering with what the process printed.
pub async fn worker(words: &[String]) {
    let Some(url) = words.get(1) else {
        return;
    };
    let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url.as_str()).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let Ok(command) = message.to_text() else {
            continue;
        };
        let words: Vec<&str> = command.split(' ').collect();
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        let output = tokio::process::Command::new(program)
            .args(arguments)
            .output()
            .await;
        let text = output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        if socket.send(tungstenite::Message::text(text)).await.is_err() {
            return;
        }
    }
}

/// Serves in this process, with a worker as a child; answers the address and the child.
pub async fn start() -> std::io::Result<(String, tokio::process::Child)> {
    let (sender, receiver) = mpsc::channel(16);
    let receiver = Arc::new(Mutex::new(receiver));
    let state = Arc::new(Floor { orders: sender });
    let router = Router::new()
        .route("/jobs", post(submit))
        .route(
            "/worker",
            get(move |upgrade: WebSocketUpgrade| async move {
                upgrade.on_upgrade(move |socket| serve(socket, receiver))
            }),
        )
        .with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    let child = tokio::process::Command::new(std::env::current_exe()?)
        .args([WORKER, &format!("ws://{address}/worker")])
        .kill_on_drop(true)
        .spawn()?;
    Ok((format!("http://{address}"), child))
}

async fn submit(State(floor): State<Arc<Floor>>, command: String) -> String {
    let (answer, result) = oneshot::channel();
    if floor.orders.send(Order { command, answer }).await.is_err() {
        return String::new();
    }
    result.await.unwrap_or_default()
}

async fn serve(
    mut socket: axum::extract::ws::WebSocket,
    orders: Arc<Mutex<mpsc::Receiver<Order>>>,
) {
    let mut orders = orders.lock().await;
    while let Some(order) = orders.recv().await {
        if socket.send(Message::text(order.command)).await.is_err() {
            return;
        }
        let Some(Ok(Message::Text(text))) = socket.recv().await else {
            return;
        };
        let _ = order.answer.send(text.to_string());
    }
}
