//! Run: the whole pipeline, for those who need no other.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rdkafka::consumer::ConsumerContext;

use crate::kafka::{Error, Kafka, Message, Messages};
use crate::{TryRunning as _, TryStreamExt as _};

impl<C: ConsumerContext + 'static> Kafka<C> {
    /// Handles all messages: in order per key of a partition, up to `max_parallel` at once, each settled when its handler
    /// has returned `Ok`.
    ///
    /// It is short for the pipeline that the [module](crate::kafka#the-pipeline) shows. Write that one if you need a setting
    /// such as [`look_ahead`](crate::TryOrdered::look_ahead) or [`monitor`](crate::TryOrdered::monitor), another group, or
    /// the results. Results are not needed here: a handler does its work, and returns `()`.
    ///
    /// It returns `Ok` after [`stop`](Self::stop). Call [`close`](Self::close) then, and also after an error.
    ///
    /// # Errors
    ///
    /// The first error of a handler, or of the consumer. Other handlers are dropped then; their messages are left, and are
    /// handed out again by the next consumer. To go on past a failure, deal with it in the handler and return `Ok`.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0, or if a stream of [`messages`](Self::messages) is there.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, so are the handlers that run; what they handled is left.
    ///
    /// ```no_run
    /// # use ordered_by_group::kafka::{Error, Kafka, Message};
    /// # async fn example(kafka: Kafka) -> Result<(), Error> {
    /// async fn handle(message: &Message<'_>) {
    ///     println!("{:?}", message.payload());
    /// }
    ///
    /// kafka
    ///     .run(64, |message| async move { Ok::<_, Error>(handle(&message).await) })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "consume")]
    #[doc(alias = "for_each")]
    pub async fn run<'a, H, F, E>(&'a self, max_parallel: usize, mut handler: H) -> Result<(), E>
    where
        H: FnMut(Message<'a>) -> F,
        F: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        Converted::new(self.messages())
            .try_ordered_by_group(|message: &Message<'a>| message.group(), max_parallel)
            .offsets(|message: &Message<'a>| message.position())
            .partitions(|message: &Message<'a>| message.partition())
            .and_then_unordered(|message: Message<'a>| {
                let position = message.position();
                let handled = position.run(|| handler(message));
                async move { handled.await.transpose() }
            })
            .try_drive(|(outcome, offset)| {
                offset.offset().settle(outcome.is_some());
                async { Ok(()) }
            })
            .await
    }
}

/// Messages with an error of the user's.
struct Converted<'a, C: ConsumerContext + 'static, E> {
    messages: Messages<'a, C>,
    error: PhantomData<fn() -> E>,
}

impl<'a, C: ConsumerContext + 'static, E> Converted<'a, C, E> {
    fn new(messages: Messages<'a, C>) -> Self {
        Self {
            messages,
            error: PhantomData,
        }
    }
}

impl<'a, C: ConsumerContext + 'static, E: From<Error>> Stream for Converted<'a, C, E> {
    type Item = Result<Message<'a>, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.messages).poll_next(cx);
        next.map(|next| next.map(|message| message.map_err(E::from)))
    }
}
