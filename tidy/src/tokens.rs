//! A Rust file as a flat list of tokens, searched by sequences such as `Instant :: now`.
//!
//! Comments are gone and texts are single tokens, so that speaking of a thing is not using it, while
//! the inside of macro calls, which a syntax tree does not show, is seen.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token as it is written; a bracket is a token of its own.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// All tokens in the order of the text.
#[must_use]
pub fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_all(stream, &mut tokens);
    tokens
}

fn push_all(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                let end_line = group.span().end().line;
                push(open, line, tokens);
                push_all(group.stream(), tokens);
                push(close, end_line, tokens);
            }
            TokenTree::Ident(ident) => push(&ident.to_string(), line, tokens),
            TokenTree::Punct(punct) => push(&punct.as_char().to_string(), line, tokens),
            TokenTree::Literal(literal) => push(&literal.to_string(), line, tokens),
        }
    }
}

fn push(text: &str, line: usize, tokens: &mut Vec<Token>) {
    if !text.is_empty() {
        tokens.push(Token {
            text: text.to_owned(),
            line,
        });
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// The lines on which a sequence of tokens begins. The sequence is written with spaces between its
/// tokens; `::` stands for two colons.
#[must_use]
pub fn lines_with(tokens: &[Token], sequence: &str) -> Vec<usize> {
    let spread = sequence.replace("::", ": :");
    let wanted: Vec<&str> = spread.split_whitespace().collect();
    tokens
        .windows(wanted.len())
        .filter(|window| {
            window
                .iter()
                .zip(&wanted)
                .all(|(token, text)| token.text == *text)
        })
        .map(|window| window[0].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, sequence: &str, lines: &[usize]) {
        let stream: TokenStream = source.parse().expect("the sample is Rust");
        assert_eq!(
            lines_with(&flatten(stream), sequence),
            lines,
            "{sequence} in {source}"
        );
    }

    #[test]
    fn sequences_are_found_in_code_and_macros_but_not_in_prose() {
        check("fn f() {\n x.unwrap();\n}", ". unwrap ( )", &[2]);
        check("m! { a =>\n Instant::now() }", "Instant :: now", &[2]);
        check(
            "/// Instant::now\nfn f() { g(\"Instant::now\") }",
            "Instant :: now",
            &[],
        );
        check("fn unwrap() {}", ". unwrap ( )", &[]);
    }
}
