//! A feed to read from, gates for handlers to wait at, and all verbs behind one face.

#![allow(dead_code, reason = "each chapter uses its share")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::future::{Either, FutureExt as _, LocalBoxFuture, Map};
use futures::stream::{FusedStream, Stream, StreamExt as _};
use ordered_by_group::prelude::*;
use ordered_by_group::{Access, Monitor, Running, Unordered};
use tokio_test::task::{Spawn, spawn};

/// A source that yields what is pushed. It fails the test if it is polled after its end.
pub struct Feed<T>(Rc<RefCell<Feeding<T>>>);

struct Feeding<T> {
    items: VecDeque<T>,
    closed: bool,
    broken: bool,
    ended: bool,
    /// It said Pending, and has not been woken since.
    said_pending: bool,
    /// It said Pending, and has not answered since.
    asked: bool,
    polls: usize,
    pulled: usize,
    waker: Option<Waker>,
}

pub struct Source<T>(Feed<T>);

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Feed<T> {
    pub fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(Rc::new(RefCell::new(Feeding {
            items: items.into_iter().collect(),
            closed: false,
            broken: false,
            ended: false,
            said_pending: false,
            asked: false,
            polls: 0,
            pulled: 0,
            waker: None,
        })))
    }

    pub fn source(&self) -> Source<T> {
        Source(self.clone())
    }

    pub fn push(&self, item: T) {
        self.0.borrow_mut().items.push_back(item);
        self.wake();
    }

    /// Ends the source after what was pushed.
    pub fn close(&self) {
        self.0.borrow_mut().closed = true;
        self.wake();
    }

    /// Has the source panic after what was pushed.
    pub fn break_down(&self) {
        self.0.borrow_mut().broken = true;
        self.wake();
    }

    /// Adds an item without telling anyone.
    pub fn push_silently(&self, item: T) {
        self.0.borrow_mut().items.push_back(item);
    }

    pub fn wake(&self) {
        let waker = {
            let mut feed = self.0.borrow_mut();
            feed.said_pending = false;
            feed.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn polls(&self) -> usize {
        self.0.borrow().polls
    }

    pub fn pulled(&self) -> usize {
        self.0.borrow().pulled
    }

    pub fn left(&self) -> usize {
        self.0.borrow().items.len()
    }

    /// Whether there is no reason to ask: it said Pending since its last wake, or has ended.
    pub fn is_dry(&self) -> bool {
        let feed = self.0.borrow();
        feed.said_pending || feed.ended
    }

    /// Whether it was asked, said Pending, and has not answered since.
    pub fn is_asked(&self) -> bool {
        self.0.borrow().asked
    }

    /// Whether it is to be polled on, whatever else: it was asked, and has woken the operator since.
    pub fn is_owed_a_poll(&self) -> bool {
        let feed = self.0.borrow();
        feed.asked && !feed.said_pending
    }

    pub fn has_ended(&self) -> bool {
        self.0.borrow().ended
    }
}

impl<T> Stream for Source<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut feed = self.0.0.borrow_mut();
        feed.polls += 1;
        assert!(!feed.ended, "the source is polled after its end");
        feed.asked = false;
        if let Some(item) = feed.items.pop_front() {
            feed.pulled += 1;
            return Poll::Ready(Some(item));
        }
        if feed.broken {
            drop(feed);
            panic!("the source breaks down");
        }
        if feed.closed {
            feed.ended = true;
            return Poll::Ready(None);
        }
        feed.said_pending = true;
        feed.asked = true;
        feed.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let feed = self.0.0.borrow();
        (feed.items.len(), feed.closed.then_some(feed.items.len()))
    }
}

/// What happens to an item's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Called(u32),
    Finished(u32),
    Dropped(u32),
}

/// Handlers wait at a gate, one for each item. An item is its own result and error; its group is its tens:
/// 10 and 11 are of one group, 20 is of another. No two handlers of a group ever exist at once, or the test fails.
#[derive(Clone)]
pub struct Gates(Rc<Board>);

struct Board {
    group: Box<dyn Fn(u32) -> u32>,
    gates: RefCell<BTreeMap<u32, Gate>>,
    events: RefCell<Vec<Event>>,
    busy: RefCell<BTreeMap<u32, u32>>,
    live: Cell<usize>,
    peak: Cell<usize>,
}

#[derive(Default)]
struct Gate {
    end: Option<End>,
    panics_on_drop: bool,
    polls: usize,
    drops: usize,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Ok,
    Err,
    Panic,
}

pub struct Gated {
    gates: Gates,
    item: u32,
}

impl Default for Gates {
    fn default() -> Self {
        Self::new(|item| item / 10)
    }
}

impl Gates {
    pub fn new(group: impl Fn(u32) -> u32 + 'static) -> Self {
        Self(Rc::new(Board {
            group: Box::new(group),
            gates: RefCell::default(),
            events: RefCell::default(),
            busy: RefCell::default(),
            live: Cell::new(0),
            peak: Cell::new(0),
        }))
    }

    pub fn group(&self, item: u32) -> u32 {
        (self.0.group)(item)
    }

    /// The handler of an item.
    pub fn handle(&self, item: u32) -> Gated {
        let board = &*self.0;
        board.events.borrow_mut().push(Event::Called(item));
        let before = board.busy.borrow_mut().insert(self.group(item), item);
        assert_eq!(before, None, "{item} is called while its group is busy");
        board.live.set(board.live.get() + 1);
        board.peak.set(board.peak.get().max(board.live.get()));
        Gated {
            gates: self.clone(),
            item,
        }
    }

    /// Lets the handler of an item finish, and wakes it.
    pub fn open(&self, item: u32) {
        self.end(item, End::Ok);
    }

    /// Lets the handler of an item fail, and wakes it.
    pub fn fail(&self, item: u32) {
        self.end(item, End::Err);
    }

    pub fn end(&self, item: u32, end: End) {
        self.gate(item, |gate| gate.end = Some(end));
        self.wake(item);
    }

    pub fn open_all(&self, items: impl IntoIterator<Item = u32>) {
        for item in items {
            self.open(item);
        }
    }

    pub fn panic_on_drop(&self, item: u32) {
        self.gate(item, |gate| gate.panics_on_drop = true);
    }

    /// Wakes the handler of an item, if it was polled.
    pub fn wake(&self, item: u32) {
        if let Some(waker) = self.gate(item, |gate| gate.waker.take()) {
            waker.wake();
        }
    }

    /// A copy of the waker that the handler of an item was last polled with.
    pub fn waker(&self, item: u32) -> Waker {
        let waker = self.gate(item, |gate| gate.waker.clone());
        waker.expect("a handler that was polled and not woken")
    }

    pub fn polls(&self, item: u32) -> usize {
        self.gate(item, |gate| gate.polls)
    }

    pub fn drops(&self, item: u32) -> usize {
        self.gate(item, |gate| gate.drops)
    }

    pub fn events(&self) -> Vec<Event> {
        self.0.events.borrow().clone()
    }

    /// The items whose handlers were called, in that order.
    pub fn called(&self) -> Vec<u32> {
        self.items(|event| match event {
            Event::Called(item) => Some(*item),
            _ => None,
        })
    }

    pub fn finished(&self) -> Vec<u32> {
        self.items(|event| match event {
            Event::Finished(item) => Some(*item),
            _ => None,
        })
    }

    /// The items whose handlers exist, in order of their groups.
    pub fn running(&self) -> Vec<u32> {
        self.0.busy.borrow().values().copied().collect()
    }

    pub fn live(&self) -> usize {
        self.0.live.get()
    }

    /// The most handlers that ever existed at once.
    pub fn peak(&self) -> usize {
        self.0.peak.get()
    }

    /// Every handler that was called was dropped, once.
    pub fn assert_all_dropped_once(&self) {
        for item in self.called() {
            assert_eq!(self.drops(item), 1, "drops of {item}");
        }
    }

    fn items(&self, pick: impl Fn(&Event) -> Option<u32>) -> Vec<u32> {
        self.0.events.borrow().iter().filter_map(pick).collect()
    }

    fn gate<R>(&self, item: u32, with: impl FnOnce(&mut Gate) -> R) -> R {
        with(self.0.gates.borrow_mut().entry(item).or_default())
    }
}

impl Future for Gated {
    type Output = Result<u32, u32>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = self.gates.gate(self.item, |gate| {
            gate.polls += 1;
            gate.waker = Some(cx.waker().clone());
            gate.end
        });
        let Some(end) = end else {
            return Poll::Pending;
        };
        self.gates
            .0
            .events
            .borrow_mut()
            .push(Event::Finished(self.item));
        match end {
            End::Ok => Poll::Ready(Ok(self.item)),
            End::Err => Poll::Ready(Err(self.item)),
            End::Panic => panic!("the handler of {} panics", self.item),
        }
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        let board = &*self.gates.0;
        board.events.borrow_mut().push(Event::Dropped(self.item));
        board.busy.borrow_mut().remove(&self.gates.group(self.item));
        board.live.set(board.live.get() - 1);
        let panics = self.gates.gate(self.item, |gate| {
            gate.drops += 1;
            gate.waker = None;
            gate.panics_on_drop
        });
        assert!(
            !panics || std::thread::panicking(),
            "the future of {} panics as it is dropped",
            self.item
        );
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Then,
    ThenUnordered,
    TryThen,
    TryThenUnordered,
    AndThen,
    AndThenUnordered,
}

pub const VERBS: [Verb; 6] = [
    Verb::Then,
    Verb::ThenUnordered,
    Verb::TryThen,
    Verb::TryThenUnordered,
    Verb::AndThen,
    Verb::AndThenUnordered,
];

/// Those whose handlers can fail.
pub const FALLIBLE: [Verb; 4] = [
    Verb::TryThen,
    Verb::TryThenUnordered,
    Verb::AndThen,
    Verb::AndThenUnordered,
];

impl Verb {
    pub fn in_source_order(self) -> bool {
        matches!(self, Self::Then | Self::TryThen | Self::AndThen)
    }

    pub fn can_fail(self) -> bool {
        FALLIBLE.contains(&self)
    }

    pub fn reads_results(self) -> bool {
        matches!(self, Self::AndThen | Self::AndThenUnordered)
    }
}

/// What comes out. In source order the frontier is the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    pub item: u32,
    pub offset: u32,
    pub frontier: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub running: usize,
    pub waiting: usize,
    pub finished: usize,
    pub groups: usize,
}

/// A group, by number. Those of [`Group::HASH_PANICS`] and [`Group::EQ_PANICS`] are unsound.
#[derive(Debug)]
pub struct Group(pub u32);

impl Group {
    pub const HASH_PANICS: u32 = 1_000_066;
    pub const EQ_PANICS: u32 = 1_000_077;
}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert_ne!(self.0, Self::HASH_PANICS, "the hash panics");
        self.0.hash(state);
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        assert_ne!(self.0, Self::EQ_PANICS, "the comparison panics");
        self.0 == other.0
    }
}

impl Eq for Group {}

/// A running stream, whatever its verb. The offset of an item is the item, if [`Setup::offset`] is not set.
pub trait Subject: Stream<Item = Result<Handed, u32>> {
    fn counts(&self) -> Counts;
    fn unfinished(&self) -> Vec<u32>;
    fn has_terminated(&self) -> bool;
    fn describe(&self) -> String;
    /// Polls it as `alongside` does with a future that is pending.
    fn advance(&mut self, cx: &mut Context<'_>);
}

pub type Task = Spawn<Box<dyn Subject + Unpin>>;

/// How the stream is held. It makes no difference to what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Bare,
    /// As a function returns it that says no more than `impl Running`.
    Returned,
    Boxed,
    /// Behind a `&mut`, a new one for each poll.
    Borrowed,
    Pinned,
}

pub const FORMS: [Form; 5] = [
    Form::Bare,
    Form::Returned,
    Form::Boxed,
    Form::Borrowed,
    Form::Pinned,
];

struct Live<S, Read> {
    stream: S,
    read: Read,
}

impl<S, Read> Stream for Live<S, Read>
where
    S: Stream + Unpin,
    Read: Fn(S::Item) -> Result<Handed, u32> + Unpin,
{
    type Item = Result<Handed, u32>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = this.stream.poll_next_unpin(cx);
        next.map(|next| next.map(&this.read))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S, Read> Subject for Live<S, Read>
where
    S: Running<Offset = u32> + Debug + Unpin,
    Read: Fn(S::Item) -> Result<Handed, u32> + Unpin,
{
    fn counts(&self) -> Counts {
        counts(&self.stream)
    }

    fn unfinished(&self) -> Vec<u32> {
        self.stream.unfinished().copied().collect()
    }

    fn has_terminated(&self) -> bool {
        self.stream.is_terminated()
    }

    fn describe(&self) -> String {
        format!("{:?}", self.stream)
    }

    fn advance(&mut self, cx: &mut Context<'_>) {
        advance_once(Pin::new(&mut self.stream), cx);
    }
}

/// What is only ever looked at and polled through a `&mut`.
struct LiveBorrowed<S, Read> {
    stream: RefCell<S>,
    read: Read,
}

impl<S, Read> Stream for LiveBorrowed<S, Read>
where
    S: Running + Unpin,
    Read: Fn(S::Item) -> Result<Handed, u32> + Unpin,
{
    type Item = Result<Handed, u32>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut stream = this.stream.get_mut();
        let next = Stream::poll_next(Pin::new(&mut stream), cx);
        next.map(|next| next.map(&this.read))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let mut stream = self.stream.borrow_mut();
        Stream::size_hint(&&mut *stream)
    }
}

impl<S, Read> Subject for LiveBorrowed<S, Read>
where
    S: Running<Offset = u32> + Debug + Unpin,
    Read: Fn(S::Item) -> Result<Handed, u32> + Unpin,
{
    fn counts(&self) -> Counts {
        counts(&&mut *self.stream.borrow_mut())
    }

    fn unfinished(&self) -> Vec<u32> {
        let mut stream = self.stream.borrow_mut();
        let borrowed = &&mut *stream;
        Running::unfinished(borrowed).copied().collect()
    }

    fn has_terminated(&self) -> bool {
        FusedStream::is_terminated(&&mut *self.stream.borrow_mut())
    }

    fn describe(&self) -> String {
        format!("{:?}", self.stream.borrow())
    }

    fn advance(&mut self, cx: &mut Context<'_>) {
        let mut stream = self.stream.get_mut();
        advance_once(Pin::new(&mut stream), cx);
    }
}

fn counts(stream: &impl Running) -> Counts {
    Counts {
        running: stream.running(),
        waiting: stream.waiting(),
        finished: stream.finished(),
        groups: stream.groups(),
    }
}

fn advance_once(stream: Pin<&mut impl Running>, cx: &mut Context<'_>) {
    let alongside = pin!(stream.alongside(pending::<()>()));
    assert!(alongside.poll(cx).is_pending());
}

fn returned<S>(stream: S) -> impl Running<Item = S::Item, Offset = u32> + Debug + Unpin
where
    S: Running<Offset = u32> + Debug + Unpin,
{
    stream
}

fn live<S, Read>(form: Form, stream: S, read: Read) -> Box<dyn Subject + Unpin>
where
    S: Running<Offset = u32> + Debug + Unpin + 'static,
    Read: Fn(S::Item) -> Result<Handed, u32> + Unpin + 'static,
{
    match form {
        Form::Bare => Box::new(Live { stream, read }),
        Form::Returned => Box::new(Live {
            stream: returned(stream),
            read,
        }),
        Form::Boxed => Box::new(Live {
            stream: stream.boxed_local_running(),
            read,
        }),
        Form::Borrowed => Box::new(LiveBorrowed {
            stream: RefCell::new(stream),
            read,
        }),
        Form::Pinned => Box::new(Live {
            stream: Box::pin(stream),
            read,
        }),
    }
}

/// How a subject is made.
#[derive(Clone)]
pub struct Setup {
    verb: Verb,
    form: Form,
    max_parallel: usize,
    look_ahead: Option<usize>,
    key: Rc<dyn Fn(u32) -> u32>,
    offset: Rc<dyn Fn(u32) -> u32>,
    partition: Option<Rc<dyn Fn(u32) -> u32>>,
    call: Rc<dyn Fn(u32)>,
    handler: Option<Rc<dyn Fn(u32) -> Handling>>,
    monitor: Option<Monitor>,
}

/// What a handler of the test's own is doing.
pub type Handling = LocalBoxFuture<'static, Result<u32, u32>>;

impl Setup {
    pub fn new(verb: Verb, max_parallel: usize) -> Self {
        Self {
            verb,
            form: Form::Bare,
            max_parallel,
            look_ahead: None,
            key: Rc::new(|item| item / 10),
            offset: Rc::new(|item| item),
            partition: None,
            call: Rc::new(|_| ()),
            handler: None,
            monitor: None,
        }
    }

    pub fn monitor(self, monitor: &Monitor) -> Self {
        Self {
            monitor: Some(monitor.clone()),
            ..self
        }
    }

    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    pub fn look_ahead(self, max_admitted: usize) -> Self {
        Self {
            look_ahead: Some(max_admitted),
            ..self
        }
    }

    pub fn key(self, key: impl Fn(u32) -> u32 + 'static) -> Self {
        Self {
            key: Rc::new(key),
            ..self
        }
    }

    pub fn offset(self, offset: impl Fn(u32) -> u32 + 'static) -> Self {
        Self {
            offset: Rc::new(offset),
            ..self
        }
    }

    pub fn partition(self, partition: impl Fn(u32) -> u32 + 'static) -> Self {
        Self {
            partition: Some(Rc::new(partition)),
            ..self
        }
    }

    /// A handler of the test's own, in place of the gates.
    pub fn handler(self, handler: impl Fn(u32) -> Handling + 'static) -> Self {
        Self {
            handler: Some(Rc::new(handler)),
            ..self
        }
    }

    /// What else happens when a handler is called.
    pub fn call(self, call: impl Fn(u32) + 'static) -> Self {
        Self {
            call: Rc::new(call),
            ..self
        }
    }

    pub fn spawn(self, feed: &Feed<Result<u32, u32>>, gates: &Gates) -> Task {
        let key = Rc::clone(&self.key);
        let key = move |item: &u32| Group(key(*item));
        let handler = self.handling(gates);
        spawn(every_verb!(
            self, feed, handler; ordered_by_group, try_ordered_by_group, key
        ))
    }

    /// Orders the items by more than one key.
    pub fn spawn_in(self, order: &Order, feed: &Feed<Result<u32, u32>>, gates: &Gates) -> Task {
        let handler = self.handling(gates);
        spawn(in_order_of!(order, self, feed, handler))
    }

    /// The same by the setup's key or in an order, read ahead.
    pub fn spawn_ahead(
        self,
        order: Option<&Order>,
        feed: &Feed<Result<u32, u32>>,
        gates: &Gates,
    ) -> Task {
        let handler = self.handling(gates);
        let Some(order) = order else {
            let key = Rc::clone(&self.key);
            let key = move |item: &u32| Group(key(*item));
            return spawn(every_verb!(
                self, feed, handler, prefetch; ordered_by_group, try_ordered_by_group, key
            ));
        };
        spawn(in_order_of!(order, self, feed, handler, prefetch))
    }

    /// The same by the setup's key, with a handler that takes batches of so many items at the most.
    pub fn spawn_in_batches<Fut>(
        self,
        max: usize,
        feed: &Feed<Result<u32, u32>>,
        handler: impl FnMut(Vec<u32>) -> Fut + 'static,
    ) -> Task
    where
        Fut: Future<Output = Result<u32, u32>> + 'static,
    {
        let key = Rc::clone(&self.key);
        let key = move |item: &u32| Group(key(*item));
        spawn(every_verb!(
            self, feed, handler, batches(max); ordered_by_group, try_ordered_by_group, key
        ))
    }

    /// The same by the setup's key or in an order, with handlers that run on the workers of the runtime around.
    #[cfg(feature = "tokio")]
    pub fn spawn_on_workers<Fut>(
        self,
        order: Option<&Order>,
        feed: &Feed<Result<u32, u32>>,
        handler: impl FnMut(u32) -> Fut + Send + 'static,
    ) -> Task
    where
        Fut: Future<Output = Result<u32, u32>> + Send + 'static,
    {
        let Some(order) = order else {
            let key = Rc::clone(&self.key);
            let key = move |item: &u32| Group(key(*item));
            return spawn(every_verb!(
                self, feed, handler, spawned; ordered_by_group, try_ordered_by_group, key
            ));
        };
        spawn(in_order_of!(order, self, feed, handler, spawned))
    }

    fn handling(&self, gates: &Gates) -> impl Fn(u32) -> Either<Gated, Handling> + use<> {
        let (call, handler, gates) = (Rc::clone(&self.call), self.handler.clone(), gates.clone());
        move |item| {
            call(item);
            match &handler {
                Some(handler) => Either::Right(handler(item)),
                None => Either::Left(gates.handle(item)),
            }
        }
    }
}

/// How items are ordered that have more than one key, or none.
#[derive(Clone)]
pub enum Order {
    Groups(Rc<dyn Fn(u32) -> Vec<u32>>),
    Access(Rc<dyn Fn(u32) -> Vec<Access<u32>>>),
    /// The tag of an item is the item.
    Unless(Rc<dyn Fn(u32, u32) -> bool>),
}

fn of_group(access: Access<u32>) -> Access<Group> {
    match access {
        Access::Shared(key) => Access::Shared(Group(key)),
        Access::Exclusive(key) => Access::Exclusive(Group(key)),
    }
}

/// A subject of the setup's verb, whatever the order, with a handler that runs here or is spawned.
macro_rules! every_verb {
    ($setup:ident, $feed:ident, $handling:ident $(, $setting:ident $(($argument:expr))?)*; $by:ident, $try_by:ident, $($order:expr),+) => {{
        let Setup {
            verb,
            form,
            max_parallel,
            look_ahead,
            offset,
            partition,
            monitor,
            ..
        } = $setup;
        let look_ahead = look_ahead.unwrap_or_else(|| max_parallel.saturating_mul(64).max(1024));
        let source = $feed.source();
        let offset = move |item: &u32| offset(*item);
        let handler = $handling;
        macro_rules! subject {
            ($ordered:expr, $verb:ident, $handler:expr, $read:expr) => {{
                let ordered = $ordered.look_ahead(look_ahead).offsets(offset)$(.$setting($($argument)?))*;
                let ordered = match &monitor {
                    Some(monitor) => ordered.monitor(monitor),
                    None => ordered,
                };
                match partition {
                    Some(partition) => {
                        let ordered = ordered.partitions(move |item| Group(partition(*item)));
                        subject!(ordered.$verb($handler), $read)
                    }
                    None => subject!(ordered.$verb($handler), $read),
                }
            }};
            ($stream:expr, $read:expr) => {
                live(form, $stream, $read)
            };
        }
        match verb {
            Verb::Then => subject!(
                certain(source).$by($($order,)+ max_parallel),
                then,
                sure(handler),
                |next| Ok(in_order(next))
            ),
            Verb::ThenUnordered => subject!(
                certain(source).$by($($order,)+ max_parallel),
                then_unordered,
                sure(handler),
                |next| Ok(as_finished(next))
            ),
            Verb::TryThen => subject!(
                certain(source).$by($($order,)+ max_parallel),
                try_then,
                handler,
                |next| next.map(in_order)
            ),
            Verb::TryThenUnordered => subject!(
                certain(source).$by($($order,)+ max_parallel),
                try_then_unordered,
                handler,
                |next| next.map(as_finished)
            ),
            Verb::AndThen => subject!(
                source.$try_by($($order,)+ max_parallel),
                and_then,
                handler,
                |next| next.map(in_order)
            ),
            Verb::AndThenUnordered => subject!(
                source.$try_by($($order,)+ max_parallel),
                and_then_unordered,
                handler,
                |next| next.map(as_finished)
            ),
        }
    }};
}

/// The same in an order of more than one key.
macro_rules! in_order_of {
    ($order:ident, $setup:ident, $feed:ident, $handler:ident $(, $setting:ident)*) => {
        match $order.clone() {
            Order::Groups(keys) => {
                let keys = move |item: &u32| keys(*item).into_iter().map(Group);
                every_verb!(
                    $setup, $feed, $handler $(, $setting)*; ordered_by_groups, try_ordered_by_groups, keys
                )
            }
            Order::Access(accesses) => {
                let accesses = move |item: &u32| accesses(*item).into_iter().map(of_group);
                every_verb!(
                    $setup, $feed, $handler $(, $setting)*; ordered_by_access, try_ordered_by_access, accesses
                )
            }
            Order::Unless(can_run_together) => {
                let can_run_together = move |a: &u32, b: &u32| can_run_together(*a, *b);
                every_verb!(
                    $setup, $feed, $handler $(, $setting)*;
                    ordered_unless, try_ordered_unless, |item| *item, can_run_together
                )
            }
        }
    };
}

use {every_verb, in_order_of};

fn in_order((item, offset): (u32, u32)) -> Handed {
    Handed {
        item,
        offset,
        frontier: Some(offset),
    }
}

fn as_finished((item, offset): (u32, Unordered<u32>)) -> Handed {
    Handed {
        item,
        offset: *offset.offset(),
        frontier: offset.frontier().copied(),
    }
}

/// A source that must not fail.
fn certain(source: Source<Result<u32, u32>>) -> impl Stream<Item = u32> + Unpin {
    source.map(|item| item.expect("a source that does not fail"))
}

/// A handler that must not fail.
fn sure<T, Fut>(
    mut handler: impl FnMut(T) -> Fut,
) -> impl FnMut(T) -> Map<Fut, fn(Result<u32, u32>) -> u32>
where
    Fut: Future<Output = Result<u32, u32>>,
{
    move |input| handler(input).map(|ended| ended.expect("a handler that does not fail"))
}

pub fn items(items: impl IntoIterator<Item = u32>) -> Feed<Result<u32, u32>> {
    Feed::new(items.into_iter().map(Ok))
}

/// Polls as a runtime does, until nothing has woken the task: what came out, or the end.
pub fn settle(task: &mut Task) -> Vec<Option<Result<Handed, u32>>> {
    let mut out = Vec::new();
    loop {
        match task.poll_next() {
            Poll::Ready(None) => {
                out.push(None);
                return out;
            }
            Poll::Ready(next) => out.push(next),
            Poll::Pending if task.is_woken() => {}
            Poll::Pending => return out,
        }
    }
}

/// [`settle`], where nothing fails or ends: the items that came out.
pub fn settled(task: &mut Task) -> Vec<u32> {
    let out = settle(task);
    out.into_iter()
        .map(|next| next.expect("no end").expect("no failure").item)
        .collect()
}

/// Runs the handlers as `drive` does, until nothing has woken the task.
pub fn advance(task: &mut Task) {
    loop {
        task.enter(|cx, mut subject| subject.advance(cx));
        if !task.is_woken() {
            return;
        }
    }
}

/// The message of the panic that a poll comes to.
pub fn poll_panics(task: &mut Task) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| task.poll_next()));
    message(panic.expect_err("a panic"))
}

pub fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_string(),
    }
}
