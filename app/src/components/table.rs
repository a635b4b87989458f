//! One table for both widths: rows and columns on a desktop, one card per row on a phone.
//!
//! The style sheet turns rows into cards; the roles are written out because `display: grid` would otherwise take
//! the table away from screen readers.

use leptos::prelude::*;

use super::dynamic::Parts;
use super::icon::{Icon, icon};

/// Which way a column is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sorted {
    Up,
    Down,
}

/// A heading. With `sort` it is a link that sorts, so it works without JavaScript.
#[derive(Debug, Clone)]
pub struct Column {
    pub label: &'static str,
    pub end: bool,
    /// Read, not seen: the button below says enough.
    pub hidden: bool,
    pub sort: Option<(String, Option<Sorted>)>,
}

impl Column {
    pub const fn new(label: &'static str) -> Self {
        Self {
            label,
            end: false,
            hidden: false,
            sort: None,
        }
    }

    /// Of numbers: digits line up at the end.
    pub const fn end(label: &'static str) -> Self {
        Self {
            label,
            end: true,
            hidden: false,
            sort: None,
        }
    }

    /// Of buttons.
    pub const fn action(label: &'static str) -> Self {
        Self {
            label,
            end: true,
            hidden: true,
            sort: None,
        }
    }

    #[must_use]
    pub fn sorted_by(mut self, href: String, sorted: Option<Sorted>) -> Self {
        self.sort = Some((href, sorted));
        self
    }
}

/// One cell; `label` is what a card writes above it.
pub struct Cell {
    class: &'static str,
    label: Option<&'static str>,
    view: AnyView,
}

impl Cell {
    pub fn new(label: &'static str, view: impl IntoView + 'static) -> Self {
        Self {
            class: "",
            label: Some(label),
            view: view.into_any(),
        }
    }

    pub fn end(label: &'static str, view: impl IntoView + 'static) -> Self {
        Self {
            class: "end",
            label: Some(label),
            view: view.into_any(),
        }
    }

    /// The name of the row, across a card's whole width.
    pub fn title(view: impl IntoView + 'static) -> Self {
        Self {
            class: "title",
            label: None,
            view: view.into_any(),
        }
    }

    pub fn wide(label: &'static str, view: impl IntoView + 'static) -> Self {
        Self {
            class: "wide",
            label: Some(label),
            view: view.into_any(),
        }
    }

    /// A button, across a card's whole width.
    pub fn action(view: impl IntoView + 'static) -> Self {
        Self {
            class: "wide action end",
            label: None,
            view: view.into_any(),
        }
    }
}

/// The frame; `caption` is read by screen readers, `body` holds [`row`]s.
pub fn table(
    caption: &'static str,
    columns: Vec<Column>,
    body: impl IntoView + 'static,
) -> AnyView {
    let head = columns
        .into_iter()
        .map(|column| {
            let (label, aria_sort) = match column.sort {
                None if column.hidden => (
                    view! { <span class="sr">{column.label}</span> }.into_any(),
                    None,
                ),
                None => (view! { {column.label} }.into_any(), None),
                Some((href, sorted)) => {
                    let (aria, arrow) = match sorted {
                        None => (None, None),
                        Some(Sorted::Up) => (Some("ascending"), Some(icon(Icon::Ascending))),
                        Some(Sorted::Down) => (Some("descending"), Some(icon(Icon::Descending))),
                    };
                    (view! { <a href=href data-noscroll="true" data-key=column.label>{column.label}{arrow}</a> }.into_any(), aria)
                }
            };
            let class = if column.end { "end" } else { "" };
            view! { <th role="columnheader" scope="col" class=class aria-sort=aria_sort>{label}</th> }
        })
        .parts();
    view! {
        <div class="tablewrap">
            <table class="data" role="table">
                <caption class="sr">{caption}</caption>
                <thead role="rowgroup"><tr role="row">{head}</tr></thead>
                <tbody role="rowgroup">{body.into_any()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// One row or card.
pub fn row(cells: Vec<Cell>) -> AnyView {
    let cells = cells
        .into_iter()
        .map(|cell| view! { <td role="cell" class=cell.class data-label=cell.label>{cell.view}</td> })
        .parts();
    view! { <tr role="row">{cells}</tr> }.into_any()
}
