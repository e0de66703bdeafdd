//! Unit tests of the state that calls share. The tests of the public API cover how calls use it, the model checks in `tests/loom`
//! every interleaving of threads.

mod breaker;
mod limit;
mod loading;
mod pages;
mod parameters;
mod schema_form;
mod target_state;
mod window;
