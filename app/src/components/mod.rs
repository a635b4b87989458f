//! The kit: presentational only. Nothing here calls the server or knows an account; text comes in through props
//! or, for the kit's own words, from [`crate::i18n`].

pub mod button;
pub mod chart;
pub mod copy;
pub mod dialog;
pub mod dynamic;
pub mod field;
pub mod icon;
pub mod log;
pub mod meter;
pub mod notice;
pub mod page;
pub mod plot;
pub mod state;
pub mod table;
pub mod tabs;
pub mod toast;

pub use button::{Kind, Submit};
pub use chart::{Chart, Unit};
#[cfg(feature = "ssr")]
pub use copy::hash;
pub use copy::{CopyLine, copy_pressed};
pub use dialog::Confirm;
pub use dynamic::{Parts, attr, effect, html, part};
pub use field::{CheckField, Field, SelectField, TextField};
pub use icon::{Icon, icon};
pub use log::{LogTail, LogView};
pub use meter::{Meter, Reading};
pub use notice::{empty, failed, notice, skeleton_block, skeleton_rows, unannounced};
pub use page::PageHead;
pub use plot::Sample;
pub use state::{Tone, shape, state, tag};
pub use table::{Cell, Column, Sorted, row, table};
pub use tabs::tabs;
pub use toast::{ToastArea, Toasts, provide_toasts, toast, toasts};
