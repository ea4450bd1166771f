//! Where settings come from: a TOML file, and the environment, which goes before the file.
//!
//! A [`Source`] knows what was written where, hands out one setting at a time, collects all faults,
//! and at the end finds what nobody asked for: unknown keys are faults.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declare::{KeyName, Presence, SectionShape};
use super::fault::{ConfigFault, ConfigFaults, Origin};
use super::value::Value;

/// All that was written, and what was wrong with it so far.
pub struct Source<'t> {
    file: Option<File<'t>>,
    environment: BTreeMap<String, String>,
    faults: RefCell<Vec<ConfigFault>>,
}

struct File<'t> {
    path: PathBuf,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Source<'t> {
    /// Reads the file's text, if there is a file, beside the environment.
    ///
    /// # Errors
    /// The text is no TOML.
    pub fn new(
        file: Option<(&Path, &'t str)>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, ConfigFaults> {
        let file = file
            .map(|(path, text)| File::parse(path, text))
            .transpose()?;
        Ok(Self {
            file,
            environment,
            faults: RefCell::default(),
        })
    }

    /// The value of a setting. `None` if there is none, or if it is faulty, which is then noted.
    pub fn value<T: Value>(&self, key: KeyName) -> Option<T> {
        let read = match (self.environment.get(&key.variable()), self.written(key)) {
            (Some(text), _) => T::from_environment(text),
            (None, Some(value)) => T::from_toml(value.get_ref()),
            (None, None) => return None,
        };
        read.map_err(|problem| self.fault(key, problem)).ok()
    }

    /// The value of a setting, or its default, given as TOML.
    pub fn value_or<T: Value>(&self, key: KeyName, default: &str) -> Option<T> {
        if self.is_set(key) {
            return self.value(key);
        }
        let value = DeValue::parse(default).expect("defaults are TOML, as the tests check");
        Some(T::from_toml(value.get_ref()).expect("defaults fit, as the tests check"))
    }

    /// The value of a setting that has to be there.
    pub fn required<T: Value>(&self, key: KeyName, example: &str) -> Option<T> {
        if !self.is_set(key) {
            let variable = key.variable();
            let problem = format!("is missing: write `{key} = {example}` or set {variable}");
            self.fault(key, problem);
        }
        self.value(key)
    }

    /// Whether a setting was written anywhere.
    #[must_use]
    pub fn is_set(&self, key: KeyName) -> bool {
        self.environment.contains_key(&key.variable()) || self.written(key).is_some()
    }

    /// Notes what is wrong with a setting.
    pub fn fault(&self, key: KeyName, problem: impl AsRef<str>) {
        let problem = format!("{}: {}", key.full(), problem.as_ref());
        let origin = self.origin(key);
        self.faults
            .borrow_mut()
            .push(ConfigFault { origin, problem });
    }

    /// Ends the reading: gives the value if nothing was wrong and nothing unknown was written.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish<T>(self, value: Option<T>, shape: &[SectionShape]) -> Result<T, ConfigFaults> {
        self.refuse_unknown_keys(shape);
        self.refuse_unknown_variables(shape);
        let faults = self.faults.into_inner();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            Some(_) | None => Err(ConfigFaults(faults)),
        }
    }

    fn written(&self, key: KeyName) -> Option<&Spanned<DeValue<'t>>> {
        let root = &self.file.as_ref()?.root;
        match key.section {
            "" => root.get(key.name),
            section => root.get(section)?.get_ref().as_table()?.get(key.name),
        }
    }

    fn origin(&self, key: KeyName) -> Origin {
        if self.environment.contains_key(&key.variable()) {
            return Origin::Environment(key.variable());
        }
        let written = self.written(key).map(Spanned::span);
        match (&self.file, written) {
            (Some(file), Some(span)) => file.origin(&span),
            (Some(file), None) => file.section_origin(key.section),
            (None, _) => Origin::Unset,
        }
    }

    fn refuse_unknown_keys(&self, shape: &[SectionShape]) {
        let Some(file) = &self.file else { return };
        for (name, value) in &file.root {
            let section = shape
                .iter()
                .find(|s| !s.name.is_empty() && s.name == name.get_ref());
            match (section, value.get_ref()) {
                (Some(section), DeValue::Table(table)) => {
                    self.refuse_keys_beside(section, table, |_| false);
                }
                (Some(_), _) => {
                    let problem = format!(
                        "{name}: is a section: write `[{name}]`",
                        name = name.get_ref()
                    );
                    self.note(file.origin(&value.span()), problem);
                }
                (None, _) => {}
            }
        }
        let is_section = |name: &str| shape.iter().any(|s| s.name == name);
        if let Some(root) = shape.iter().find(|section| section.name.is_empty()) {
            self.refuse_keys_beside(root, &file.root, is_section);
        }
    }

    fn refuse_keys_beside(
        &self,
        section: &SectionShape,
        table: &DeTable<'_>,
        known: impl Fn(&str) -> bool,
    ) {
        let Some(file) = &self.file else { return };
        let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        for name in table.keys() {
            let text: &str = name.get_ref();
            if !names.contains(&text) && !known(text) {
                let place = match section.name {
                    "" => "the top level".to_owned(),
                    section => format!("[{section}]"),
                };
                let known = names.join(", ");
                let problem = format!("unknown key `{text}`; {place} knows: {known}");
                self.note(file.origin(&name.span()), problem);
            }
        }
    }

    /// Variables that look like a section's but name no key of it: most likely a misspelling.
    fn refuse_unknown_variables(&self, shape: &[SectionShape]) {
        let known: BTreeSet<String> = shape
            .iter()
            .flat_map(|section| {
                section
                    .keys
                    .iter()
                    .map(|key| section.key(key.name).variable())
            })
            .collect();
        for variable in self.environment.keys() {
            let section = shape
                .iter()
                .filter(|section| !section.name.is_empty())
                .find(|section| variable.starts_with(&section.variable_prefix()));
            if section.is_some() && !known.contains(variable) {
                let problem = "names no setting; `entente-homeserver config example` lists them";
                self.note(Origin::Environment(variable.clone()), problem.to_owned());
            }
        }
    }

    fn note(&self, origin: Origin, problem: String) {
        self.faults
            .borrow_mut()
            .push(ConfigFault { origin, problem });
    }
}

impl<'t> File<'t> {
    fn parse(path: &Path, text: &'t str) -> Result<Self, ConfigFaults> {
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            ConfigFaults(vec![ConfigFault {
                origin: origin_of(path, text, at),
                problem: error.message().to_owned(),
            }])
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
            root: root.into_inner(),
        })
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        origin_of(&self.path, self.text, span.start)
    }

    /// The section's header if it is there, else the file's beginning.
    fn section_origin(&self, section: &str) -> Origin {
        let value = self.root.get(section);
        self.origin(&value.map_or(0..0, Spanned::span))
    }
}

fn origin_of(path: &Path, text: &str, at: usize) -> Origin {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

impl Presence {
    /// Whether the example shows the key as something to be written.
    #[must_use]
    pub fn must_be_written(self) -> bool {
        matches!(self, Self::Required)
    }
}
