//! The mail with which somebody signs in: a code to type and a link to follow.

use askama::Template;
use uuid::Uuid;

use super::letter::Letter;
use super::words::Language;
use super::{Topic, Unbuildable};

#[derive(Template)]
#[template(path = "mail/sign_in.txt")]
struct TextPart<'a>(&'a Content);

#[derive(Template)]
#[template(path = "mail/sign_in.html")]
struct HtmlPart<'a>(&'a Content);

struct Content {
    language: Language,
    words: &'static Words,
    code: String,
    link: String,
}

struct Words {
    subject: &'static str,
    opening: &'static str,
    link: &'static str,
    advice: &'static str,
}

const ENGLISH: Words = Words {
    subject: "Your code to sign in",
    opening: "With this code you sign in. It is good for ten minutes and works once.",
    link: "Or sign in with this link",
    advice: "We never ask for this code by telephone or chat: give it to nobody. If you didn't \
             want to sign in, you can ignore this mail.",
};
const GERMAN: Words = Words {
    subject: "Ihr Code zum Anmelden",
    opening: "Mit diesem Code melden Sie sich an. Er gilt zehn Minuten und nur einmal.",
    link: "Oder melden Sie sich mit diesem Link an",
    advice: "Wir fragen nie am Telefon oder im Chat nach diesem Code: Geben Sie ihn niemandem. \
             Wenn Sie sich nicht anmelden wollten, brauchen Sie nichts zu tun.",
};

impl Letter {
    /// Writes how to sign in.
    ///
    /// # Errors
    /// If a template fails.
    pub fn sign_in(
        language: Language,
        id: Uuid,
        code: String,
        link: String,
    ) -> Result<Self, Unbuildable> {
        let words = match language {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        };
        let content = Content { language, words, code, link };
        let (text, html) = (TextPart(&content).render()?, HtmlPart(&content).render()?);
        Ok(Self { topic: Topic::SignIn(id), subject: words.subject.to_owned(), text, html })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_link_are_in_both_parts_and_not_in_the_subject() {
        for (language, subject) in [
            (Language::English, "Your code to sign in"),
            (Language::German, "Ihr Code zum Anmelden"),
        ] {
            let (code, link) = ("012345".to_owned(), "https://shop.example/x?token=t".to_owned());
            let letter = Letter::sign_in(language, Uuid::from_u128(1), code, link).unwrap();
            assert_eq!(letter.subject, subject);
            for part in [&letter.text, &letter.html] {
                assert!(part.contains("012345") && part.contains("https://shop.example/x?token=t"));
            }
            // The mailbox makes links of lines that are nothing else.
            assert!(letter.text.lines().any(|line| line == "https://shop.example/x?token=t"));
            assert!(letter.text.lines().any(|line| line == "012345"));
        }
    }
}
