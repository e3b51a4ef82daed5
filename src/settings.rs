//! What is set between the key and the handler, whether the source can fail or not.

pub mod can_run_together;
mod ordered;
mod try_ordered;

use std::fmt;
use std::sync::Arc;

pub use self::ordered::Ordered;
pub use self::try_ordered::TryOrdered;

use crate::engine::fold::{Fold, Limits};
use crate::engine::item::offsets::{Counted, Offsets};
use crate::engine::item::partitions::{SetPartitions, Whole};
use crate::engine::order::{Gather, Order};
use crate::engine::run::{InTask, RunWith};
use crate::engine::watch::Board;
use crate::running::Monitor;

pub(crate) struct Settings<St, By, Off, P, X> {
    stream: St,
    order: By,
    offsets: Off,
    partitions: P,
    run: X,
    limits: Limits,
    board: Option<Arc<Board>>,
}

impl<St, By> Settings<St, By, Counted, Whole, InTask> {
    #[track_caller]
    pub(crate) fn new(stream: St, order: By, max_parallel: usize) -> Self {
        assert!(
            max_parallel > 0,
            "max_parallel is 0, so nothing could ever run: pass at least 1"
        );
        Self {
            stream,
            order,
            offsets: Counted::new(),
            partitions: Whole,
            run: InTask,
            limits: Limits {
                max_parallel,
                look_ahead: max_parallel.saturating_mul(64).max(1024),
            },
            board: None,
        }
    }
}

impl<St, By, Off, P, X> Settings<St, By, Off, P, X> {
    #[track_caller]
    pub(crate) fn look_ahead(self, max_admitted: usize) -> Self {
        let Limits { max_parallel, .. } = self.limits;
        assert!(
            max_admitted >= max_parallel,
            "look_ahead is {max_admitted}, less than max_parallel, which is {max_parallel}: \
             slots would stay idle; pass at least {max_parallel}"
        );
        Self {
            limits: Limits {
                max_parallel,
                look_ahead: max_admitted,
            },
            ..self
        }
    }

    pub(crate) fn monitor(self, monitor: &Monitor) -> Self {
        Self {
            board: Some(Arc::clone(monitor.board())),
            ..self
        }
    }

    pub(crate) fn offsets<G, O>(self, offset: G) -> Settings<St, By, Offsets<G, O>, P, X> {
        Settings {
            stream: self.stream,
            order: self.order,
            offsets: Offsets::new(offset),
            partitions: self.partitions,
            run: self.run,
            limits: self.limits,
            board: self.board,
        }
    }

    pub(crate) fn partitions<F, L>(self, partition: F) -> Settings<St, By, Off, P::With<F, L>, X>
    where
        P: SetPartitions,
    {
        Settings {
            stream: self.stream,
            order: self.order,
            offsets: self.offsets,
            partitions: self.partitions.with(partition),
            run: self.run,
            limits: self.limits,
            board: self.board,
        }
    }

    #[track_caller]
    pub(crate) fn batches(self, max: usize) -> Settings<St, By::InBatches, Off, P::InBatches, X>
    where
        By: Gather,
        P: SetPartitions,
    {
        assert!(
            max > 0,
            "max is 0, so no batch could hold an item: pass at least 1"
        );
        Settings {
            stream: self.stream,
            order: self.order.in_batches(max),
            offsets: self.offsets,
            partitions: self.partitions.in_batches(),
            run: self.run,
            limits: self.limits,
            board: self.board,
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn spawned(self) -> Settings<St, By, Off, P, crate::engine::run::Spawned> {
        Settings {
            stream: self.stream,
            order: self.order,
            offsets: self.offsets,
            partitions: self.partitions,
            run: crate::engine::run::Spawned,
            limits: self.limits,
            board: self.board,
        }
    }

    pub(crate) fn map_order<By2>(
        self,
        map: impl FnOnce(By) -> By2,
    ) -> Settings<St, By2, Off, P, X> {
        Settings {
            stream: self.stream,
            order: map(self.order),
            offsets: self.offsets,
            partitions: self.partitions,
            run: self.run,
            limits: self.limits,
            board: self.board,
        }
    }

    pub(crate) fn fold<M, T, E, H, Fut, V, W>(
        self,
        handler: H,
        window: W,
    ) -> Fold<St, M, T, E, By, Off, P, X::Run, W>
    where
        By: Order<T>,
        X: RunWith<By::Input, H, Fut, V>,
    {
        let mut fold = Fold::new(
            self.stream,
            self.order,
            self.offsets,
            self.partitions,
            self.run.run(handler, self.limits.max_parallel),
            self.limits,
            window,
        );
        if let Some(board) = &self.board {
            fold.watch(board);
        }
        fold
    }

    pub(crate) fn debug(&self, mut debug: fmt::DebugStruct<'_, '_>) -> fmt::Result {
        debug
            .field("max_parallel", &self.limits.max_parallel)
            .field("look_ahead", &self.limits.look_ahead)
            .finish_non_exhaustive()
    }
}
