//! What calls share, one piece at a time. How calls use it is tested through the public API; how threads meet in it, by
//! the model check in `tests/core/router_model.rs`.

mod breaker;
mod limit;
mod target_state;
mod window;
