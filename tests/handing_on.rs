//! Chapter 27 of the contract: a pipeline can be returned, taken by generic code, and kept in a box, and behaves as the
//! bare one does.

mod support;

use std::fmt::{Debug, Write as _};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;

use futures::stream::FusedStream;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{
    Access, BoxRunning, LocalBoxRunning, Running, TryRunning, Unordered, can_run_together,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use self::support::{End, FORMS, Form, Gates, Setup, Task, VERBS, Verb, items, message};

#[derive(Debug, PartialEq)]
struct Word<'a>(&'a str);

#[derive(Debug, PartialEq)]
struct Failure;

const TEXT: &str = "a bb a ccc";

fn words(text: &str) -> impl Stream<Item = Word<'_>> {
    stream::iter(text.split(' ').map(Word))
}

fn tried(text: &str) -> impl Stream<Item = Result<Word<'_>, Failure>> {
    words(text).map(Ok)
}

async fn handle(word: Word<'_>) -> Word<'_> {
    tokio::task::yield_now().await;
    word
}

async fn try_handle(word: Word<'_>) -> Result<Word<'_>, Failure> {
    Ok(handle(word).await)
}

// Returned: item, result and offset borrow from the text.

fn then(text: &str) -> impl Running<Item = (Word<'_>, &str), Offset = &str> {
    words(text)
        .ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .then(handle)
}

fn then_unordered(text: &str) -> impl Running<Item = (Word<'_>, Unordered<&str>), Offset = &str> {
    words(text)
        .ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .then_unordered(|word| async move { handle(word).await })
}

fn try_then(
    text: &str,
) -> impl TryRunning<Item = Result<(Word<'_>, &str), Failure>, Offset = &str> {
    words(text)
        .ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .try_then(|word| async move { try_handle(word).await })
}

fn try_then_unordered(
    text: &str,
) -> impl TryRunning<Item = Result<(Word<'_>, Unordered<&str>), Failure>, Offset = &str> {
    words(text)
        .ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .try_then_unordered(try_handle)
}

fn and_then(
    text: &str,
) -> impl TryRunning<Item = Result<(Word<'_>, &str), Failure>, Offset = &str> {
    tried(text)
        .try_ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .and_then(try_handle)
}

fn and_then_unordered(
    text: &str,
) -> impl TryRunning<Item = Result<(Word<'_>, Unordered<&str>), Failure>, Offset = &str> {
    tried(text)
        .try_ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .and_then_unordered(|word| async move { try_handle(word).await })
}

// Taken: each function knows nothing of the pipeline but the trait, and says how many results there were.

async fn driven<S: Running>(results: S) -> usize {
    let mut seen = 0;
    let count = |_: S::Item| {
        seen += 1;
        tokio::task::yield_now()
    };
    results.drive(count).await;
    seen
}

async fn driven_in_chunks<S: Running>(results: S) -> usize {
    let mut seen = 0;
    let count = |results: Vec<S::Item>| {
        seen += results.len();
        tokio::task::yield_now()
    };
    results.drive_chunks(2, count).await;
    seen
}

async fn looped<S: Running>(results: S) -> usize {
    let mut results = pin!(results);
    let mut seen = 0;
    while results.next().await.is_some() {
        seen += 1;
        let look = Look::at(&*results);
        assert!(look.running + look.waiting + look.finished <= 4);
        results.as_mut().alongside(tokio::task::yield_now()).await;
    }
    assert_eq!(Look::at(&*results), Look::default());
    seen
}

async fn try_driven<S, T>(results: S) -> usize
where
    S: TryRunning<Item = Result<T, Failure>>,
{
    let mut seen = 0;
    let count = |_: T| {
        seen += 1;
        async {
            tokio::task::yield_now().await;
            Ok(())
        }
    };
    results.try_drive(count).await.expect("nothing fails");
    seen
}

async fn try_driven_in_chunks<S, T>(results: S) -> usize
where
    S: TryRunning<Item = Result<T, Failure>>,
{
    let mut seen = 0;
    let count = |results: Vec<T>| {
        seen += results.len();
        async {
            tokio::task::yield_now().await;
            Ok(())
        }
    };
    let end = results.try_drive_chunks(2, count).await;
    end.expect("nothing fails");
    seen
}

#[derive(Debug, Default, PartialEq)]
struct Look {
    running: usize,
    waiting: usize,
    finished: usize,
    groups: usize,
    unfinished: usize,
}

impl Look {
    fn at(results: &impl Running) -> Self {
        Self {
            running: results.running(),
            waiting: results.waiting(),
            finished: results.finished(),
            groups: results.groups(),
            unfinished: results.unfinished().count(),
        }
    }
}

// Kept.

struct Service<'a, Item> {
    results: BoxRunning<'a, Item, &'a str>,
}

impl<Item> Service<'_, Item> {
    async fn first(&mut self) -> Option<Item> {
        let look = Look::at(&self.results);
        assert_eq!(look, Look::default());
        self.results.next().await
    }

    async fn run(mut self) -> usize {
        assert!(self.first().await.is_some());
        1 + driven(self.results).await
    }

    /// Drives what it goes on keeping.
    async fn run_in_place(&mut self) -> usize {
        let seen = driven(&mut self.results).await;
        assert!(self.results.is_terminated());
        seen
    }
}

/// Holds a pipeline in every form and gives it to every function, and says how many results there were each time.
macro_rules! in_every_form {
    ($pipeline:ident, $text:expr $(, $try_driven:ident, $try_driven_in_chunks:ident)?) => {{
        let pipeline = || $pipeline($text);
        let mut kept = Service { results: pipeline().boxed_running() };
        let mut pinned = pin!(pipeline());
        let mut boxed = pipeline().boxed_running();
        [
            driven(pipeline()).await,
            driven(pipeline().boxed_running()).await,
            driven(pinned.as_mut()).await + driven(Box::pin(pinned)).await,
            driven(&mut boxed).await + driven(&mut &mut boxed).await,
            driven_in_chunks(pipeline()).await,
            driven_in_chunks(pipeline().boxed_running()).await,
            driven_in_chunks(&mut Box::pin(pipeline())).await,
            looped(pipeline()).await,
            looped(pipeline().boxed_running()).await,
            looped(Box::pin(pipeline())).await,
            Service { results: pipeline().boxed_running() }.run().await,
            kept.run_in_place().await,
            $(
                $try_driven(pipeline()).await,
                $try_driven(pipeline().boxed_running()).await,
                $try_driven(&mut pipeline().boxed_running()).await,
                $try_driven_in_chunks(pipeline()).await,
                $try_driven_in_chunks(pipeline().boxed_running()).await,
                $try_driven_in_chunks(Box::pin(pipeline())).await,
            )?
        ]
        .into_iter()
        .all(|seen| seen == 4)
    }};
}

#[tokio::test]
async fn pipelines_of_borrowed_items_are_returned_taken_and_kept_inside_a_spawned_task() {
    let run = tokio::spawn(async {
        let text = String::from(TEXT);
        assert!(in_every_form!(then, &text));
        assert!(in_every_form!(then_unordered, &text));
        assert!(in_every_form!(
            try_then,
            &text,
            try_driven,
            try_driven_in_chunks
        ));
        assert!(in_every_form!(
            try_then_unordered,
            &text,
            try_driven,
            try_driven_in_chunks
        ));
        assert!(in_every_form!(
            and_then,
            &text,
            try_driven,
            try_driven_in_chunks
        ));
        assert!(in_every_form!(
            and_then_unordered,
            &text,
            try_driven,
            try_driven_in_chunks
        ));
    });
    run.await.unwrap();
}

#[tokio::test]
async fn closures_that_borrow_drive_returned_pipelines_of_borrowed_items_inside_a_spawned_task() {
    let run = tokio::spawn(async {
        let text = String::from(TEXT);
        let mut seen: Vec<&str> = vec![];
        then(&text)
            .drive(|(word, offset)| {
                seen.push(offset);
                async move {
                    handle(word).await;
                }
            })
            .await;
        then_unordered(&text)
            .drive_chunks(2, |words| {
                seen.extend(words.iter().map(|(_, offset)| *offset.offset()));
                async move {
                    for (word, _) in words {
                        handle(word).await;
                    }
                }
            })
            .await;
        and_then(&text)
            .try_drive_chunks(2, |words| {
                seen.extend(words.iter().map(|(word, _)| word.0));
                async move {
                    for (word, _) in words {
                        try_handle(word).await?;
                    }
                    Ok(())
                }
            })
            .await?;
        and_then_unordered(&text)
            .try_drive(|(word, _)| {
                seen.push(word.0);
                async move {
                    try_handle(word).await?;
                    Ok(())
                }
            })
            .await?;
        Ok::<_, Failure>(seen.len())
    });
    assert_eq!(run.await.unwrap(), Ok(16));
}

/// Borrows its items, and holds an `Rc` in its handlers.
fn local<'a>(
    text: &'a str,
    factor: &Rc<usize>,
) -> impl TryRunning<Item = Result<(usize, &'a str), Failure>, Offset = &'a str> + use<'a> {
    let factor = Rc::clone(factor);
    words(text)
        .ordered_by_group(|word| word.0.len(), 4)
        .offsets(|word| word.0)
        .try_then(move |word| {
            let factor = Rc::clone(&factor);
            async move { Ok(try_handle(word).await?.0.len() * *factor) }
        })
}

#[tokio::test]
async fn pipelines_that_are_not_send_are_returned_taken_and_kept() {
    struct Service<'a> {
        results: LocalBoxRunning<'a, Result<(usize, &'a str), Failure>, &'a str>,
    }

    let text = String::from(TEXT);
    let factor = Rc::new(10);
    let pipeline = || local(&text, &factor);
    let mut service = Service {
        results: pipeline().boxed_local_running(),
    };
    for seen in [
        driven(pipeline()).await,
        driven_in_chunks(pipeline()).await,
        looped(pipeline()).await,
        try_driven(pipeline()).await,
        try_driven_in_chunks(pipeline()).await,
        looped(&mut service.results).await,
        try_driven_in_chunks(pipeline().boxed_local_running()).await,
        try_driven(&mut Box::pin(pipeline())).await,
    ] {
        assert_eq!(seen, 4);
    }
    assert!(service.results.is_terminated());
}

/// A pipeline of a verb with an `Rc` in its handlers, returned, taken and kept.
macro_rules! not_send {
    ($source:ident, $by:ident, $verb:ident, $ends:expr, $item:ty) => {{
        struct Service<'a> {
            results: LocalBoxRunning<'a, $item, &'a str>,
        }

        fn pipeline<'a>(
            text: &'a str,
            factor: &Rc<usize>,
        ) -> impl Running<Item = $item, Offset = &'a str> + use<'a> {
            let factor = Rc::clone(factor);
            $source(text)
                .$by(|word| word.0.len(), 4)
                .offsets(|word| word.0)
                .$verb(move |word| {
                    let factor = Rc::clone(&factor);
                    async move { $ends(handle(word).await.0.len() * *factor) }
                })
        }

        let text = String::from(TEXT);
        let factor = Rc::new(10);
        let mut service = Service {
            results: pipeline(&text, &factor).boxed_local_running(),
        };
        for seen in [
            driven(pipeline(&text, &factor)).await,
            driven_in_chunks(pipeline(&text, &factor).boxed_local_running()).await,
            looped(&mut service.results).await,
        ] {
            assert_eq!(seen, 4);
        }
        assert!(service.results.is_terminated());
    }};
}

#[tokio::test]
async fn pipelines_of_every_verb_need_not_be_send() {
    type InOrder<'a> = (usize, &'a str);
    type Result<'a> = std::result::Result<InOrder<'a>, Failure>;
    type AsFinished<'a> = (usize, Unordered<&'a str>);
    type ResultAsFinished<'a> = std::result::Result<AsFinished<'a>, Failure>;
    not_send!(
        words,
        ordered_by_group,
        then,
        std::convert::identity,
        InOrder<'a>
    );
    not_send!(
        words,
        ordered_by_group,
        then_unordered,
        std::convert::identity,
        AsFinished<'a>
    );
    not_send!(words, ordered_by_group, try_then, Ok, Result<'a>);
    not_send!(
        words,
        ordered_by_group,
        try_then_unordered,
        Ok,
        ResultAsFinished<'a>
    );
    not_send!(tried, try_ordered_by_group, and_then, Ok, Result<'a>);
    not_send!(
        tried,
        try_ordered_by_group,
        and_then_unordered,
        Ok,
        ResultAsFinished<'a>
    );
}

#[tokio::test]
async fn boxed_pipelines_of_different_types_are_of_one_type() {
    let text = String::from(TEXT);
    let pipelines: Vec<BoxRunning<'_, (Word<'_>, &str), &str>> = vec![
        then(&text).boxed_running(),
        words(&text)
            .ordered_by_groups(|word| word.0.chars().collect::<Vec<_>>(), 2)
            .offsets(|word| word.0)
            .then(handle)
            .boxed_running(),
        words(&text)
            .ordered_by_access(|word| [Access::Shared(word.0.len())], 2)
            .offsets(|word| word.0)
            .then(handle)
            .boxed_running(),
        words(&text)
            .ordered_unless(|_| (), can_run_together::never, 2)
            .offsets(|word| word.0)
            .partitions(|word| word.0.len())
            .then(handle)
            .boxed_running(),
        // Twice, too.
        then(&text).boxed_running().boxed_running(),
    ];
    for pipeline in pipelines {
        assert_eq!(driven(pipeline).await, 4);
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn pipelines_that_run_on_the_workers_are_returned_taken_and_kept() {
    fn pipeline() -> impl Running<Item = (u32, u64), Offset = u64> {
        stream::iter([1, 2, 1, 3])
            .ordered_by_group(|n| *n, 4)
            .spawned()
            .then(|n| async move { n })
    }

    let run = tokio::spawn(async {
        let mut boxed = pipeline().boxed_running();
        assert_eq!(driven(pipeline()).await, 4);
        assert_eq!(driven_in_chunks(&mut boxed).await, 4);
        assert!(boxed.is_terminated());
    });
    run.await.unwrap();
}

#[test]
fn what_a_box_promises_of_its_stream_holds_and_no_more() {
    fn is_send<T: Send>(_: &T) {}
    fn is_unpin<T: Unpin>(_: &T) {}

    let boxed = then(TEXT).boxed_running();
    is_send(&boxed);
    is_unpin(&boxed);
    is_send(&boxed.drive(|_| async {}));
    is_send(
        &and_then(TEXT)
            .boxed_running()
            .try_drive_chunks(8, |_| async { Ok(()) }),
    );
    let factor = Rc::new(1);
    is_unpin(&local(TEXT, &factor).boxed_local_running());
}

/// Gates, and a pipeline that waits at them.
fn gated<const N: usize>(
    items: [u32; N],
) -> (
    Gates,
    impl TryRunning<Item = Result<(u32, u64), u32>, Offset = u64> + Debug + Unpin,
) {
    let gates = Gates::default();
    let handle = gates.clone();
    let results = stream::iter(items)
        .ordered_by_group(|item| item / 10, 4)
        .try_then(move |item| handle.handle(item));
    (gates, results)
}

#[test]
fn a_drive_over_a_borrowed_stream_that_is_dropped_half_way_leaves_the_rest_to_the_next() {
    let (gates, results) = gated([10, 20, 11, 21]);
    let mut boxed = results.boxed_local_running();

    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let mut task =
        spawn((&mut boxed).try_drive(move |(item, _)| consume.handle(item).map(|_| Ok(()))));
    assert_pending!(task.poll());
    gates.open_all([10, 20]);
    assert_pending!(task.poll());
    drop(task);
    // What was handed over is the closure's; nothing else is lost, and the handlers go on.
    assert_eq!((consumed.called(), consumed.drops(10)), (vec![10], 1));
    assert_eq!((gates.running(), boxed.finished()), (vec![11, 21], 1));

    let mut seen = vec![];
    let mut task = spawn(Pin::new(&mut boxed).drive_chunks(8, |chunk| {
        seen.push(chunk);
        pending()
    }));
    assert_pending!(task.poll());
    gates.open_all([11]);
    assert_pending!(task.poll());
    drop(task);
    assert_eq!(seen, [[Ok((20, 1))]]);

    gates.open_all([21]);
    let rest = boxed.collect::<Vec<_>>().now_or_never();
    assert_eq!(rest, Some(vec![Ok((11, 2)), Ok((21, 3))]));
    gates.assert_all_dropped_once();
}

#[test]
fn a_driven_stream_that_failed_is_there_afterwards_and_has_ended() {
    let (gates, mut results) = gated([10, 20, 11, 21]);
    let mut task = spawn((&mut results).try_drive_chunks(8, |_| ready(Ok(()))));
    assert_pending!(task.poll());
    gates.open(10);
    gates.fail(20);
    assert_eq!(assert_ready!(task.poll()), Err(20));
    drop(task);
    assert!(results.is_terminated());
    assert_eq!(Look::at(&results), Look::default());
    gates.assert_all_dropped_once();
}

#[test]
fn all_that_runs_shows_the_counts() {
    const AT_WORK: &str = "running: 2, waiting: 1, finished: 1, groups: 2";
    const AT_THE_END: &str = "running: 0, waiting: 0, finished: 0, groups: 0";

    /// Three items are admitted behind the first, which is with the consumer; the second is finished.
    fn shown<F>(gates: &Gates, drive: F, name: &str)
    where
        F: Future<Output: Debug> + Debug,
    {
        let mut task = spawn(drive);
        assert_pending!(task.poll());
        gates.open_all([10, 20]);
        assert_pending!(task.poll());
        let shown = task.enter(|_, future| format!("{future:?}"));
        assert_eq!(
            shown,
            format!("{name} {{ {AT_WORK}, consuming: true, .. }}")
        );
    }

    let (gates, results) = gated([10, 20, 11, 21, 22]);
    shown(&gates, results.drive(|_| pending()), "Drive");
    let (gates, results) = gated([10, 20, 11, 21, 22]);
    shown(
        &gates,
        results.drive_chunks(1, |_| pending()),
        "DriveChunks",
    );
    let (gates, results) = gated([10, 20, 11, 21, 22]);
    shown(&gates, results.try_drive(|_| pending()), "TryDrive");
    let (gates, results) = gated([10, 20, 11, 21, 22]);
    shown(
        &gates,
        results.try_drive_chunks(1, |_| pending()),
        "TryDriveChunks",
    );

    let (gates, results) = gated([10, 20, 11, 21]);
    let mut boxed = results.boxed_local_running();
    assert_eq!(
        format!("{boxed:?}"),
        format!("Boxed {{ {AT_THE_END}, .. }}")
    );
    let mut task = spawn(Pin::new(&mut boxed).alongside(pending::<()>()));
    gates.open(10);
    assert_pending!(task.poll());
    let shown = task.enter(|_, future| format!("{future:?}"));
    assert_eq!(shown, format!("Alongside {{ {AT_WORK}, .. }}"));
    drop(task);
    assert_eq!(format!("{boxed:?}"), format!("Boxed {{ {AT_WORK}, .. }}"));
    gates.open_all([20, 11, 21]);
    assert_eq!((&mut boxed).count().now_or_never(), Some(4));
    assert_eq!(
        format!("{boxed:?}"),
        format!("Boxed {{ {AT_THE_END}, .. }}")
    );

    // The stream is gone then, and no counts with it.
    let mut task = spawn(
        stream::empty::<u32>()
            .ordered_by_group(|n| *n, 1)
            .then(ready)
            .drive(|_| async {}),
    );
    assert_ready!(task.poll());
    let shown = task.enter(|_, future| format!("{future:?}"));
    assert_eq!(shown, "Drive { consuming: false, .. }");
}

#[test]
fn counts_can_be_read_between_two_drives() {
    let (gates, mut results) = gated([10, 20, 11, 21]);
    let mut task = spawn((&mut results).drive(|_| ready(())));
    assert_pending!(task.poll());
    gates.open(10);
    assert_pending!(task.poll());
    drop(task);
    let look = Look {
        running: 2,
        waiting: 1,
        finished: 0,
        groups: 2,
        unfinished: 3,
    };
    assert_eq!(Look::at(&results), look);
    assert_eq!(results.unfinished().collect::<Vec<_>>(), [&1, &2, &3]);
}

/// A step of a script.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    PushSilently,
    PushError,
    Close,
    End(Index, End),
    Wake(Index),
    Poll,
    Advance,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![20 => Just(End::Ok), 1 => Just(End::Err), 1 => Just(End::Panic)];
    prop_oneof![
        8 => (1..5_usize).prop_map(Step::Push),
        2 => Just(Step::PushSilently),
        1 => Just(Step::PushError),
        1 => Just(Step::Close),
        12 => (any::<Index>(), end).prop_map(|(index, end)| Step::End(index, end)),
        2 => any::<Index>().prop_map(Step::Wake),
        16 => Just(Step::Poll),
        4 => Just(Step::Advance),
    ]
}

fn group(item: u32) -> u32 {
    item % 5
}

/// All that can be seen of a script: what each poll came to, and how the stream was before and after it.
fn events(form: Form, verb: Verb, setup: &Setup, script: &[Step]) -> String {
    let (feed, gates) = (items([]), Gates::new(group));
    let mut task = setup.clone().form(form).spawn(&feed, &gates);
    let mut log = String::new();
    let mut next = 0..200;
    for step in script {
        match step {
            Step::Push(count) => {
                let pushed = next.by_ref().take(*count);
                pushed.for_each(|item| feed.push(Ok(item)));
            }
            Step::PushError if verb.reads_results() => feed.push(Err(next.next().unwrap())),
            Step::PushError => {}
            Step::PushSilently => feed.push_silently(Ok(next.next().unwrap())),
            Step::Close => feed.close(),
            Step::End(index, end) => {
                let running = gates.running();
                if !running.is_empty() {
                    let is_ok = *end == End::Err && !verb.can_fail();
                    gates.end(*index.get(&running), if is_ok { End::Ok } else { *end });
                }
            }
            Step::Wake(index) => {
                let running = gates.running();
                if !running.is_empty() {
                    gates.wake(*index.get(&running));
                }
            }
            Step::Poll => {
                let polled = catch_unwind(AssertUnwindSafe(|| task.poll_next()));
                writeln!(log, "{:?}", polled.map_err(message)).unwrap();
            }
            Step::Advance => {
                let advance = || task.enter(|cx, mut subject| subject.advance(cx));
                let polled = catch_unwind(AssertUnwindSafe(advance));
                writeln!(log, "{:?}", polled.map_err(message)).unwrap();
            }
        }
        describe(&mut log, &task);
        let of_source = (feed.polls(), feed.pulled());
        writeln!(log, "{of_source:?} {:?}", gates.events()).unwrap();
    }
    drop(task);
    writeln!(log, "{:?}", gates.events()).unwrap();
    gates.assert_all_dropped_once();
    log
}

fn describe(log: &mut String, task: &Task) {
    let state = (task.counts(), task.unfinished(), task.has_terminated());
    let seen = (task.size_hint(), task.is_woken());
    writeln!(log, "{state:?} {seen:?}").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_same_script_gives_the_same_events_in_every_form_poll_by_poll(
        verb in select(&VERBS[..]),
        max_parallel in 1..5_usize,
        spare in 0..6_usize,
        script in vec(step(), 0..60),
    ) {
        let setup = Setup::new(verb, max_parallel)
            .look_ahead(max_parallel + spare)
            .key(group);
        let bare = events(Form::Bare, verb, &setup, &script);
        for form in FORMS {
            let log = events(form, verb, &setup, &script);
            prop_assert_eq!(&log, &bare, "{:?}", form);
        }
    }
}
