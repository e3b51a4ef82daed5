//! The engine: the fold over the source, and what it folds with. It knows neither how it was set up nor who takes what comes
//! out.

pub(crate) mod budget;
pub(crate) mod depths;
pub(crate) mod fold;
pub(crate) mod hashing;
pub(crate) mod item;
pub(crate) mod keyed;
pub(crate) mod order;
pub(crate) mod run;
pub(crate) mod sealed;
pub(crate) mod slots;
pub(crate) mod tally;
pub(crate) mod watch;
pub(crate) mod window;
pub(crate) mod without_slot;
