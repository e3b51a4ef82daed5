//! Who answers the handlers: a thread, tasks, or a server over HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The name of every thread that only answers.
pub const NAME: &str = "answers";

const MASK: u64 = 0x5555;

/// What the right answer is.
pub fn answer(number: u64) -> u64 {
    number ^ MASK
}

pub trait Ask: Copy + Send + Sync + 'static {
    /// Asks when it is first polled, and waits for the answer.
    fn ask(self, number: u64) -> impl Future<Output = u64> + Send + 'static;
}

struct Question {
    number: u64,
    reply: oneshot::Sender<u64>,
}

impl Question {
    fn answer(self) {
        // Nobody waits for it if the stream was dropped.
        let _ = self.reply.send(answer(self.number));
    }
}

/// One other thread, as with a driver that has a thread of its own.
#[derive(Clone, Copy)]
pub struct OneThread(&'static mpsc::Sender<Question>);

impl OneThread {
    /// It answers as long as the bench runs.
    pub fn start() -> Self {
        let (sender, questions) = mpsc::channel::<Question>();
        let answers = move || questions.into_iter().for_each(Question::answer);
        let thread = thread::Builder::new().name(NAME.into()).spawn(answers);
        thread.expect("a thread");
        Self(Box::leak(Box::new(sender)))
    }
}

impl Ask for OneThread {
    async fn ask(self, number: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Question { number, reply });
        sent.expect("the thread listens");
        answer.await.expect("each question is answered")
    }
}

/// Tasks on the same runtime, as with a driver that has a task for each connection.
#[derive(Clone, Copy)]
pub struct Tasks(&'static [UnboundedSender<Question>]);

impl Tasks {
    /// They answer as long as the runtime runs.
    pub fn start(count: usize) -> Self {
        let start = |_| {
            let (sender, mut questions) = unbounded_channel::<Question>();
            tokio::spawn(async move {
                while let Some(question) = questions.recv().await {
                    question.answer();
                }
            });
            sender
        };
        Self(Box::leak((0..count).map(start).collect()))
    }
}

impl Ask for Tasks {
    async fn ask(self, number: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        let sent = self.0[number as usize % self.0.len()].send(Question { number, reply });
        assert!(sent.is_ok(), "the task listens");
        answer.await.expect("each question is answered")
    }
}

/// A server in a thread of its own, over loopback, and hyper's client with its pool of connections.
#[derive(Clone, Copy)]
pub struct Http {
    client: &'static Client<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
}

impl Http {
    /// The server runs as long as the bench.
    pub fn start() -> Self {
        let (sender, address) = mpsc::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                sender
                    .send(listener.local_addr().expect("an address"))
                    .expect("the bench waits for it");
                loop {
                    let (connection, _) = listener.accept().await.expect("a connection");
                    let _ = connection.set_nodelay(true);
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service_fn(serve));
                    tokio::spawn(connection);
                }
            });
        };
        let thread = thread::Builder::new().name(NAME.into()).spawn(serve);
        thread.expect("a thread");
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Box::leak(Box::new(
                Client::builder(TokioExecutor::new()).build(connector),
            )),
            address: address.recv().expect("the server is up"),
        }
    }
}

impl Ask for Http {
    async fn ask(self, number: u64) -> u64 {
        let uri = Uri::try_from(format!("http://{}/{number}", self.address)).expect("a URI");
        let response = self.client.get(uri).await.expect("a response");
        let body = response.into_body().collect().await.expect("a body");
        let text = String::from_utf8(body.to_bytes().into()).expect("text");
        text.parse().expect("a number")
    }
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let number = request.uri().path()[1..].parse().expect("a number");
    Ok(Response::new(Full::from(answer(number).to_string())))
}
