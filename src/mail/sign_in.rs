//! The mail with which somebody signs in: a code to type and a link to follow.

use askama::Template;
use uuid::Uuid;

use super::letter::Letter;
use super::{Topic, Unbuildable};
use crate::words::{Language, Said};

#[derive(Template)]
#[template(path = "mail/sign_in.txt")]
struct TextPart<'a>(&'a Content);

#[derive(Template)]
#[template(path = "mail/sign_in.html")]
struct HtmlPart<'a>(&'a Content);

struct Content {
    language: Language,
    code: String,
    link: String,
}

impl Content {
    fn say(&self, key: &str) -> Said {
        self.language.say(key)
    }
}

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
        let content = Content { language, code, link };
        let subject = content.say("mail.sign_in").into();
        let (text, html) = (TextPart(&content).render()?, HtmlPart(&content).render()?);
        Ok(Self { topic: Topic::SignIn(id), nth: 0, subject, text, html })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_link_are_in_both_parts_and_not_in_the_subject() {
        for (language, subject) in [
            (Language::ENGLISH, "Your code to sign in"),
            (Language::of(Some("de")), "Ihr Code zum Anmelden"),
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
