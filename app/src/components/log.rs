//! What a job prints: mono, follows the end while asked to, and never more than so many lines in the document.

use leptos::{html, prelude::*};
use protocol::view::shown_line;

use super::dynamic::{effect, part};
use crate::i18n::{fill, words};

/// Older lines leave the document; they stay on the server and in the download.
pub const LINES_MAX: usize = 1_500;

/// One line as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Order over the whole job, and which of the chunk's lines it is.
    pub key: (u64, u32),
    pub error: bool,
    pub text: String,
}

/// Keeps what arrives, in order, once, and at most [`LINES_MAX`] of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail {
    pub lines: Vec<Line>,
    /// How many were dropped at the front.
    pub dropped: usize,
    /// The last chunk taken; they count from 1.
    pub last: u64,
}

impl LogTail {
    /// Takes one chunk of output; one that came before is ignored.
    /// `member`: which of several machines wrote it.
    pub fn push(&mut self, seq: u64, error: bool, text: &str, member: Option<u32>) {
        if seq <= self.last {
            return;
        }
        self.last = seq;
        let text = text.strip_suffix('\n').unwrap_or(text);
        for (part, line) in (0_u32..).zip(text.split('\n')) {
            self.lines.push(Line {
                key: (seq, part),
                error,
                text: match member {
                    Some(member) => format!("[{member}] {}", shown_line(line)),
                    None => shown_line(line),
                },
            });
        }
        let over = self.lines.len().saturating_sub(LINES_MAX);
        if over > 0 {
            self.lines.drain(..over);
            self.dropped = self.dropped.saturating_add(over);
        }
    }
}

#[component]
pub fn LogView(#[prop(into)] tail: Signal<LogTail>, label: &'static str) -> AnyView {
    let t = words();
    let node = NodeRef::<html::Div>::new();
    let follow = RwSignal::new(true);
    effect(move || {
        tail.track();
        if follow.get()
            && let Some(element) = node.get()
        {
            // After the lines are in the document.
            request_animation_frame(move || element.set_scroll_top(element.scroll_height()));
        }
    });
    let on_scroll = move |_| {
        if let Some(element) = node.get_untracked() {
            // Someone who scrolls up reads; whoever comes back to the end follows again.
            let at_end =
                element.scroll_height() - element.scroll_top() - element.client_height() < 24;
            if follow.get_untracked() != at_end {
                follow.set(at_end);
            }
        }
    };
    view! {
        <div class="row-actions justify-between mb-2">
            <span class="hint">
                {part(move || {
                    let dropped = tail.read().dropped;
                    (dropped > 0).then(|| fill(t.log_dropped(), &[&dropped.to_string()]))
                })}
            </span>
            <label class="check">
                <input type="checkbox" prop:checked=move || follow.get() checked
                    on:change=move |event| follow.set(event_target_checked(&event))/>
                <span>{t.log_follow()}</span>
            </label>
        </div>
        <div class="log" node_ref=node role="log" aria-label=label tabindex="0" on:scroll=on_scroll>
            <For each=move || tail.get().lines key=|line| line.key let:line>
                <div class=if line.error { "err" } else { "" }>{line.text}</div>
            </For>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_split_into_lines_once() {
        let mut tail = LogTail::default();
        tail.push(1, false, "a\nb\n", None);
        tail.push(1, false, "a\nb\n", None);
        tail.push(2, true, "c", Some(1));
        let texts: Vec<_> = tail
            .lines
            .iter()
            .map(|l| (l.text.as_str(), l.error))
            .collect();
        assert_eq!(texts, [("a", false), ("b", false), ("[1] c", true)]);
        assert_eq!(tail.last, 2);
    }

    #[test]
    fn the_document_stays_bounded() {
        let mut tail = LogTail::default();
        for seq in 1..=2_000 {
            tail.push(seq, false, "x\n", None);
        }
        assert_eq!((tail.lines.len(), tail.dropped), (LINES_MAX, 500));
        assert_eq!(tail.lines.last().map(|l| l.key), Some((2_000, 0)));
    }

    #[test]
    fn terminal_codes_do_not_reach_the_page() {
        assert_eq!(shown_line("\u{1b}[31mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(shown_line("10%\r50%\r100%\r"), "100%");
        assert_eq!(shown_line("\u{1b}"), "");
    }
}
