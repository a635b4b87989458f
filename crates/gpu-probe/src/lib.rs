//! The challenges of the crate `proof` on a graphics card, through Vulkan.
//!
//! Owns: finding the card that is meant, the shaders, the card's memory while a challenge goes on. Deliberately absent: what is asked
//! and whether it is right. Each call looks between two short pieces of work whether it is still wanted, so that a card that is
//! hired meanwhile is free within a fraction of a second.

mod card;
mod cards;
mod fill;
mod product;
mod sweep;

pub use card::Card;
pub use cards::{Found, Wanted, cards};

/// Why a card does not compute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error(
        "no Vulkan driver shows this card; install the maker's driver with Vulkan (for AMD: mesa-vulkan-drivers)"
    )]
    NotFound,
    #[error("only {0} answers in its place, a program that plays a graphics card")]
    Software(String),
    #[error("the card's driver refuses: {0}")]
    Driver(String),
    #[error("it is not wanted any more")]
    Stopped,
}
