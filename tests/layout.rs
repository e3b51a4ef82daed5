//! What compiles: borrowed items through every verb inside `tokio::spawn`, handlers that borrow, `Rc`, and the
//! auto traits of everything that runs.

use std::cell::RefCell;
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;

#[derive(Debug)]
struct Borrowed<'a>(&'a str);

fn words(text: &str) -> impl Stream<Item = Borrowed<'_>> + Send {
    stream::iter(text.split(' ').map(Borrowed))
}

fn tried(text: &str) -> impl Stream<Item = Result<Borrowed<'_>, String>> + Send {
    words(text).map(Ok)
}

async fn length(word: Borrowed<'_>) -> usize {
    tokio::task::yield_now().await;
    word.0.len()
}

async fn try_length(word: Borrowed<'_>) -> Result<usize, String> {
    Ok(length(word).await)
}

const TEXT: &str = "a bb a ccc";

#[tokio::test]
async fn spawned_pipelines_of_borrowed_items_compile_through_every_verb() {
    let run = tokio::spawn(async {
        let text = String::from(TEXT);
        let mut total = 0;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 4)
            .offsets(|word| word.0.len())
            .then(|word| async move { length(word).await })
            .drive(|(length, _)| {
                total += length;
                async {}
            })
            .await;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 4)
            .then_unordered(length)
            .drive(|(length, offset)| {
                total += length;
                async move {
                    offset.frontier();
                }
            })
            .await;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 4)
            .try_then(|word| async move { try_length(word).await })
            .try_drive(|(length, _)| {
                total += length;
                async move {
                    tokio::task::yield_now().await;
                    Ok(())
                }
            })
            .await?;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 4)
            .try_then_unordered(try_length)
            .try_drive(|(length, _)| {
                total += length;
                async { Ok(()) }
            })
            .await?;
        tried(&text)
            .try_ordered_by_group(|word| word.0.len(), 4)
            .look_ahead(8)
            .and_then(try_length)
            .try_drive(|(length, _)| {
                total += length;
                async { Ok(()) }
            })
            .await?;
        tried(&text)
            .try_ordered_by_group(|word| word.0.len(), 4)
            .and_then_unordered(|word| async move { try_length(word).await })
            .try_drive(|(length, _)| {
                total += length;
                async { Ok(()) }
            })
            .await?;
        Ok::<_, String>(total)
    });
    assert_eq!(run.await.unwrap(), Ok(6 * 7));
}

#[tokio::test]
async fn a_spawned_loop_with_alongside_over_borrowed_items_compiles() {
    let run = tokio::spawn(async {
        let text = String::from(TEXT);
        let mut results = pin!(
            tried(&text)
                .try_ordered_by_group(|word| word.0.len(), 4)
                .and_then(|word| async move {
                    tokio::task::yield_now().await;
                    Ok(word)
                })
        );
        let mut total = 0;
        while let Some((word, _)) = results.try_next().await? {
            total += results.as_mut().alongside(length(word)).await;
        }
        Ok::<_, String>(total)
    });
    assert_eq!(run.await.unwrap(), Ok(7));
}

#[tokio::test]
async fn borrowed_items_chain_on_with_other_combinators_in_a_spawned_task() {
    let run = tokio::spawn(async {
        let text = String::from(TEXT);
        words(&text)
            .filter(|word| std::future::ready(word.0.len() < 3))
            .ordered_by_group(|word| word.0.len(), 4)
            .then(length)
            .map(|(length, _)| length)
            .fold(0, |sum, length| async move { sum + length })
            .await
    });
    assert_eq!(run.await.unwrap(), 4);
}

#[tokio::test]
async fn handlers_borrow_from_the_enclosing_function() {
    let client = RefCell::new(Vec::new());
    let client_ref = &client;
    stream::iter([3, 1, 2])
        .ordered_by_group(|n| *n, 2)
        .then(|n| async move { client_ref.borrow_mut().push(n) })
        .for_each(|_| async {})
        .await;
    assert_eq!(client.into_inner(), [3, 1, 2]);
}

#[tokio::test]
async fn async_closures_are_handlers() {
    let factor = 10;
    let by_reference = &factor;
    let results: Vec<_> = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 2)
        .then(async |n| n * by_reference)
        .collect()
        .await;
    assert_eq!(results, [(10, 0), (20, 1)]);
}

#[test]
fn handlers_that_hold_an_rc_run_on_a_local_set() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let sum = Rc::new(RefCell::new(0));
    let local = tokio::task::LocalSet::new();
    let shared = Rc::clone(&sum);
    local.block_on(&runtime, async move {
        tokio::task::spawn_local(
            stream::iter([1, 2, 3])
                .ordered_by_group(|n| *n, 2)
                .then(move |n| {
                    let sum = Rc::clone(&shared);
                    async move {
                        tokio::task::yield_now().await;
                        *sum.borrow_mut() += n;
                    }
                })
                .drive(|_| async {}),
        )
        .await
        .unwrap();
    });
    assert_eq!(*sum.borrow(), 6);
}

/// What holds of a value's type: an inherent method where the trait is implemented, else the trait's.
struct Probe<'a, T>(#[expect(dead_code, reason = "only its type counts")] &'a T);

macro_rules! probe {
    ($($trait:ident $method:ident $fallback:ident),*) => {$(
        impl<T: $trait> Probe<'_, T> {
            fn $method(&self) -> bool {
                true
            }
        }

        trait $fallback {
            fn $method(&self) -> bool {
                false
            }
        }

        impl<T> $fallback for Probe<'_, T> {}
    )*};
}

probe!(Send is_send NotSend, Unpin is_unpin NotUnpin);

/// A handler future of which we know what it is: it holds a `T`, and is pinned.
struct Holds<T>(T, PhantomPinned);

impl<T> Future for Holds<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Pending
    }
}

macro_rules! assert_auto_traits {
    ($($case:literal: $held:expr, $send:literal;)*) => {$({
        let hold = |_: i32| Holds($held, PhantomPinned);
        let try_hold = |_: i32| hold(0).map(Ok::<_, i32>);
        let source = || stream::iter([1]).ordered_by_group(|n| *n, 1);
        let tried = || stream::iter([Ok(1)]).try_ordered_by_group(|n| *n, 1);

        let mut then = source().then(hold);
        assert_eq!(Probe(&then).is_send(), $send, "{}: then", $case);
        assert_eq!(Probe(&Pin::new(&mut then).alongside(async {})).is_send(), $send, "{}: alongside", $case);
        assert!(Probe(&then).is_unpin(), "{}: then", $case);
        let drive = then.drive(|_| async {});
        assert_eq!(Probe(&drive).is_send(), $send, "{}: drive", $case);
        let unordered = source().then_unordered(hold);
        assert_eq!(Probe(&unordered).is_send(), $send, "{}: then_unordered", $case);
        let and_then = tried().and_then(try_hold);
        assert_eq!(Probe(&and_then).is_send(), $send, "{}: and_then", $case);
        let try_drive = and_then.try_drive(|_| async { Ok(()) });
        assert_eq!(Probe(&try_drive).is_send(), $send, "{}: try_drive", $case);
        let unordered = tried().and_then_unordered(try_hold);
        assert_eq!(Probe(&unordered).is_send(), $send, "{}: and_then_unordered", $case);
    })*};
}

#[test]
fn what_runs_is_send_if_all_it_is_made_of_is() {
    assert_auto_traits! {
        "plain data": 1, true;
        "an rc": Rc::new(1), false;
        "a cell": RefCell::new(1), true;
    }
    fn key_that_holds_an_rc() -> impl Stream {
        let rc = Rc::new(1);
        stream::iter([1])
            .ordered_by_group(move |n| *n + *rc, 1)
            .then(|n| async move { n })
    }
    assert!(!Probe(&key_that_holds_an_rc()).is_send());
    let source = stream::iter([Rc::new(1)])
        .ordered_by_group(|_| 0, 1)
        .then(|_| async {});
    assert!(!Probe(&source).is_send());
    let offset = stream::iter([1])
        .ordered_by_group(|_| 0, 1)
        .offsets(|_| Rc::new(1))
        .then_unordered(|_| async {});
    assert!(!Probe(&offset).is_send());
}

#[test]
fn the_stream_is_unpin_if_and_only_if_its_source_is() {
    let pinned = async_stream::stream! { yield 1; };
    let results = pinned
        .ordered_by_group(|n: &i32| *n, 1)
        .then(|n| async move { n });
    assert!(!Probe(&results).is_unpin());
    let mut results = pin!(results);
    assert_eq!(results.next().now_or_never().flatten(), Some((1, 0)));
    let results = stream::iter([1])
        .ordered_by_group(|n| *n, 1)
        .then(|n| Holds(n, PhantomPinned));
    assert!(Probe(&results).is_unpin());
}

#[tokio::test]
async fn a_future_that_must_not_move_is_never_moved_once_polled() {
    #[pin_project::pin_project(!Unpin)]
    struct Stays {
        at: Option<usize>,
        polls: u32,
    }

    impl Future for Stays {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let here = &raw const *self as usize;
            let this = self.project();
            assert_eq!(*this.at.get_or_insert(here), here, "moved between polls");
            *this.polls += 1;
            if *this.polls == 5 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    let finished = stream::iter(0..1_000)
        .ordered_by_group(|n| *n, 200)
        .then(|_| Stays { at: None, polls: 0 })
        .count()
        .await;
    assert_eq!(finished, 1_000);
}
