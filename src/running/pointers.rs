//! Pointers to running streams: what is driven through one is there afterwards.

use std::ops::DerefMut;
use std::pin::Pin;
use std::task::Context;

use crate::engine::sealed::Sealed;
use crate::running::Running;

impl<S: ?Sized> Sealed for &mut S {}
impl<P> Sealed for Pin<P> {}

/// Implements [`Running`] for a pointer, by what it points to.
macro_rules! through_pointer {
    ($target:ty, $pinned:ident => $stream:expr) => {
        type Offset = <$target as Running>::Offset;

        fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
            let $pinned = self;
            $stream.poll_advance(cx);
        }

        fn running(&self) -> usize {
            (**self).running()
        }

        fn waiting(&self) -> usize {
            (**self).waiting()
        }

        fn finished(&self) -> usize {
            (**self).finished()
        }

        fn groups(&self) -> usize {
            (**self).groups()
        }

        fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a Self::Offset>
        where
            Self::Offset: 'a,
        {
            (**self).unfinished()
        }
    };
}

impl<S: Running + Unpin> Running for &mut S {
    through_pointer!(S, pinned => Pin::new(&mut **pinned.get_mut()));
}

impl<P> Running for Pin<P>
where
    P: DerefMut + Unpin,
    P::Target: Running,
{
    through_pointer!(P::Target, pinned => pinned.get_mut().as_mut());
}
