//! The little Markdown that descriptions are written in: paragraphs, `code`, **strong**.

/// A description as HTML paragraphs.
#[must_use]
pub fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        html.push_str("<p>");
        html.push_str(&line(paragraph));
        html.push_str("</p>");
    }
    html
}

/// A line of text as HTML.
#[must_use]
pub fn line(text: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    for (at, part) in text.split('`').enumerate() {
        let code = at % 2 == 1;
        if code {
            html.push_str("<code>");
            escape(part, &mut html);
            html.push_str("</code>");
            continue;
        }
        for (at, part) in part.split("**").enumerate() {
            let strong = at % 2 == 1;
            html.push_str(if strong { "<strong>" } else { "" });
            escape(part, &mut html);
            html.push_str(if strong { "</strong>" } else { "" });
        }
    }
    html
}

fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_elements_and_the_rest_is_escaped() {
        assert_eq!(
            html("**Buy** with `a<b` & so\n\nnext"),
            "<p><strong>Buy</strong> with <code>a&lt;b</code> &amp; so</p><p>next</p>"
        );
        assert_eq!(line("an odd ` tick"), "an odd <code> tick</code>");
    }
}
