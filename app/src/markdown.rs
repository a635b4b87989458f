//! Text in Markdown that others wrote, as HTML that does no harm: the small part that a README needs.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Headings, paragraphs, lists, tables, emphasis, code and links. HTML in it is shown as text, pictures are their words, and
/// links lead only to the web or to this site. The page has its own first heading, so those here are a level lower.
pub fn to_html(text: &str) -> String {
    let mut options = Options::empty();
    options.insert(Options::ENABLE_TABLES);
    // A link that leads nowhere good is opened and closed as nothing.
    let mut open_links = Vec::new();
    let events = Parser::new_ext(text, options).filter_map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        Event::Start(Tag::HtmlBlock | Tag::Image { .. })
        | Event::End(TagEnd::HtmlBlock | TagEnd::Image) => None,
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            ..
        }) => {
            let good = leads_somewhere_good(&dest_url);
            open_links.push(good);
            good.then_some(Event::Start(Tag::Link {
                link_type,
                dest_url,
                title: CowStr::Borrowed(""),
                id: CowStr::Borrowed(""),
            }))
        }
        Event::End(TagEnd::Link) => open_links
            .pop()
            .unwrap_or(false)
            .then_some(Event::End(TagEnd::Link)),
        Event::Start(Tag::Heading { level, .. }) => Some(Event::Start(Tag::Heading {
            level: lower(level),
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        })),
        Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(lower(level)))),
        // A long line is scrolled to with the keyboard too.
        Event::Start(Tag::CodeBlock(_)) => Some(Event::Html("<pre tabindex=\"0\"><code>".into())),
        Event::End(TagEnd::CodeBlock) => Some(Event::Html("</code></pre>\n".into())),
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

fn leads_somewhere_good(address: &str) -> bool {
    let own = address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/\\");
    own || address.starts_with("https://") || address.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::to_html;

    #[test]
    fn a_readme_becomes_plain_html() {
        let html = to_html(
            "# One\n\nA *b* `c<d`.\n\n- x\n- y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode & more\n```\n",
        );
        for part in [
            "<h2>One</h2>",
            "<em>b</em>",
            "<code>c&lt;d</code>",
            "<li>x</li>",
            "<td>1</td>",
            "code &amp; more",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn nothing_in_it_becomes_a_tag_or_leads_astray() {
        let evil = "<script>alert(1)</script>\n\nx <img src=x onerror=y> \n\n[a](javascript:alert(1)) [b](data:text/html,x) \
                    [c](//evil.example) [d](https://good.example \"t\\\" onclick=x\") ![p](https://track.example/x.png) <https://auto.example>\n\n\
                    # T {#id .class onclick=x}\n\n<div\nonclick=x>\n\n<!-- c -->";
        let html = to_html(evil);
        for bad in [
            "<script",
            "<img",
            "javascript:",
            "data:",
            "//evil",
            "<div",
            "<!--",
            "track.example",
            " onclick=x\"",
            "title=",
        ] {
            assert!(!html.contains(bad), "{bad}: {html}");
        }
        assert!(html.contains("&lt;script&gt;"), "{html}");
        assert!(
            html.contains("<a href=\"https://good.example\">d</a>"),
            "{html}"
        );
        assert!(html.contains("<a href=\"https://auto.example\">"), "{html}");
    }
}
