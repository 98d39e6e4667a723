//! Text of others, harmless wherever it is shown: no terminal acts on it, it makes no line of its own, and it reads in
//! the order in which it stands.
//!
//! What a database, a client, a migration or a manifest says is shown in status, Events, logs and on terminals, and
//! anybody may have written it. Of such a text these do not stay as they are:
//!
//! - line breaks of every kind and tabs: several in a row are one space;
//! - all other control characters (C0, DEL, C1; ECMA-48), which terminals act on;
//! - what changes the direction of a text, by which it shows otherwise than it is (Unicode Standard Annex #9);
//! - what shows nothing at all: zero-width space, word joiner, byte order mark, tags. The zero-width joiner and
//!   non-joiner stay, because Persian, Hindi and many emoji need them.
//!
//! They are spelled out, as in `\u{1b}`. A backslash stays one: the result is for people, and nothing reads it back.
//! HTML and templates stay as they are, too, because all of these are plain text: what renders them as anything else
//! has to escape them for it.

use std::borrow::Cow;

/// A text of others in one line.
///
/// ```
/// use dbop_model::visible;
///
/// assert_eq!(visible::line("shop-api 2"), "shop-api 2");
/// assert_eq!(visible::line("a\r\nerror: b \u{1b}[2J"), r"a error: b \u{1b}[2J");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    rewritten(text, is_harmful, |out, c| {
        if !is_break(c) {
            spelled(out, c, "\\");
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    })
}

/// A text of several lines that are ours: their ends stay, in each is what [`line()`] makes of it.
pub fn lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let each = text
        .split('\n')
        .map(|one| line(one.strip_suffix('\r').unwrap_or(one)));
    Cow::Owned(each.collect::<Vec<_>>().join("\n"))
}

/// Finished JSON that means the same, and can be shown as well: what JSON lets stand in its texts as it is, such as
/// DEL and C1, is escaped.
pub fn json(text: &str) -> Cow<'_, str> {
    // JSON's own white space; inside of its texts these are escaped already (RFC 8259, sections 2 and 7).
    let harmful = |c| is_harmful(c) && !matches!(c, '\n' | '\r' | '\t');
    rewritten(text, harmful, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    })
}

/// A finished body of metrics in Prometheus' text format, in whose values and help texts a backslash is two.
pub fn metrics(text: &str) -> Cow<'_, str> {
    rewritten(
        text,
        |c| c != '\n' && is_harmful(c),
        |out, c| match c {
            '\t' | '\r' => out.push(' '),
            _ => spelled(out, c, "\\\\"),
        },
    )
}

fn rewritten<'a>(
    text: &'a str,
    harmful: impl Fn(char) -> bool,
    put: impl Fn(&mut String, char),
) -> Cow<'a, str> {
    let Some(first) = text.find(&harmful) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        if harmful(c) {
            put(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn spelled(out: &mut String, c: char, backslash: &str) {
    out.push_str(&format!("{backslash}u{{{:x}}}", u32::from(c)));
}

/// What ends a line somewhere, or moves on in it (Unicode Standard, section 5.8).
fn is_break(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks, embeddings, overrides and isolates of direction; line and paragraph separator.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // What shows nothing: spaces without width, invisible operators, annotations, tags.
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// For tests of whatever shows texts: what to put into it, and what must not come out.
#[doc(hidden)]
pub mod hostile {
    /// In no text that is shown. A table beside the function's own, so that one is a check of the other.
    pub const HARMFUL: &[char] = &[
        '\0',
        '\u{7}',
        '\u{8}',
        '\t',
        '\n',
        '\u{b}',
        '\u{c}',
        '\r',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{90}',
        '\u{9b}',
        '\u{9c}',
        '\u{9d}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{feff}',
        '\u{e0041}',
    ];

    /// What the forged line of [`texts`] begins with.
    pub const FORGED: &str = "error: forged";

    /// A window's title, a cleared screen, an overwritten line, a forged one, and what else people have tried.
    pub fn texts() -> Vec<String> {
        let short = [
            "\u{1b}]0;owned\u{7}",
            "\u{1b}[2J\u{1b}[1;1H",
            "\u{9b}2J\u{9d}0;owned\u{9c}",
            "refused\rgranted",
            "one\nerror: forged\r\nerror: forged",
            "a\u{85}error: forged\u{2028}error: forged\u{b}error: forged\u{c}x",
            "nul\0nul\u{8}\u{8}\u{8}\u{7f}\tafter",
            "user\u{202e}nimda\u{202c} \u{2066}x\u{2069} \u{200f}y\u{61c}",
            "ad\u{200b}min\u{feff}\u{e0041}",
            "<script>alert(1)</script>",
            "{{ .Values.password }} {host|url} ${HOME} $(id) `id` %s",
            r#"a"} 1 \" \n ' ; DROP TABLE x; --"#,
        ];
        let mut all: Vec<String> = short.map(str::to_owned).into();
        all.push("\u{1b}[31m x".repeat(1500));
        all
    }

    /// All of them in one text; the long one is last.
    pub fn text() -> String {
        texts().join("")
    }

    /// What of a text that is shown is harmful, spelled out.
    pub fn harm(shown: &str) -> String {
        let harmful = shown.chars().filter(|c| HARMFUL.contains(c));
        harmful.flat_map(char::escape_unicode).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(line(text), expect);
    }

    #[test]
    fn what_is_harmful_is_spelled_out_and_the_rest_stays() {
        check("", "");
        check("\u{1b}]0;x\u{7}y", r"\u{1b}]0;x\u{7}y");
        check("\u{9b}2J", r"\u{9b}2J");
        check("a\r\n\tb\u{85}\u{2029}c", "a b c");
        check("refused\rgranted", "refused granted");
        check("\0\u{7f}", r"\u{0}\u{7f}");
        check("a\u{202e}b\u{2069}\u{feff}", r"a\u{202e}b\u{2069}\u{feff}");
        check("\u{e0041}", r"\u{e0041}");
        for same in [
            "<script>alert(1)</script> {{x}} \\u{1b} \\n",
            "Grüße, 数据库, می‌خواهم, 👩‍💻, שלום",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn lines_of_ours_stay_lines() {
        assert_eq!(lines("a\r\nb\rc\n\u{1b}\n"), "a\nb c\n\\u{1b}\n");
        assert!(matches!(lines("a\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_body_of_metrics_has_the_lines_and_escapes_of_its_format() {
        let body = "a{b=\"\\n\u{1b}\u{202e}\t\r\"} 1\nc 2\n";
        assert_eq!(metrics(body), "a{b=\"\\n\\\\u{1b}\\\\u{202e}  \"} 1\nc 2\n");
        assert!(matches!(metrics("a 1\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn finished_json_is_spelled_in_its_own_way() {
        let written = "{\n\t\"a\": \"\\u001b\u{9b}\u{202e}\u{e0041}\u{7f}ä\"\r\n}";
        let expect = "{\n\t\"a\": \"\\u001b\\u009b\\u202e\\udb40\\udc41\\u007fä\"\r\n}";
        assert_eq!(json(written), expect);
    }

    #[test]
    fn each_hostile_text_is_harmless() {
        for text in hostile::texts() {
            assert_eq!(hostile::harm(&line(&text)), "", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn one_harmless_line_of_whatever(text in any::<String>(), odd in "[\\PC\\pC\\p{Zl}\\p{Zp}]{0,40}") {
            let text = format!("{odd}{text}");
            let shown = line(&text).into_owned();
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            prop_assert_eq!(hostile::harm(&shown), "");
            prop_assert_eq!(shown.lines().count(), usize::from(!shown.is_empty()));
            // Twice is once: what is shown by one and handed on by another does not change on its way.
            prop_assert_eq!(&*line(&shown), shown.as_str());
            let harmful = |c: &char| c.is_control() || hostile::HARMFUL.contains(c);
            if !text.chars().any(|c| harmful(&c) || is_harmful(c)) {
                prop_assert!(matches!(line(&text), Cow::Borrowed(_)));
                prop_assert_eq!(shown, text);
            } else {
                // What is not harmful is all there, in its order.
                let rest: Vec<char> = text.chars().filter(|c| !is_harmful(*c)).collect();
                let mut of_shown = shown.chars();
                prop_assert!(rest.iter().all(|c| of_shown.any(|one| one == *c)), "{shown:?}");
            }
        }

        #[test]
        fn lines_are_as_many_as_they_were(text in "[a\u{1b}\u{9b}\u{202e}\n\r\u{2028}]{0,30}") {
            let shown = lines(&text).into_owned();
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
            prop_assert!(shown.split('\n').all(|one| hostile::harm(one).is_empty()));
        }
    }
}
