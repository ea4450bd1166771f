//! One Rust file, parsed: its functions, its tokens, and which of its lines are test code.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tokens::{Token, flatten};

/// A Rust file written by hand.
#[derive(Debug)]
pub struct RustFile {
    path: PathBuf,
    text: String,
    tokens: Vec<Token>,
    outline: Outline,
    is_test: bool,
}

/// A function and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its signature, counted from 1.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub length: usize,
    /// Parameters, `self` included; none for a method that a trait asks for, which is judged where the
    /// trait is written.
    pub arguments: usize,
    /// Whether it runs only in tests.
    pub is_test: bool,
}

#[derive(Debug, Default)]
struct Outline {
    functions: Vec<Function>,
    modules: Vec<(String, usize)>,
    test_lines: Vec<RangeInclusive<usize>>,
    test_module_files: Vec<PathBuf>,
    folder_of_modules: PathBuf,
    in_test: bool,
    place: Place,
}

/// Who chose a function's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Whoever wrote the function.
    #[default]
    Own,
    /// Whoever wrote the trait that it implements.
    OfATrait,
}

impl RustFile {
    /// Parses a file; `path` is relative to the workspace root.
    ///
    /// # Panics
    /// When the text is not Rust.
    #[must_use]
    pub fn parse(path: &Path, text: &str) -> Self {
        let tree = syn::parse_file(text)
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", path.display()));
        let stream: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", path.display()));
        let is_test = is_test_path(path) || tree.attrs.iter().any(is_test_cfg);
        let mut outline = Outline {
            folder_of_modules: folder_of_modules(path),
            ..Outline::default()
        };
        outline.visit_file(&tree);
        let tokens = flatten(stream);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            outline,
            is_test,
        }
    }

    /// Where the file lies, relative to the workspace root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text as it is on disk.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All tokens in order.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// All functions with a body, test functions included.
    pub fn functions(&self) -> impl Iterator<Item = Function> {
        let whole_file = self.is_test;
        self.outline
            .functions
            .iter()
            .cloned()
            .map(move |mut function| {
                function.is_test |= whole_file;
                function
            })
    }

    /// Names and lines of the modules that the file declares.
    #[must_use]
    pub fn modules(&self) -> &[(String, usize)] {
        &self.outline.modules
    }

    /// How many lines the file has.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Whether the whole file runs only in tests.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.is_test
    }

    /// Whether a line runs only in tests.
    #[must_use]
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_test
            || self
                .outline
                .test_lines
                .iter()
                .any(|lines| lines.contains(&line))
    }

    /// The files in which the test modules declared here may lie.
    #[must_use]
    pub fn test_module_files(&self) -> &[PathBuf] {
        &self.outline.test_module_files
    }

    /// Takes the whole file for test code, because its parent declares it so.
    pub fn mark_as_test(&mut self) {
        self.is_test = true;
    }
}

impl Outline {
    fn add(&mut self, attributes: &[syn::Attribute], signature: &syn::Signature, end: usize) {
        let line = signature.span().start().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            length: end + 1 - line,
            arguments: match self.place {
                Place::OfATrait => 0,
                Place::Own => signature.inputs.len(),
            },
            is_test: self.in_test || is_test_item(attributes),
        });
    }

    fn within(&mut self, attributes: &[syn::Attribute], span: proc_macro2::Span) -> bool {
        let before = self.in_test;
        if is_test_item(attributes) {
            self.in_test = true;
            self.test_lines.push(span.start().line..=span.end().line);
        }
        before
    }
}

impl<'ast> Visit<'ast> for Outline {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        self.modules
            .push((name.clone(), item.ident.span().start().line));
        let before = self.within(&item.attrs, item.span());
        if item.content.is_none() && self.in_test {
            self.test_module_files
                .push(self.folder_of_modules.join(format!("{name}.rs")));
        }
        visit::visit_item_mod(self, item);
        self.in_test = before;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let place = std::mem::take(&mut self.place);
        self.add(&item.attrs, &item.sig, item.block.span().end().line);
        let before = self.within(&item.attrs, item.span());
        visit::visit_item_fn(self, item);
        (self.in_test, self.place) = (before, place);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let before = self.within(&item.attrs, item.span());
        let place = std::mem::replace(
            &mut self.place,
            match item.trait_ {
                Some(_) => Place::OfATrait,
                None => Place::Own,
            },
        );
        visit::visit_item_impl(self, item);
        (self.in_test, self.place) = (before, place);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.attrs, &item.sig, item.block.span().end().line);
        let before = self.within(&item.attrs, item.span());
        visit::visit_impl_item_fn(self, item);
        self.in_test = before;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        let end = item
            .default
            .as_ref()
            .map_or(item.sig.span(), Spanned::span)
            .end()
            .line;
        self.add(&item.attrs, &item.sig, end);
        visit::visit_trait_item_fn(self, item);
    }
}

/// Where the modules that a file declares lie: beside `lib.rs`, below `room.rs` in `room/`.
fn folder_of_modules(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    match stem.as_deref() {
        Some("lib" | "main" | "mod") | None => folder.to_owned(),
        Some(stem) => folder.join(stem),
    }
}

/// Folders of cargo whose code no product contains; measurements and examples reach for the world.
fn is_test_path(path: &Path) -> bool {
    let apart = ["tests", "benches", "examples", "fuzz"];
    path.iter()
        .any(|part| apart.iter().any(|name| part == *name))
}

/// `#[cfg(test)]`, `#[test]`, `#[tokio::test]` and their like.
fn is_test_item(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        is_test_cfg(attribute)
            || attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
    })
}

fn is_test_cfg(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && {
        let tokens = flatten(list.tokens.clone());
        tokens.iter().any(|token| token.text == "test")
            && tokens.iter().all(|token| token.text != "not")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "//! A.\n\nfn long(a: u8, b: u8) {\n    a;\n}\n\n#[cfg(test)]\nmod tests {\n    \
                          #[test]\n    fn short() {}\n}\n\n#[cfg(test)]\nmod scenes;\n";

    #[test]
    fn functions_have_length_arguments_and_a_place() {
        let file = RustFile::parse(Path::new("x/src/lib.rs"), SAMPLE);
        let functions: Vec<Function> = file.functions().collect();
        assert_eq!(functions[0].name, "long");
        assert_eq!(
            (
                functions[0].line,
                functions[0].length,
                functions[0].arguments
            ),
            (3, 3, 2)
        );
        assert!(!functions[0].is_test && functions[1].is_test);
    }

    #[test]
    fn only_a_trait_chooses_the_arguments_of_what_implements_it() {
        let text = "trait T {\n    fn asked(&self, a: A);\n}\nimpl T for S {\n    fn asked(&self, a: A) {\n        \
                    fn inside(a: A, b: B) {}\n    }\n}\nimpl S {\n    fn own(&self, a: A) {}\n}\n";
        let file = RustFile::parse(Path::new("x/src/lib.rs"), text);
        let counted: Vec<(String, usize)> = file
            .functions()
            .map(|function| (function.name, function.arguments))
            .collect();
        let expect = [("asked", 2), ("asked", 0), ("inside", 2), ("own", 2)];
        assert_eq!(
            counted,
            expect.map(|(name, count)| (name.to_owned(), count))
        );
    }

    #[test]
    fn test_modules_are_known_inside_and_outside_of_the_file() {
        let file = RustFile::parse(Path::new("x/src/room.rs"), SAMPLE);
        assert!(file.is_test_line(10) && !file.is_test_line(4));
        assert_eq!(
            file.test_module_files(),
            [Path::new("x/src/room/scenes.rs")]
        );
    }
}
