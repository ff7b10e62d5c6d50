//! From what an operator asks for to running deckies.
//!
//! [`spec`] reads a [`FleetSpec`](decnet_model::fleet::FleetSpec), [`resolve()`] makes [`DesiredDecky`]s of it, [`plan()`]
//! says which [`Step`]s lead from what is observed to what is desired, [`Works`] run them through an
//! [`Engine`]. [`mutation`] chooses other services for a decky.
//!
//! Values in, steps out: this crate knows no database and keeps no state of its own. It is the only one that starts
//! deckies.

mod desired;
pub mod engine;
mod execute;
pub mod mutation;
mod own_image;
mod plan;
mod resolve;
pub mod spec;
mod works;

pub use desired::{DesiredDecky, Digest};
pub use engine::{Engine, EngineError, EngineNote, ObservedDecky, StepError, Surroundings, outlives_mutator};
pub use execute::{Options, Outcome, Progress, execute};
pub use plan::{Step, StepKind, plan};
pub use resolve::{BuiltIn, Catalogue, Limits, Room, SpecFault, check, draw_fitting_seed, resolve, usual};
pub use works::{News, Works, in_turn};
