//! Panics in stages, turned into errors that name their place.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

use crate::error::StageError;

/// A panic that was caught.
pub(crate) struct Panic {
    /// What it said.
    pub message: String,
    /// `file:line:column`, where it is known.
    pub place: String,
}

/// Panics that are not asked for yet; only as many as can be on their way at once.
const REMEMBERED: usize = 64;

/// The latest panics, message and place: a panic in a thread of the pool reaches its stage without its place.
static PLACES: Mutex<VecDeque<(String, String)>> = Mutex::new(VecDeque::new());

impl From<Panic> for StageError {
    fn from(Panic { message, place }: Panic) -> Self {
        let at = if place.is_empty() { place } else { format!(" at {place}") };
        Self::failed(format!("the stage panicked{at}: {message}"))
            .help("this is a bug in the stage; nothing of it was recorded. `--log debug` and RUST_BACKTRACE=1 show more")
    }
}

thread_local! {
    /// How many calls of [`catch`] this thread is in.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
}

/// Calls a function; a panic in it, or in a thread of the pool that works for it, becomes an error and prints nothing.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            remember(info);
            // A pool hands the panics of its threads to whoever waits for them.
            if CATCHING.get() == 0 && rayon::current_thread_index().is_none() {
                before(info);
            }
        }));
    });
    CATCHING.set(CATCHING.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| found(&*payload))
}

fn remember(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = text(info.payload());
    tracing::debug!("panic at {place}: {message}\n{}", std::backtrace::Backtrace::capture());
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.truncate(REMEMBERED - 1);
    places.push_front((message, place));
}

fn found(payload: &(dyn Any + Send)) -> Panic {
    /// What the standard library says where a thread of a scope has panicked, which was heard before.
    const SCOPE: &str = "a scoped thread panicked";
    let message = text(payload);
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut take = |wanted: &dyn Fn(&str) -> bool| {
        let at = places.iter().position(|(known, _)| wanted(known))?;
        places.remove(at)
    };
    let this = take(&|known| known == message);
    let cause = if message == SCOPE { take(&|known| known != SCOPE) } else { None };
    let (message, place) = cause.or(this).unwrap_or((message, String::new()));
    Panic { message, place }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn a_panic_names_its_place_whatever_its_thread() {
        let here = catch(|| panic!("the glass broke")).err().unwrap();
        assert_eq!(here.message, "the glass broke");
        assert!(here.place.starts_with("engine/src/panic.rs:"), "{}", here.place);
        let pool = catch(|| (0..100).into_par_iter().for_each(|n| assert!(n != 57, "number {n} broke")));
        let pool = pool.err().unwrap();
        assert_eq!(pool.message, "number 57 broke");
        assert!(pool.place.starts_with("engine/src/panic.rs:"), "{}", pool.place);
        let scope = catch(|| {
            std::thread::scope(|scope| drop(scope.spawn(|| panic!("a worker broke"))));
        });
        let scope = scope.err().unwrap();
        assert_eq!(scope.message, "a worker broke");
        assert!(scope.place.starts_with("engine/src/panic.rs:"), "{}", scope.place);
        assert!(catch(|| 7).is_ok_and(|seven| seven == 7));
    }
}
